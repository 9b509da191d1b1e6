"""The `nrl-edge` command as users and programs meet it: help, JSON lines, exit codes, and never a traceback."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from host_helpers import COMMAND, Finished, call, run_target, spawn, write_experiment

from nrl_edge.agent import EntropySettings
from nrl_edge.experiment import load_experiment, resolve_agent
from nrl_edge.record import HEADER_BYTES, TERMINATED, entry_dtype, read_record
from nrl_edge.runs import RunFolder
from nrl_host.device import LinkAgent
from nrl_host.link import Link
from nrl_host.targets.desktop import DesktopTarget

VERBS = (
    *("new", "train", "generate", "export", "key", "budget", "build", "flash", "sim", "hil"),
    *("replay", "report", "sweep", "study", "validate", "profile", "boards", "ports", "doctor", "monitor", "demo"),
)
RESULT_KEYS = {
    *("target", "task", "seed", "episodes", "steps"),
    *("mean_return_last_100", "episodes_to_threshold", "weights_crc32", "steps_per_second"),
}
FAULTY = '''
import gymnasium
import numpy as np


class Faulty(gymnasium.Env):
    """Ten steps an episode; in step 4 of episode `episode` it does what `fault` says."""

    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, fault="none", episode=0):
        space = gymnasium.spaces.Box(-1.0, 1.0, (3,), np.float32)
        self.observation_space = gymnasium.spaces.Dict({"a": space}) if fault == "dict" else space
        if fault == "constructor":
            raise RuntimeError("no such joystick")
        self.fault, self.fault_episode, self.episode, self.steps = fault, episode, -1, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode += 1
        self.steps = 0
        return np.zeros(3, np.float32), {}

    def step(self, action):
        self.steps += 1
        observation, reward = np.full(3, 0.1 * self.steps, np.float32), 1.0
        if (self.episode, self.steps) == (self.fault_episode, 4):
            if self.fault in ("nan", "inf"):
                observation[1] = float(self.fault)
            elif self.fault == "shape":
                observation = np.zeros(4, np.float32)
            elif self.fault == "reward":
                reward = float("nan")
        return observation, reward, self.steps >= 10, False, {}


gymnasium.register("Faulty-v0", Faulty)
'''


class WideEnvironment(gymnasium.Env[Any, Any]):
    """Has one input more than an agent in fixed point."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (65,))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.observation_space.sample(), 1.0, True, False, {}


