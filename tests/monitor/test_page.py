"""The monitor's page in a real Chromium, with runs going on: what it shows and asks, and what it costs."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser import chromium, console_errors, heap_bytes, kill_browser

from nrl_edge.experiment import load_experiment
from nrl_edge.runs import RunFolder
from nrl_edge.runs.control import read_live
from nrl_edge.simulation import simulate
from nrl_host.monitor import MonitorServer, RunSource

pytestmark = pytest.mark.slow

COMMAND = (sys.executable, "-c", "from nrl_host.cli import main; main()")
DEADLINE_SECONDS = 120.0
WINDOWS = [(1280, 900), (390, 844)]


def write_experiment(folder: Path, episodes: int) -> Path:
    path = folder / "experiment.toml"
    path.write_text(
        '[task]\nid = "CartPole-v1"\nobservation_scale = [1, 1, 8, 1]\nthreshold = 475\n[network]\nhidden = [8]\n'
        f'[learning]\nlearning_rate = "2^-6"\nclip = 0.5\nepisodes = {episodes}\n[run]\ncheckpoint_every = 50\n',
        encoding="utf-8",
    )
    return path


def wait_for(what: Callable[[], Any]) -> Any:
    """What `what` returns once it is true; looked at again and again."""
    pause, deadline = threading.Event(), time.monotonic() + DEADLINE_SECONDS
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come true"
        pause.wait(0.05)
    return found


@contextmanager
def process(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    running = subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def text(driver: Any, name: str) -> str:
    return str(driver.execute_script("return document.getElementById(arguments[0]).textContent", name))


def figure(driver: Any, name: str) -> str:
    """The value of one of the figures by its label."""
    script = (
        "const box = [...document.querySelectorAll('#figures div')]"
        ".find((each) => each.children[0].textContent === arguments[0]);"
        "return box ? box.children[1].textContent : ''"
    )
    return str(driver.execute_script(script, name))


def episode(driver: Any) -> int:
    return int(figure(driver, "Episode").split(" of ")[0].replace(",", "") or 0)


def test_a_run_is_watched_paused_and_let_go_and_survives_every_onlooker(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, episodes=100_000)
    run = tmp_path / "run"
    with process("sim", path, "--target", "native", "--run", run, "--quiet") as running:
        wait_for(lambda: read_live(run))
        with process("monitor", run, "--web", "--json") as monitor:
            assert monitor.stdout is not None
            url = json.loads(monitor.stdout.readline())["url"]
            with chromium(tmp_path / "browser") as driver:
                driver.get(url)
                wait_for(lambda: episode(driver) > 20)
                assert text(driver, "title") == "CartPole-v1 on native" and text(driver, "state") == "running"
                assert driver.title.startswith("running · CartPole-v1")
                driver.find_element("id", "pause").click()
                wait_for(lambda: text(driver, "state") == "paused")
                held = wait_for(lambda: (live := read_live(run)) and live["state"] == "paused" and live["episodes"])
                assert text(driver, "pause") == "Resume"
                wait_for(lambda: episode(driver) == held)
                driver.find_element("id", "snapshot").click()
                name = f"checkpoints/episode_{held:06d}.nrls"
                wait_for(lambda: name in text(driver, "message"))
                wait_for(lambda: f"after {held:,} episodes" in text(driver, "weights-note"))
                assert read_live(run)["episodes"] == held, "a held run goes on"  # type: ignore[index]
                driver.find_element("id", "pause").click()
                wait_for(lambda: text(driver, "state") == "running")
                wait_for(lambda: episode(driver) > held)
                wait_for(lambda: figure(driver, "Steps a second") != "–")
                assert console_errors(driver) == []
                # A browser that dies, then a monitor that dies.
                kill_browser(tmp_path / "browser")
            monitor.kill()
            monitor.wait()
        seen = RunFolder.open(run).progress().episode[-1]
        wait_for(lambda: RunFolder.open(run).progress().episode[-1] > seen)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=DEADLINE_SECONDS)
        assert (running.returncode, err) == (0, "")
    ours = RunFolder.open(run)
    episodes, last = ours.checkpoints()[-1]
    whole = load_experiment(path).with_overrides(episodes=episodes)
    simulate(whole, "native", run=tmp_path / "whole")
    theirs = RunFolder.open(tmp_path / "whole")
    assert ours.progress().episode_return.tolist() == theirs.progress().episode_return.tolist()
    assert last.read_bytes() == theirs.final_snapshot()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MonitorServer]:
    folder = tmp_path_factory.mktemp("finished")
    path = write_experiment(folder, episodes=150)
    simulate(load_experiment(path), "native", run=folder / "run")
    with MonitorServer(RunSource(folder / "run")) as server:
        yield server


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", WINDOWS, ids=["wide", "narrow"])
def test_the_page_fits_its_window(finished: MonitorServer, tmp_path: Path, size: tuple[int, int], dark: bool) -> None:
    with chromium(tmp_path / "browser", dark=dark, size=size) as driver:
        driver.get(finished.url)
        wait_for(lambda: episode(driver) == 150)
        wait_for(lambda: driver.find_elements("css selector", "#return-chart canvas"))
        wide = driver.execute_script(
            "return [...document.querySelectorAll('main *')].filter((each) => !each.closest('.chart') &&"
            " each.getBoundingClientRect().right > innerWidth + 1).map((each) => each.id || each.tagName)"
        )
        assert wide == [] and driver.execute_script("return document.documentElement.scrollWidth") <= size[0]
        small = driver.execute_script(
            "return [...document.querySelectorAll('button')].filter((each) => each.offsetHeight < 44).length"
        )
        assert small == 0, "buttons are large enough for a finger"
        # What is drawn follows the theme, not only what is written.
        colour = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", colour)[:3])) < 200) is dark
        assert console_errors(driver) == []


def test_the_page_by_keyboard_and_for_screen_readers(finished: MonitorServer, tmp_path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    with chromium(tmp_path / "browser") as driver:
        driver.get(finished.url)
        wait_for(lambda: driver.find_elements("css selector", "#return-chart canvas"))
        chart = driver.find_element("id", "return-chart")
        # The buttons of a finished run are off: the first stop of the Tab key is the chart.
        driver.find_element("tag name", "body").send_keys(Keys.TAB)
        assert driver.switch_to.active_element == chart
        chart.send_keys(Keys.HOME)
        wait_for(lambda: text(driver, "return-readout").startswith("Episode 1: return"))
        chart.send_keys(Keys.ARROW_RIGHT)
        wait_for(lambda: text(driver, "return-readout").startswith("Episode 2: return"))
        chart.send_keys(Keys.END)
        wait_for(lambda: text(driver, "return-readout").startswith("Episode 150: return"))
        assert driver.execute_script("return getComputedStyle(arguments[0]).outlineStyle", chart) == "solid"
        assert "150 episodes" in chart.get_attribute("aria-label")
        unnamed = driver.execute_script(
            "return [...document.querySelectorAll('[role=img]')].filter((each) => !each.closest('[hidden]') &&"
            " !each.getAttribute('aria-label')).map((each) => each.id)"
        )
        assert unnamed == []
        assert driver.execute_script("return document.querySelectorAll('h1').length") == 1


def test_without_the_token_the_page_shows_and_asks_nothing(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, episodes=100_000)
    run = tmp_path / "run"
    with process("sim", path, "--target", "native", "--run", run, "--quiet"):
        wait_for(lambda: read_live(run))
        with MonitorServer(RunSource(run)) as server, chromium(tmp_path / "browser") as driver:
            driver.get(server.url.split("#")[0])
            wait_for(lambda: episode(driver) > 0)
            wait_for(lambda: "token" in text(driver, "message"))
            assert not driver.find_element("id", "pause").is_enabled()
            assert not driver.find_element("id", "snapshot").is_enabled()
            assert console_errors(driver) == []


def test_memory_does_not_grow_with_the_run(tmp_path: Path) -> None:
    """400,000 steps a batch, as 2,000 steps a second give in 200 seconds, thirty times over."""
    experiment = load_experiment(write_experiment(tmp_path, episodes=2_000_000))
    with (
        RunFolder.create(tmp_path / "run", experiment, "float64", tensorboard=False) as run,
        MonitorServer(RunSource(run.path)) as server,
        chromium(tmp_path / "browser") as driver,
    ):
        driver.get(server.url)
        heaps, points = [], []
        for batch in range(30):
            for _ in range(4000):
                run.log_episode(float(run.episodes % 500), 100, elapsed_seconds=run.episodes / 20)
            run.flush()
            wait_for(lambda: episode(driver) == run.episodes)
            if batch in (9, 19, 29):
                heaps.append(heap_bytes(driver))
                points.append(driver.execute_script("return document.querySelectorAll('*').length"))
        assert max(heaps) < heaps[0] + 500_000, heaps
        assert len(set(points)) == 1, "elements pile up"
        assert figure(driver, "Steps a second") == "2,000"
        assert "Each point stands for" in text(driver, "return-note")
        assert console_errors(driver) == []
