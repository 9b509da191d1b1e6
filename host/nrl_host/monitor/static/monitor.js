// The monitor's page. Everything shown comes whole with each event, so that memory stays what one view takes,
// however long a run goes on and however often the page was asleep.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const token = location.hash.slice(1);
  const NONE = "–";
  const COLOURS = [[49, 115, 224], [230, 120, 33], [18, 153, 133], [168, 87, 204], [204, 166, 13], [128, 128, 128]];
  const STATES = {
    running: ["good", "running"], finished: ["good", "finished"], paused: ["", "paused"],
    pausing: ["", "pausing after this episode"], resuming: ["", "going on"], stopped: ["", "stopped"],
    killed: ["bad", "killed"], silent: ["", "nobody runs it"],
  };

  let state = null;
  let curves = null;
  let network = null;
  let asking = false;
  let told = "";
  let dirty = {};
  let describedAt = 0;

  const number = (value, digits = 1) => value === null || value === undefined
    ? NONE
    : value.toLocaleString("en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  // Text is only touched where it changes: screen readers announce, and browsers lay out, what is new.
  const say = (element, text) => { if (element.textContent !== text) element.textContent = text; };

  function rows(parent, wanted, make) {
    while (parent.children.length > wanted.length) parent.lastElementChild.remove();
    while (parent.children.length < wanted.length) parent.append(make());
    wanted.forEach((row, index) => {
      const cells = parent.children[index].children;
      row.forEach((text, cell) => say(cells[cell], text));
    });
  }

  const pair = () => {
    const box = document.createElement("div");
    box.append(document.createElement("dt"), document.createElement("dd"));
    return box;
  };
  const tableRow = (columns) => () => {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    row.append(head);
    for (let column = 0; column < columns; column++) {
      const cell = document.createElement("td");
      cell.className = "number";
      row.append(cell);
    }
    return row;
  };

  // Figures and tables

  function showState() {
    document.title = `${state.state} · ${state.title} · nrl-edge monitor`;
    say(byId("title"), state.title);
    const [kind, text] = STATES[state.state];
    byId("state").className = `badge ${kind}`;
    say(byId("state"), text);
    rows(byId("facts"), Object.entries(state.facts), pair);
    const wanted = state.episodes_wanted ? ` of ${state.episodes_wanted.toLocaleString("en-GB")}` : "";
    const figures = [
      ["Episode", number(state.episodes, 0) + wanted],
      ["Return", number(state.last_return)],
      ["Mean of 100", number(state.mean_return_100)],
      ["Prediction error", state.reward_prediction_error === null ? NONE
        : (state.reward_prediction_error < 0 ? "−" : "+") + number(Math.abs(state.reward_prediction_error), 2)],
      ["Steps a second", number(state.steps_per_second, 0)],
      ["Steps", number(state.steps, 0)],
    ];
    if (state.threshold !== null) {
      figures.push(["Solved after", state.solved_after === null ? "not yet" : number(state.solved_after, 0)]);
      say(byId("threshold-text"), `solved at ${state.threshold}`);
    }
    byId("threshold-legend").hidden = state.threshold === null;
    rows(byId("figures"), figures, pair);
    const noise = state.noise;
    const noiseRows = [["source", noise.mode || NONE]];
    if (noise.healthy !== null) noiseRows.push(["health", noise.healthy ? "healthy" : noise.health]);
    if (noise.soft_alarms !== null) noiseRows.push(["soft alarms", number(noise.soft_alarms, 0)]);
    if (noise.failed_draws !== null) noiseRows.push(["failed draws", number(noise.failed_draws, 0)]);
    rows(byId("noise"), noiseRows, tableRow(1));
    if (noise.healthy !== null) {
      byId("noise").children[1].children[1].className = `number ${noise.healthy ? "good-text" : "bad-text"}`;
    }
    const saturation = Object.entries(state.saturation);
    byId("saturation-card").hidden = saturation.length === 0;
    rows(byId("saturation"), saturation.map(([name, count]) => [name.replaceAll("_", " "), number(count, 0)]), tableRow(1));
    const link = Object.entries(state.link);
    byId("link-card").hidden = link.length === 0;
    rows(byId("link"), link.map(([name, counts]) => [name.replaceAll("_", " "), ...counts.map((count) => number(count, 0))]), tableRow(2));
    showControls();
  }

  function showControls() {
    const pause = byId("pause");
    const held = state.state === "paused" || state.state === "pausing";
    say(pause, held ? "Resume" : "Pause after this episode");
    pause.dataset.command = held ? "resume" : "pause";
    const locked = token === "" && (state.can_pause || state.can_snapshot);
    pause.disabled = asking || locked || !state.can_pause;
    byId("snapshot").disabled = asking || locked || !state.can_snapshot;
    const hint = locked ? "To pause the run or keep a snapshot, open the address that nrl-edge monitor printed: it holds a token." : state.remark;
    say(byId("message"), told || hint);
  }

  // Commands

  async function ask(command) {
    asking = true;
    told = "";
    showControls();
    try {
      const reply = await fetch("/command", {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-Monitor-Token": token },
        body: JSON.stringify({ command }),
      });
      told = (await reply.json()).message;
    } catch {
      told = "The monitor does not answer; was it ended?";
    }
    asking = false;
    showControls();
    // What was told gives way to what the run says of itself.
    setTimeout(() => { told = ""; if (state) showControls(); }, 4000);
  }
  byId("pause").addEventListener("click", (event) => ask(event.currentTarget.dataset.command || "pause"));
  byId("snapshot").addEventListener("click", () => ask("snapshot"));

  // Curves

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const charts = {};

  function axes(label) {
    const all = { stroke: style("--muted"), grid: { stroke: style("--grid"), width: 1 }, ticks: { show: false }, font: `13px ${style("--font")}`, labelFont: `13px ${style("--font")}` };
    return [
      { ...all, label: "episode", grid: { show: false }, labelSize: 22, size: 34 },
      { ...all, label, labelSize: 22, size: 58, space: 30 },
    ];
  }

  function chart(id, make, data) {
    const holder = byId(id);
    if (!charts[id]) {
      charts[id] = new uPlot({ width: holder.clientWidth, height: holder.clientHeight, pxAlign: 0, ...shared(id), ...make() }, data, holder);
    } else {
      charts[id].setData(data);
    }
  }

  // Under the pointer, or moved by the arrow keys: the figures of one episode, in words.
  const readouts = {
    "return-chart": (at) => {
      const exact = curves.least[at] === curves.largest[at];
      const range = exact ? "" : ` (${number(curves.least[at])} to ${number(curves.largest[at])})`;
      return `Episode ${number(curves.episode[at], 0)}: return ${number(curves.return[at])}${range}, mean of the last 100 ${number(curves.mean_return_100[at])}.`;
    },
    "rpe-chart": (at) => `Episode ${number(curves.episode[at], 0)}: prediction error ${number(curves.rpe[at], 2)}.`,
  };
  const shared = (id) => ({
    scales: { x: { time: false } },
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, y: false },
    hooks: {
      setCursor: [(self) => {
        const at = self.cursor.idx;
        say(byId(id.replace("chart", "readout")), at === null || at === undefined || curves.episode[at] === undefined ? "" : readouts[id](at));
      }],
    },
  });
  for (const id of Object.keys(readouts)) {
    byId(id).addEventListener("keydown", (event) => {
      const plot = charts[id];
      const moves = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
      if (!plot || !(event.key in moves)) return;
      event.preventDefault();
      const last = curves.episode.length - 1;
      const from = plot.cursor.idx ?? last;
      const at = Math.max(0, Math.min(last, from + moves[event.key]));
      plot.setCursor({ left: plot.valToPos(curves.episode[at], "x"), top: 0 });
    });
  }

  function forgetCharts() {
    for (const id of Object.keys(charts)) {
      charts[id].destroy();
      delete charts[id];
    }
  }

  const line = (colour, width, more) => ({ stroke: style(colour), width, points: { show: false }, ...more });

  function returnChart() {
    return {
      axes: axes("return"),
      bands: [{ series: [2, 1], fill: style("--band") }],
      series: [
        {},
        { stroke: "transparent", width: 0, points: { show: false } },
        { stroke: "transparent", width: 0, points: { show: false } },
        line("--mean", 1),
        line("--series-1", 3),
        line("--ink", 1, { dash: [3, 5] }),
      ],
    };
  }

  function errorChart() {
    return { axes: axes("error"), series: [{}, line("--series-2", 1.5), line("--muted", 1)] };
  }

  function showCurves() {
    const x = curves.episode;
    if (x.length === 0) {
      say(byId("return-note"), "No episode has ended yet.");
      return;
    }
    const constant = (value) => x.map(() => value);
    const threshold = state && state.threshold !== null ? constant(state.threshold) : constant(null);
    chart("return-chart", returnChart, [x, curves.least, curves.largest, curves.return, curves.mean_return_100, threshold]);
    const per = x.length > 1 ? x[1] - x[0] : 1;
    say(byId("return-note"), per > 1
      ? `Bold: mean of the last 100 episodes. Each point stands for ${per} episodes: their mean, in a band from the least to the largest return.`
      : "Bold: mean of the last 100 episodes. Thin: every episode.");
    const hasError = curves.rpe.some((value) => value !== null);
    byId("rpe-card").hidden = !hasError;
    if (hasError) chart("rpe-chart", errorChart, [x, curves.rpe, constant(0)]);
    const now = Date.now();
    if (now - describedAt > 5000) {
      describedAt = now;
      const last = curves.mean_return_100.at(-1);
      byId("return-chart").setAttribute("aria-label", `Learning curve over ${number(x.at(-1), 0)} episodes; the mean of the last 100 returns is ${number(last)}.`);
      if (hasError) byId("rpe-chart").setAttribute("aria-label", `Reward prediction error over ${number(x.at(-1), 0)} episodes; the last is ${number(curves.rpe.at(-1), 2)}.`);
    }
  }

  // Heat maps

  function paint(canvas, columns, count, cell) {
    canvas.width = columns;
    canvas.height = count;
    const context = canvas.getContext("2d");
    const image = context.createImageData(columns, count);
    for (let index = 0; index < columns * count; index++) {
      const [[red, green, blue], alpha] = cell(index);
      image.data.set([red, green, blue, Math.round(255 * alpha)], 4 * index);
    }
    context.putImageData(image, 0, 0);
  }

  function showNetwork() {
    byId("weights-card").hidden = false;
    const after = `after ${number(network.episodes, 0)} episodes`;
    say(byId("weights-note"), `Of the newest snapshot, ${after}. Blue is negative, orange is positive; each map has a scale of its own.`);
    const holder = byId("weights");
    while (holder.children.length > network.layers.length) holder.lastElementChild.remove();
    while (holder.children.length < network.layers.length) {
      const figure = document.createElement("figure");
      const canvas = document.createElement("canvas");
      canvas.className = "map";
      canvas.setAttribute("role", "img");
      figure.append(document.createElement("figcaption"), canvas);
      holder.append(figure);
    }
    network.layers.forEach((layer, index) => {
      const [caption, canvas] = holder.children[index].children;
      say(caption, `${layer.name}, ${layer.weights}: ±${layer.limit}`);
      canvas.setAttribute("aria-label", `Heat map of the ${layer.weights} weights of the ${layer.name}, from ${-layer.limit} to ${layer.limit}`);
      paint(canvas, layer.columns, layer.rows, (cell) => {
        const value = layer.values[cell];
        return [COLOURS[value < 0 ? 0 : 1], 0.04 + 0.96 * Math.abs(value) / 100];
      });
      canvas.style.height = `${Math.max(24, Math.min(180, 14 * layer.rows))}px`;
    });
    const policy = network.policy;
    byId("policy-card").hidden = policy === null;
    if (policy === null) return;
    say(byId("policy-note"), `Which action the agent prefers ${after}, fading with doubt; the other inputs are at rest.`);
    say(byId("policy-x"), `${policy.x_label}: ${policy.x_range[0]} to ${policy.x_range[1]}`);
    say(byId("policy-y"), `${policy.y_label}: ${policy.y_range[0]} to ${policy.y_range[1]}`);
    const canvas = byId("policy");
    const share = policy.actions.map((name, action) => `${name} ${Math.round(100 * policy.preferred.filter((each) => each === action).length / policy.preferred.length)}%`);
    canvas.setAttribute("aria-label", `Map of the preferred action by ${policy.x_label} and ${policy.y_label}: ${share.join(", ")}.`);
    paint(canvas, policy.columns, policy.rows, (cell) => [COLOURS[policy.preferred[cell] % COLOURS.length], 0.06 + 0.9 * policy.certainty[cell] / 100]);
    const legend = byId("policy-legend");
    if (legend.children.length !== policy.actions.length) {
      legend.replaceChildren(...policy.actions.map((name, action) => {
        const item = document.createElement("li");
        const swatch = document.createElement("canvas");
        paint(swatch, 1, 1, () => [COLOURS[action % COLOURS.length], 1]);
        item.append(swatch, name);
        return item;
      }));
    }
  }

  // Drawing: at most once a frame, and not at all while nobody looks

  let waiting = false;
  function draw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      const due = dirty;
      dirty = {};
      if (due.state && state) showState();
      if ((due.curves || due.theme) && curves) showCurves();
      if (due.network && network) showNetwork();
    });
  }
  const later = (what) => { dirty[what] = true; draw(); };

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { forgetCharts(); later("theme"); });
  let width = 0;
  new ResizeObserver(() => {
    if (byId("return-chart").clientWidth === width) return;
    width = byId("return-chart").clientWidth;
    for (const id of Object.keys(charts)) charts[id].setSize({ width: byId(id).clientWidth, height: byId(id).clientHeight });
  }).observe(byId("return-chart"));

  // Events

  const events = new EventSource("/events");
  events.addEventListener("state", (event) => { state = JSON.parse(event.data); later("state"); });
  events.addEventListener("curves", (event) => { curves = JSON.parse(event.data); later("curves"); });
  events.addEventListener("network", (event) => { network = JSON.parse(event.data); later("network"); });
  events.addEventListener("failure", (event) => {
    events.close();
    lost(JSON.parse(event.data).message);
  });
  events.addEventListener("error", () => lost("The monitor does not answer; was it ended? This page goes on when it is back."));
  function lost(text) {
    byId("state").className = "badge bad";
    say(byId("state"), "no connection");
    told = text;
    say(byId("message"), text);
    for (const button of document.querySelectorAll("button")) button.disabled = true;
  }
  events.addEventListener("open", () => { told = ""; });
})();