class Command:
    """The command in this process, inside a test."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: object) -> Finished:
        return call(self._capsys, self._monkeypatch, *arguments)

    def fails(self, code: int, *arguments: object) -> str:
        """Both forms of an error: one message on standard error, and with --json one last object. Returns it."""
        plain = self(*arguments)
        assert (plain.code, plain.out) == (code, ""), plain.err
        assert plain.err.strip() and "Traceback" not in plain.err
        with_json = self(*arguments, "--json")
        assert with_json.code == code
        assert with_json.err == plain.err
        assert set(with_json.result) == {"error", "exit_code"}
        assert with_json.result["exit_code"] == code
        message = str(with_json.result["error"])
        assert message and message in plain.err
        return message


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capsys, monkeypatch)


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    return write_experiment(tmp_path / "agent", episodes=6)


# Help and version


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(command: Command, verb: str) -> None:
    shown = command(verb, "--help")
    assert (shown.code, shown.err) == (0, "")
    text = " ".join(shown.out.split())
    assert f"Example: nrl-edge {verb}" in text
    assert "--json" in text and "--quiet" in text


def test_the_command_itself_lists_every_verb(command: Command) -> None:
    shown = command("--help")
    assert shown.code == 0
    assert [verb for verb in VERBS if f"  {verb} " not in shown.out] == []
    assert "..." not in shown.out.partition("Commands:")[2], "a line that is cut off says half of what it means"
    assert command("--version").out.startswith("nrl-edge ")


# Results


@pytest.mark.parametrize("target", ["reference", "native", "desktop"])
def test_sim_ends_with_the_documented_result(command: Command, experiment: Path, target: str) -> None:
    ended = command("sim", experiment, "--target", target, "--seed", 7, "--episodes", 3, "--json")
    assert (ended.code, ended.err) == (0, "")
    result = ended.result
    assert set(result) >= RESULT_KEYS
    assert (result["target"], result["task"], result["seed"], result["episodes"]) == (target, "CartPole-v1", 7, 3)
    assert result["steps"] > 0 and result["steps_per_second"] > 0
    assert result["mean_return_last_100"] == pytest.approx(result["steps"] / 3)
    assert result["episodes_to_threshold"] is None
    expected = run_target(load_experiment(experiment).with_overrides(seed=7, episodes=3), "reference")
    assert result["weights_crc32"] == expected.weights_crc32
    assert len(result["weights_crc32"]) == 8


def test_every_verb_ends_with_its_result_as_json(command: Command, tmp_path: Path) -> None:
    def result(*arguments: object) -> dict[str, Any]:
        ended = command(*arguments, "--json")
        assert (ended.code, ended.err) == (0, "")
        return ended.result

    path = Path(result("new", tmp_path / "agent")["experiment"])
    assert path == tmp_path / "agent" / "experiment.toml"
    generated = result("generate", path)
    assert Path(generated["project"]) == tmp_path / "agent" / "firmware"
    assert all((Path(generated["project"]) / name).is_file() for name in generated["files"])
    trained = result("train", path, "--episodes", 2, "--run", tmp_path / "float")
    assert set(trained) >= RESULT_KEYS and trained["weights_crc32"] is None
    run = tmp_path / "run"
    assert result("sim", path, "--episodes", 2, "--run", run, "--target", "native")["run"] == str(run)
    assert result("replay", run)["match"] is True
    assert Path(result("report", run, tmp_path / "float", "--output", tmp_path / "r.html")["report"]).is_file()
    swept = result("sweep", path, "--seeds", "5:7", "--episodes", 2, "--arithmetic", "float64,tiny")
    assert [row["arithmetic"] for row in swept["rows"]] == ["float64", "tiny"]
    assert [row["seeds"] for row in swept["rows"]] == [2, 2]
    assert result("boards", "desktop")["id"] == "desktop"
    listed = command("boards", "--json")
    assert [each["id"] for each in listed.lines] == [*dict.fromkeys(each["id"] for each in listed.lines)]


def test_a_dry_run_says_what_would_be_written_and_writes_nothing(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    would = command("new", folder, "--dry-run", "--json")
    assert would.result == {"experiment": str(folder / "experiment.toml"), "written": False}
    assert not folder.exists()
    path = Path(command("new", folder, "--json").result["experiment"])
    would = command("generate", path, "--dry-run", "--json")
    assert would.code == 0 and would.result["written"] is False and not (folder / "firmware").exists()
    written = command("generate", path, "--json").result
    assert written["files"] == would.result["files"] and written["written"] is True
    assert "src/main.c" in command("generate", path, "--dry-run").out
    # What would be refused is refused.
    assert "exists already" in command.fails(2, "new", folder, "--dry-run")


def test_quiet_says_the_result_and_nothing_else(command: Command, experiment: Path) -> None:
    loud = command("sim", experiment, "--target", "native")
    quiet = command("sim", experiment, "--target", "native", "--quiet")
    assert loud.code == quiet.code == 0
    for ended in (loud, quiet):
        assert "weights CRC-32" in ended.out and ended.err == ""
    swept = [command("sweep", experiment, "--seeds", "1,2", *more).out for more in ((), ("--quiet",))]
    assert "episodes until" in swept[0] and "episodes until" not in swept[1]
    assert "int16" in swept[1]


def test_new_names_the_verb_that_can_run_what_it_wrote(command: Command, tmp_path: Path) -> None:
    def next_verb(folder: str, *arguments: object) -> tuple[str, str]:
        ended = command("new", tmp_path / folder, *arguments)
        assert ended.code == 0
        verb = ended.out.split("next: nrl-edge ")[1].split()[0]
        assert command(verb, tmp_path / folder / "experiment.toml", "--episodes", 1).code == 0
        return verb, ended.err

    assert next_verb("usual", "--hidden", 4) == ("sim", "")
    # As published: float64 only, without a clip and without a scale.
    assert next_verb("paper", "--preset", "paper") == ("train", "")
    published = load_experiment(tmp_path / "paper" / "experiment.toml")
    assert (published.arithmetic.kind, published.learning.clip, published.task.observation_scale) == (
        "float64",
        None,
        1,
    )
    # Sixty-four inputs are what fixed point takes.
    gymnasium.register("test/Wide-v0", WideEnvironment)
    verb, warning = next_verb("wide", "--task", "test/Wide-v0")
    assert verb == "train" and "takes 1 to 64. Wrap the environment" in warning
    assert "observation_scale" not in warning


def test_a_scale_that_does_not_fit_the_task_is_refused_by_every_verb_and_leaves_nothing(
    command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "experiment.toml"
    for line, said in (
        ("observation_scale = [1, 8]", "has 2 entries, but"),
        ("action_scale = 1", "is for Box actions"),
    ):
        path.write_text(f'[task]\nid = "CartPole-v1"\n{line}\n', encoding="utf-8")
        for verb in (("train", "--run", tmp_path / "run"), ("sweep",), ("sim", "--target", "native"), ("budget",)):
            message = command.fails(2, verb[0], path, *verb[1:])
            assert message.startswith(f"{path}: ") and said in message
        assert not (tmp_path / "run").exists()


def test_a_threshold_is_spoken_of_where_there_is_one(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "experiment.toml"
    for threshold, said in (("", "seed 42\n"), ("threshold = 400", "seed 42: threshold not reached\n")):
        path.write_text(f'[task]\nid = "CartPole-v1"\n{threshold}\n[network]\nhidden = [2]\n', encoding="utf-8")
        for verb in (("train",), ("sim", "--target", "native")):
            assert said in command(verb[0], path, *verb[1:], "--episodes", 2).out


def test_paths_are_shown_as_they_are(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "a [bold]b[/bold] :smile: c"
    assert f"wrote {folder / 'experiment.toml'}\n" in command("new", folder).out


def test_names_of_devices_are_shown_as_they_are(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from nrl_host import board_ports
    from nrl_host.link.ports import PortInformation

    found = [PortInformation("/dev/ttyACM0", "Serial [link] :warning:", None, None)]
    monkeypatch.setattr(board_ports, "list_ports", lambda: found)
    assert "Serial [link] :warning:" in command("ports").out


# Exit codes


def test_exit_code_1_where_the_run_fails(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = faulty(tmp_path, monkeypatch, "nan")
    assert "NaN" not in command.fails(1, "sim", path, "--target", "native")


def test_exit_code_4_without_a_compiler(
    command: Command, experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "ziglang" else find_spec(name))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    for target in ("native", "desktop"):
        message = command.fails(4, "sim", experiment, "--target", target)
        assert "nrl-edge[compiler]" in message and "apt-get install" in message
    assert command("sim", experiment, "--target", "reference", "--json").code == 0
    monkeypatch.setenv("CC", "no-such-compiler")
    assert "no-such-compiler" in command.fails(4, "sim", experiment, "--target", "native")


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_exit_code_3_where_the_port_is_no_device(command: Command, experiment: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no device", encoding="utf-8")
    for port in (
        f"socket://127.0.0.1:{unused_port()}",
        "socket://127.0.0.1:99999",
        "socket://127.0.0.1:abc",
        "unknown://x",
        "/dev/null",
        "",
        tmp_path,
        tmp_path / "file",
        tmp_path / "nothing",
    ):
        said = command.fails(3, "hil", experiment, "--port", port)
        assert str(port) in said, port


@contextlib.contextmanager
def peer_that_hangs_up() -> Iterator[str]:
    """A server whose first connection is closed as soon as it says something."""
    program = (
        "import socket\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "print(server.getsockname()[1], flush=True)\n"
        "while True:\n"
        "    connection, _ = server.accept()\n"
        "    connection.recv(1)\n"
        "    connection.close()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"socket://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def test_exit_code_3_where_something_else_answers(command: Command, experiment: Path) -> None:
    with peer_that_hangs_up() as url:
        assert url in command.fails(3, "hil", experiment, "--port", url)


@pytest.mark.slow
def test_wrong_usage_is_exit_code_2_and_one_message(command: Command, experiment: Path, tmp_path: Path) -> None:
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\0\1")
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "run.json").write_text("{", encoding="utf-8")
    run = tmp_path / "run"
    run_target(experiment, "native", run=run)
    wrong: tuple[tuple[object, ...], ...] = (
        ("frobnicate",),
        ("sim",),
        ("sim", experiment, "--target", "moon"),
        ("sim", experiment, "--episodes", "many"),
        ("sim", experiment, "--episodes", "0"),
        ("sim", experiment, "--seed", "-1"),
        ("sim", experiment, "--seed", str(1 << 64)),
        ("sim", experiment, "--frobnicate"),
        ("sim", tmp_path / "nothing.toml"),
        ("sim", tmp_path),
        ("sim", binary),
        ("sim", sys.executable),
        ("sim", experiment, "--run", experiment),
        ("sim", experiment, "--target", "native", "--run", run),
        ("hil", experiment),
        ("new", tmp_path / "new", "--task", "Nowhere-v0"),
        ("new", tmp_path / "new", "--task", "no_such_module:Env-v0"),
        ("new", tmp_path / "new", "--task", "NRL/NoSuch-v0"),
        ("new", experiment.parent),
        ("new", experiment),
        ("generate", experiment, "--output", experiment.parent),
        ("generate", experiment, "--output", experiment),
        ("build", tmp_path),
        ("build", tmp_path / "nothing"),
        ("replay", tmp_path / "nothing"),
        ("replay", damaged),
        ("report", damaged),
        ("train", experiment, "--run", run),
        ("sweep", experiment, "--seeds", "5:5"),
        ("sweep", experiment, "--seeds", "1,1"),
        ("sweep", experiment, "--seeds", "1:2:3"),
        ("sweep", experiment, "--seeds", str(1 << 64), "--arithmetic", "tiny"),
        ("sweep", experiment, "--seeds", "0:99999999999"),
        ("sweep", experiment, "--arithmetic", "int32"),
        ("boards", "moon"),
    )
    for arguments in wrong:
        command.fails(2, *arguments)
    assert not (tmp_path / "new").exists()


def test_ctrl_c_while_the_command_is_still_being_imported_is_no_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupting:
        """Ctrl-C comes when the command's own modules are looked for."""

        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "nrl_host.cli":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "nrl_host.cli", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"]["nrl-edge"] == "nrl_host.__main__:main"
    for arguments, said in (([], ""), (["--json"], '{"error": "interrupted", "exit_code": 1}\n')):
        monkeypatch.setattr(sys, "argv", ["nrl-edge", "boards", *arguments])
        with pytest.raises(SystemExit) as ended:
            importlib.import_module("nrl_host.__main__").main()
        captured = capsys.readouterr()
        assert (ended.value.code, captured.out, captured.err) == (1, said, "nrl-edge: interrupted\n")


