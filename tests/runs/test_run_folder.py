from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrl_edge.agent import EntropySettings
from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.experiment import Experiment, agent_configuration, explicit_experiment, parse_experiment
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.fixedpoint.reference import ReferenceAgent
from nrl_edge.record import read_record
from nrl_edge.runs import RunFolder, snapshot_info, snapshot_weights
from nrl_edge.runs.folder import FLUSH_EPISODES

TEXT = '[task]\nid = "CartPole-v1"\nthreshold = 20\n[network]\nhidden = [3]\n[learning]\nepisodes = 40\n'
EXPERIMENT = parse_experiment(TEXT)
AGENT = agent_configuration(EXPERIMENT, 4, 2, 10)


def run_episodes(run: RunFolder, agent: ReferenceAgent, record: Any, episodes: int, every: int = 5) -> None:
    """Episodes whose contents depend on their number and on the agent only, so that a resumed run must repeat them."""
    for _ in range(episodes):
        number = agent.episodes
        generator = np.random.default_rng(number)
        length = 1 + number % 4
        for step in range(length + 1):
            observation = generator.integers(-2000, 2000, 4).astype(np.int16)
            ended = step == length
            action = agent.step(observation, 256 if step else 0, ended, False)
            record.append(observation, 256 if step else 0, int(ended), action)
        run.log_episode(float(length), length, elapsed_seconds=0.5 * run.episodes)
        run.log_telemetry(run.episodes, {"steps": agent.steps, "weight": agent.counters().weight})
        if run.episodes % every == 0:
            run.save_checkpoint(agent.snapshot())


def whole_run(path: Path, episodes: int = 23) -> tuple[RunFolder, ReferenceAgent]:
    agent = ReferenceAgent(AGENT, EntropySettings(seed=42))
    run = RunFolder.create(path, EXPERIMENT, "reference", agent=AGENT, extra={"build": "abc"}, tensorboard=False)
    run_episodes(run, agent, run.open_record(), episodes)
    return run, agent


def test_a_run_is_kept_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "one"
    agent = ReferenceAgent(AGENT, EntropySettings(seed=42))
    with RunFolder.create(path, EXPERIMENT, "reference", agent=AGENT, extra={"build": "abc"}) as run:
        run_episodes(run, agent, run.open_record(), 23)
        assert run.mean_return_100 == pytest.approx(np.mean([1 + n % 4 for n in range(23)]))
        run.update_extra(port="COM3")
        run.save_final(agent.snapshot())
        run.save_weights(snapshot_weights(agent.snapshot(), AGENT))
        run.finish({"solved": None, "crc": agent.weights_crc32()})
    again = RunFolder.open(path)
    assert (again.info.status, again.info.target, again.info.seed) == ("finished", "reference", 42)
    assert again.info.extra == {"build": "abc", "port": "COM3"}
    assert again.experiment == explicit_experiment(EXPERIMENT, AGENT.formats) and again.agent == AGENT
    assert again.experiment.task.observation_scale == (1.0, 1.0, 8.0, 1.0)
    assert "auto" not in (path / "experiment.toml").read_text()
    progress = again.progress()
    assert progress.episode.tolist() == list(range(1, 24))
    assert progress.episode_return.tolist() == [float(1 + n % 4) for n in range(23)]
    assert progress.steps[-1] == progress.length.sum() == agent.steps
    assert [number for number, _ in again.checkpoints()] == [5, 10, 15, 20, 23]
    assert len(read_record(again.record_path)) == agent.steps + 23
    assert again.telemetry()[-1] == {"episode": "23", "steps": str(agent.steps), "weight": str(agent.counters().weight)}
    assert again.result() == {"solved": None, "crc": agent.weights_crc32()}
    final = again.final_snapshot()
    assert final == agent.snapshot()
    assert snapshot_info(agent.snapshot()).weights_crc32 == agent.weights_crc32()
    stored = again.weights()
    assert stored is not None
    for numbers, integers in zip(stored, agent.weights, strict=True):
        assert np.array_equal(numbers * 4096, integers)
    events = list((path / "tensorboard").iterdir())
    assert len(events) == 1 and b"episode/mean_return_100" in events[0].read_bytes()
    assert not list(path.rglob("*.tmp"))


def folder_bytes(path: Path) -> dict[str, bytes]:
    names = [
        "progress.csv",
        "telemetry.csv",
        "record.nrlr",
        *(f"checkpoints/episode_{n:06d}.nrls" for n in (5, 10, 15, 20)),
    ]
    return {name: (path / name).read_bytes() for name in names}


def cut(path: Path, size: int) -> None:
    os.truncate(path, path.stat().st_size - size)