def test_no_arguments_show_the_help(command: Command) -> None:
    ended = command()
    assert ended.code == 2
    assert "Usage" in ended.out + ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--version",),
        ("boards", "--json"),
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in (("boards",), ("--help",), ("sim", "nothing.toml", "--json"))
        ),
    ],
    ids=" ".join,
)
def test_a_reader_that_went_away_is_no_reason_for_noise(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*COMMAND, *arguments], stdout=writing, stderr=subprocess.PIPE, text=True, cwd=tmp_path, check=False
        )
    finally:
        os.close(writing)
    errors = [line for line in done.stderr.splitlines() if not line.startswith("nrl-edge: nothing.toml")]
    assert errors == []
    assert done.returncode in (0, 1, 2)


def test_output_that_knows_only_ascii_is_enough(tmp_path: Path) -> None:
    ended = spawn("boards", cwd=tmp_path, variables={"PYTHONIOENCODING": "ascii"})
    assert (ended.code, ended.err) == (0, "")
    assert "desktop" in ended.out


# Environments that misbehave


def faulty(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    episode: int = 0,
    formats: str = "{ observation_frac_bits = 10 }",
) -> Path:
    """An experiment with the environment above, in a module of its own that only this test can import."""
    monkeypatch.delitem(sys.modules, "faulty_environment", raising=False)
    (tmp_path / "faulty_environment.py").write_text(FAULTY, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    import gymnasium

    monkeypatch.delitem(gymnasium.registry, "Faulty-v0", raising=False)
    return write_experiment(
        tmp_path / "agent",
        task="faulty_environment:Faulty-v0",
        scale="1",
        formats=formats,
        task_keys=f'kwargs = {{ fault = "{fault}", episode = {episode} }}',
    )


def test_a_good_environment_of_ones_own_runs(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = faulty(tmp_path, monkeypatch, "none")
    crcs = {
        command("sim", path, "--target", target, "--json").result["weights_crc32"] for target in ("native", "desktop")
    }
    assert len(crcs) == 1


@pytest.mark.parametrize("target", ["reference", "native", "desktop"])
@pytest.mark.parametrize(
    ("fault", "named"),
    [("nan", "input 1 is nan"), ("inf", "input 1 is inf"), ("shape", "shape (4,)"), ("reward", "reward is nan")],
)
def test_a_faulty_environment_is_one_clear_error(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, fault: str, named: str
) -> None:
    path = faulty(tmp_path, monkeypatch, fault, episode=2)
    message = command.fails(1, "sim", path, "--target", target)
    assert named in message
    assert "Faulty-v0" in message
    assert "episode 2, step 4" in message


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("nan", "input 1 is nan"),
        ("inf", "input 1 is inf"),
        ("shape", "shape (4,)"),
    ],
)
def test_a_faulty_environment_is_found_while_formats_are_chosen(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, named: str
) -> None:
    path = faulty(tmp_path, monkeypatch, fault, formats='"auto"')
    assert named in command.fails(1, "sim", path, "--target", "native")
    assert named in command.fails(1, "generate", path)


def test_a_fault_leaves_a_run_that_says_how_far_it_came(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = faulty(tmp_path, monkeypatch, "nan", episode=6)
    assert command("sim", path, "--target", "native", "--run", tmp_path / "run").code == 1
    run = RunFolder.open(tmp_path / "run")
    assert run.info.status == "stopped"
    assert len(run.progress().episode) == 6


@pytest.mark.parametrize(
    ("fault", "named"), [("dict", "gymnasium.wrappers.FlattenObservation"), ("constructor", "no such joystick")]
)
def test_an_environment_that_cannot_be_a_task_is_exit_code_2(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, named: str
) -> None:
    path = faulty(tmp_path, monkeypatch, fault)
    for arguments in (("sim", path), ("train", path), ("generate", path), ("sweep", path)):
        assert named in command.fails(2, *arguments)


# A device behind a port


def test_hil_runs_with_a_device_and_refuses_a_folder_before_the_device_forgets(
    command: Command, experiment: Path, tmp_path: Path
) -> None:
    loaded = load_experiment(experiment)
    configuration = resolve_agent(loaded)
    run = tmp_path / "run"
    with DesktopTarget(configuration, seed=1) as device:
        ended = command("hil", experiment, "--port", device.url, "--run", run, "--json")
        assert ended.code == 0, ended.err
        result = ended.result
        assert set(result) >= RESULT_KEYS
        assert result["target"] == "desktop"
        assert result["weights_crc32"] == run_target(experiment, "reference").weights_crc32
        assert result["link"]["host"]["bad_crc"] == 0
        assert len(RunFolder.open(run).telemetry()) == 6

        command.fails(2, "hil", experiment, "--port", device.url, "--run", run)
        command.fails(2, "hil", experiment, "--port", device.url, "--run", run, "--resume")
        with Link(device.url) as link:
            left = LinkAgent(link, configuration, EntropySettings(), begin=False)
            assert f"{left.weights_crc32():08x}" == result["weights_crc32"], "what it had learned is gone"


def test_hil_refuses_firmware_of_another_experiment_and_says_what_differs(
    command: Command, experiment: Path, tmp_path: Path
) -> None:
    other = write_experiment(tmp_path / "other", hidden=(9, 4), kind="tiny", learning_rate="2^-8")
    run = tmp_path / "run"
    with DesktopTarget(resolve_agent(load_experiment(experiment))) as device:
        message = command.fails(3, "hil", other, "--port", device.url, "--run", run)
    assert "layer sizes: expected 4-9-4-2, found 4-8-2" in message
    assert "parameter bits (B): expected 8, found 16" in message
    assert "learning rate exponent (K): expected 8, found 6" in message
    assert "clip exponent" not in message
    assert not run.exists()


# Replay


@pytest.fixture
def recorded(tmp_path: Path, experiment: Path) -> Path:
    run = tmp_path / "run"
    run_target(experiment, "native", run=run)
    return run


def entry_offset(run: Path, call_number: int) -> int:
    """Where an entry of the record begins in its file."""
    return HEADER_BYTES + call_number * entry_dtype(4).itemsize


def flip(run: Path, offset: int, mask: int) -> None:
    record = run / "record.nrlr"
    data = bytearray(record.read_bytes())
    data[offset] ^= mask
    record.write_bytes(data)


def test_replay_repeats_a_run(command: Command, recorded: Path) -> None:
    ended = command("replay", recorded, "--json")
    assert ended.code == 0
    verdict = ended.result
    assert verdict["match"] is True and verdict["first_difference"] is None
    assert verdict["steps"] == len(read_record(recorded / "record.nrlr"))
    result = RunFolder.open(recorded).result()
    assert result is not None
    assert verdict["weights_crc32"] == verdict["recorded_weights_crc32"] == result["weights_crc32"]
    assert "match" in command("replay", recorded).out


@pytest.mark.parametrize("call_number", [0, 1, 17, 40])
def test_replay_names_the_first_call_whose_answer_was_changed(
    command: Command, recorded: Path, call_number: int
) -> None:
    answer = int(read_record(recorded / "record.nrlr")["action"][call_number])
    flip(recorded, entry_offset(recorded, call_number + 1) - 1, 0x01)
    ended = command("replay", recorded, "--json")
    assert ended.code == 1
    assert ended.result["match"] is False
    assert ended.result["first_difference"] == {
        "call": call_number,
        "what": "action",
        "recorded": str(answer ^ 1),
        "replayed": str(answer),
    }
    plain = command("replay", recorded)
    assert (plain.code, plain.err) == (1, "")
    assert f"call {call_number} differs" in plain.out


def test_replay_finds_an_input_that_was_changed(command: Command, recorded: Path) -> None:
    """A changed input may leave all actions as they are; what was learned from it is different all the same."""
    entries = read_record(recorded / "record.nrlr")
    second_episode = 1 + int(entries["flags"].nonzero()[0][0])
    # The high byte of the cart's position: 16 units instead of about 0.
    flip(recorded, entry_offset(recorded, second_episode + 2) + 1, 0x40)
    ended = command("replay", recorded, "--json")
    assert (ended.code, ended.result["match"]) == (1, False)
    difference = ended.result["first_difference"]
    assert difference is None or difference["call"] >= second_episode + 2


@pytest.mark.parametrize("mask", [TERMINATED, 0x04, 0x80])
def test_replay_names_the_call_of_a_damaged_record(command: Command, recorded: Path, mask: int) -> None:
    flip(recorded, entry_offset(recorded, 1) - 2, mask)
    message = command.fails(1, "replay", recorded)
    assert "record.nrlr is damaged: call 0 " in message


def test_replay_finds_final_weights_that_the_run_did_not_end_with(
    command: Command, recorded: Path, experiment: Path, tmp_path: Path
) -> None:
    other = tmp_path / "shorter"
    run_target(load_experiment(experiment).with_overrides(episodes=4), "native", run=other)
    (recorded / "final.nrls").write_bytes((other / "final.nrls").read_bytes())
    ended = command("replay", recorded, "--json")
    assert (ended.code, ended.result["match"], ended.result["first_difference"]) == (1, False, None)
    assert ended.result["weights_crc32"] != ended.result["recorded_weights_crc32"]


def test_replay_refuses_what_cannot_be_replayed(
    command: Command, experiment: Path, recorded: Path, tmp_path: Path
) -> None:
    run_target(experiment, "native", run=tmp_path / "stopped", stop=lambda: True)
    for _, checkpoint in RunFolder.open(tmp_path / "stopped").checkpoints():
        checkpoint.unlink()
    assert "--resume" in command.fails(2, "replay", tmp_path / "stopped")
    assert command("train", experiment, "--run", tmp_path / "float").code == 0
    assert "float64" in command.fails(2, "replay", tmp_path / "float")
    flip(recorded, 9, 0x01)
    assert "header" in command.fails(2, "replay", recorded)
    (recorded / "record.nrlr").unlink()
    command.fails(2, "replay", recorded)
    info = json.loads((recorded / "run.json").read_text(encoding="utf-8"))
    (recorded / "run.json").write_text(json.dumps(info | {"entropy_mode": "raw"}), encoding="utf-8")
    assert "holds no recorded noise" in command.fails(2, "replay", recorded)