def append(path: Path, data: bytes) -> None:
    path.write_bytes(path.read_bytes() + data)


def garble_from(path: Path, line: int) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:line]) + b"\0\0\0\n")


def spoil_checkpoint(path: Path, number: int) -> None:
    file = path / f"checkpoints/episode_{number:06d}.nrls"
    data = bytearray(file.read_bytes())
    data[80] ^= 1
    file.write_bytes(data)


DAMAGES: dict[str, tuple[Any, int]] = {
    "nothing": (lambda path: None, 20),
    "half_lines": (
        lambda path: (cut(path / "progress.csv", 5), cut(path / "telemetry.csv", 2), cut(path / "record.nrlr", 7)),
        20,
    ),
    "garbage_at_the_end": (lambda path: append(path / "progress.csv", b"\0\0\0\n\0\0"), 20),
    "garbage_in_telemetry": (lambda path: garble_from(path / "telemetry.csv", 21), 20),
    "newest_checkpoint_spoilt": (lambda path: spoil_checkpoint(path, 20), 15),
    "newest_checkpoint_cut": (lambda path: cut(path / "checkpoints/episode_000020.nrls", 1), 15),
    "newest_checkpoint_empty": (lambda path: (path / "checkpoints/episode_000020.nrls").write_bytes(b""), 15),
    "progress_behind": (lambda path: cut(path / "progress.csv", 5 * 22), 15),
    "record_behind": (lambda path: os.truncate(path / "record.nrlr", 400), 5),
    "all_spoilt": (lambda path: [spoil_checkpoint(path, number) for number in (5, 10, 15, 20)], 0),
    "stray_files": (lambda path: (path / "checkpoints/episode_000020.nrls.bak").write_bytes(b"x"), 20),
}


@pytest.mark.parametrize("damage", DAMAGES, ids=str)
def test_a_killed_run_goes_on_without_a_seam(damage: str, tmp_path: Path) -> None:
    whole, _ = whole_run(tmp_path / "whole")
    whole.close()
    killed, _ = whole_run(tmp_path / "killed")
    killed.flush()
    spoil, expected = DAMAGES[damage]
    spoil(killed.path)

    run, checkpoint = RunFolder.resume(killed.path, EXPERIMENT, "reference", agent=AGENT, tensorboard=False)
    assert checkpoint.episode == run.episodes == expected
    # One of later episodes would be taken for this run's own, once it has as many.
    assert [episode for episode, _ in run.checkpoints()] == list(range(5, expected + 1, 5))
    agent = ReferenceAgent(AGENT, EntropySettings(seed=42))
    if checkpoint.snapshot is not None:
        agent.restore(checkpoint.snapshot)
    with run:
        run_episodes(run, agent, run.open_record(), 23 - expected)
    assert folder_bytes(killed.path) == folder_bytes(whole.path)
    assert RunFolder.open(killed.path).info.status == "stopped"
    killed.close()


def test_a_checkpoint_appears_only_when_all_that_led_to_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, agent = whole_run(tmp_path / "run", 3)
    happened: list[tuple[str, int]] = []
    sync, replace = os.fsync, Path.replace

    def note_sync(file: int) -> None:
        happened.append(("synced", os.fstat(file).st_ino))
        sync(file)

    def note_replace(path: Path, target: Path) -> Path:
        happened.append(("appeared", path.stat().st_ino))
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_replace)
    kept = run.save_checkpoint(agent.snapshot())
    monkeypatch.undo()
    appeared = happened.index(("appeared", kept.stat().st_ino))
    before = {node for what, node in happened[:appeared] if what == "synced"}
    for name in ("progress.csv", "telemetry.csv", "record.nrlr", ""):
        assert (run.path / name).stat().st_ino in before, name or "the folder"
    assert kept.stat().st_ino in before, "a name without its content"
    assert ("synced", kept.parent.stat().st_ino) in happened[appeared:], "content without its name"
    run.close()


def test_a_line_that_is_none_ends_progress_and_one_in_the_middle_is_an_error(tmp_path: Path) -> None:
    run, _ = whole_run(tmp_path / "run", 4)
    run.close()
    progress = run.path / "progress.csv"
    whole = progress.read_bytes()
    progress.write_bytes(whole + b"\0\0\0\n")
    assert len(RunFolder.open(run.path).progress().episode) == 4
    lines = whole.split(b"\n")
    progress.write_bytes(b"\n".join([*lines[:2], b"\0\0\0", *lines[3:]]))
    with pytest.raises(ConfigurationError, match="damaged in line 3"):
        RunFolder.open(run.path).progress()


def test_long_episodes_are_seen_as_they_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = whole_run(tmp_path / "run", 2)
    monkeypatch.setattr("nrl_edge.runs.folder.FLUSH_SECONDS", 0.0)
    run.log_episode(7.0, 7)
    assert len(RunFolder.open(run.path).progress().episode) == 3 < FLUSH_EPISODES
    run.close()


def test_a_process_killed_in_the_middle_leaves_a_run_that_goes_on(tmp_path: Path) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from test_run_folder import *\n"
        "run, agent = whole_run(Path(sys.argv[2]), 12)\n"
        "print('ready', flush=True)\n"
        "record = run._record\n"
        "while True: run_episodes(run, agent, record, 1, every=3)\n"
    )
    arguments = [sys.executable, "-c", program, str(Path(__file__).parent), str(tmp_path / "killed")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGKILL)
    run, checkpoint = RunFolder.resume(tmp_path / "killed", EXPERIMENT, "reference", agent=AGENT, tensorboard=False)
    assert checkpoint.episode >= 10 and checkpoint.snapshot is not None
    agent = ReferenceAgent(AGENT, EntropySettings(seed=42))
    agent.restore(checkpoint.snapshot)
    assert agent.episodes == checkpoint.episode
    with run:
        run_episodes(run, agent, run.open_record(), 2, every=100)
    whole, other = whole_run(tmp_path / "whole", checkpoint.episode + 2)
    whole.close()
    assert agent.weights_crc32() == other.weights_crc32()
    assert (whole.path / "record.nrlr").read_bytes() == run.record_path.read_bytes()


def test_more_episodes_extend_a_finished_run(tmp_path: Path) -> None:
    run, agent = whole_run(tmp_path / "run", 7)
    run.save_final(agent.snapshot())
    run.finish({"done": True})
    short = EXPERIMENT.with_overrides(episodes=7)
    with pytest.raises(ConfigurationError, match="all 7 episodes"):
        RunFolder.resume(run.path, short, "reference", agent=AGENT)
    run, checkpoint = RunFolder.resume(run.path, EXPERIMENT.with_overrides(episodes=90), "reference", agent=AGENT)
    with run:
        assert checkpoint == (7, agent.snapshot())
        assert run.result() is None
    assert RunFolder.open(run.path).experiment.learning.episodes == 90


@pytest.mark.parametrize(
    ("experiment", "target", "agent", "part"),
    [
        (parse_experiment(TEXT + 'learning_rate = "2^-5"'), "reference", AGENT, 'learning_rate = "2\\^-5"'),
        (EXPERIMENT.with_overrides(seed=1), "reference", AGENT, "seed = 1"),
        (EXPERIMENT, "desktop", AGENT, "run on 'reference', not on 'desktop'"),
        (EXPERIMENT, "reference", agent_configuration(EXPERIMENT, 4, 2, 9), "Fx=10.*Fx=9"),
        (EXPERIMENT, "reference", None, "not of None"),
    ],
)
def test_only_the_same_run_is_resumed(
    experiment: Experiment, target: str, agent: AgentConfiguration | None, part: str, tmp_path: Path
) -> None:
    run, _ = whole_run(tmp_path / "run", 2)
    run.close()
    with pytest.raises(ConfigurationError, match=part):
        RunFolder.resume(run.path, experiment, target, agent=agent)


def test_a_folder_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    run, _ = whole_run(tmp_path / "run", 2)
    run.close()
    with pytest.raises(ConfigurationError, match="--resume"):
        RunFolder.create(run.path, EXPERIMENT, "reference")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="not empty and holds no run"):
        RunFolder.create(tmp_path, EXPERIMENT, "reference")
    with pytest.raises(ConfigurationError, match="is a file"):
        RunFolder.create(tmp_path / "notes.txt", EXPERIMENT, "reference")
    with pytest.raises(ConfigurationError, match="cannot make"):
        RunFolder.create(tmp_path / "notes.txt" / "run", EXPERIMENT, "reference")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def edit_info(path: Path, **changes: Any) -> None:
    values = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(values | changes))


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (lambda path: (path / "run.json").unlink(), "no run.json"),
        (lambda path: (path / "run.json").write_text("{"), "run.json is damaged"),
        (lambda path: (path / "run.json").write_text("[]"), "no JSON object"),
        (lambda path: (path / "run.json").write_bytes(b"\xff\xfe"), "run.json is damaged"),
        (lambda path: edit_info(path, format_version=2), "format_version = 2.*reads version 1"),
        (lambda path: edit_info(path, target=3), "target = 3"),
        (lambda path: edit_info(path, seed=True), "seed = True"),
        (lambda path: edit_info(path, status="lost"), "status = 'lost'"),
        (lambda path: edit_info(path, agent={"identity": "xyz"}), "agent = "),
        (lambda path: edit_info(path, extra=None), "extra = None"),
        (lambda path: (path / "experiment.toml").unlink(), "experiment.toml cannot be read"),
        (lambda path: (path / "experiment.toml").write_text("[task]"), "task.id is missing"),
        (lambda path: (path / "progress.csv").unlink(), "progress.csv cannot be read"),
        (lambda path: (path / "progress.csv").write_text("a,b\n"), "first line"),
        (
            lambda path: (path / "progress.csv").write_text(
                (path / "progress.csv").read_text().replace("\n2,", "\n9,")
            ),
            "line 3",
        ),
        (lambda path: (path / "result.json").write_text("nan?"), "result.json is damaged"),
        (lambda path: (path / "weights.npz").write_bytes(b"PK\x03\x04 nonsense"), "weights.npz is damaged"),
        (lambda path: put_array(path / "weights.npz"), "weights.npz is damaged"),
        (lambda path: spoil_checkpoint_of(path / "final.nrls"), "final.nrls is damaged"),
        (lambda path: (path / "final.nrls").write_bytes(b"NRL"), "final.nrls is no snapshot"),
        (lambda path: edit_experiment(path), "one of the two was changed"),
    ],
)
def test_damaged_folders_say_what_is_wrong(damage: Any, part: str, tmp_path: Path) -> None:
    run, agent = whole_run(tmp_path / "run", 5)
    run.save_weights(agent.weights)  # type: ignore[arg-type]
    run.save_final(agent.snapshot())
    run.finish({})
    damage(run.path)
    with pytest.raises(ConfigurationError, match=part):
        read_everything(run.path)


def spoil_checkpoint_of(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 128
    file.write_bytes(data)


def put_array(file: Path) -> None:
    with file.open("wb") as stream:
        np.save(stream, np.zeros(3))


def edit_experiment(path: Path) -> None:
    file = path / "experiment.toml"
    file.write_text(file.read_text().replace("hidden = [3]", "hidden = [4]"))


def read_everything(path: Path) -> None:
    run = RunFolder.open(path)
    assert run.agent is not None
    run.progress()
    run.telemetry()
    run.result()
    run.weights()
    run.final_snapshot()


def test_weights_that_need_pickle_are_refused(tmp_path: Path) -> None:
    run, _ = whole_run(tmp_path / "run", 1)
    run.close()
    np.savez(run.path / "weights.npz", layer_1=np.array([{"code": 1}], object))
    with pytest.raises(ConfigurationError, match="damaged"):
        run.weights()
    with zipfile.ZipFile(run.path / "weights.npz") as archive:
        assert archive.namelist() == ["layer_1.npy"]


def test_misuse_is_told_apart_from_bad_folders(tmp_path: Path) -> None:
    run, agent = whole_run(tmp_path / "run", 1)
    with pytest.raises(RunError, match="columns episode, other"):
        run.log_telemetry(2, {"other": 1})
    with pytest.raises(ConfigurationError, match="no snapshot"):
        run.save_checkpoint(b"short")
    with pytest.raises(ValueError, match="JSON"):
        run.finish({"mean": float("nan")})
    run.close()
    with pytest.raises(ValueError, match="reading only"):
        RunFolder.open(run.path).log_episode(1.0, 1)
    plain = RunFolder.create(tmp_path / "float", EXPERIMENT, "float64", tensorboard=False)
    with plain, pytest.raises(ConfigurationError, match="float64"):
        plain.open_record()
    other = agent_configuration(EXPERIMENT, 4, 2, 9)
    with pytest.raises(ConfigurationError, match="another agent"):
        snapshot_weights(agent.snapshot(), other)


def test_a_run_that_was_not_recorded_cannot_be_recorded_later(tmp_path: Path) -> None:
    agent = ReferenceAgent(AGENT, EntropySettings())
    with RunFolder.create(tmp_path / "run", EXPERIMENT, "reference", agent=AGENT, tensorboard=False) as run:
        run.log_episode(1.0, 1)
        run.save_checkpoint(agent.snapshot())
    run, checkpoint = RunFolder.resume(tmp_path / "run", EXPERIMENT, "reference", agent=AGENT, tensorboard=False)
    with run, pytest.raises(ConfigurationError, match="not recorded in its first 1"):
        assert checkpoint.episode == 1
        run.open_record()


def test_a_failure_marks_the_run_as_stopped(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        RunFolder.create(tmp_path / "run", EXPERIMENT, "float64", tensorboard=False) as run,
    ):
        run.log_episode(2.0, 2)
        raise KeyboardInterrupt
    again = RunFolder.open(tmp_path / "run")
    assert again.info.status == "stopped" and again.info.finished is not None
    assert again.progress().episode_return.tolist() == [2.0]
