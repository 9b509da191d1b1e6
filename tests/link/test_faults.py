"""A line made bad on purpose: what it does to frames, and that a run over it learns what it would have learned."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import serial
from hypothesis import given
from hypothesis import strategies as st
from tools import require_tool

from nrl_edge.agent import EntropySettings
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import Experiment, parse_experiment, resolve_agent
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.simulation import simulate
from nrl_host.cli import main
from nrl_host.device import LinkAgent
from nrl_host.hil import run_hil, simulate_firmware
from nrl_host.link import Link
from nrl_host.link.faults import (
    LONGEST_DELAY_FRAMES,
    FaultyLine,
    LineFaults,
    faulty_url,
    parse_line_faults,
    split_faulty_url,
)
from nrl_host.targets.desktop import DesktopTarget

BAD = LineFaults(drop=0.1, flip=0.05, duplicate=0.05, reorder=0.05, seed=7)
WORSE = LineFaults(
    drop=0.1, flip=0.1, truncate=0.1, duplicate=0.1, reorder=0.1, delay=0.1, garbage=0.1, stall=0.02, seed=8
)


class Wire:
    """A port that keeps what is written, and gives what a test put in."""

    def __init__(self, incoming: bytes = b"") -> None:
        self.sent = b""
        self.incoming = incoming
        self.in_waiting = 0

    def write(self, data: bytes) -> None:
        self.sent += data

    def read(self, size: int) -> bytes:
        taken, self.incoming = self.incoming[:size], self.incoming[size:]
        return taken


def frames(count: int, length: int = 9) -> bytes:
    return b"".join(bytes([1 + index % 255]) * length + b"\0" for index in range(count))


def read_all(line: FaultyLine, size: int = 7) -> bytes:
    received = b""
    while data := line.read(size):
        received += data
    return received


@given(st.lists(st.binary(max_size=40), max_size=30), st.integers(1, 50))
def test_a_line_without_faults_changes_nothing(pieces: list[bytes], size: int) -> None:
    wire = Wire(b"".join(pieces) + b"\0")
    line = FaultyLine(wire, LineFaults(seed=3))
    for piece in pieces:
        assert line.write(piece) == len(piece)
    line.write(b"\0")
    assert wire.sent == b"".join(pieces) + b"\0"
    assert read_all(line, size) == b"".join(pieces) + b"\0"
    assert not any(line.counts.values())


def test_faults_come_as_often_as_asked_and_the_same_again() -> None:
    count = 20_000
    line, again = FaultyLine(Wire(frames(count)), WORSE), FaultyLine(Wire(frames(count)), WORSE)
    assert read_all(line) == read_all(again, 1000)
    assert line.counts == again.counts
    # Frames within a stall draw nothing.
    drawn = count - 2 * line.counts["stall"]
    for kind, rate in WORSE.rates().items():
        assert abs(line.counts[kind] - drawn * rate) < 5.0 * math.sqrt(drawn * rate)
    other = FaultyLine(Wire(frames(count)), LineFaults(**WORSE.rates(), seed=9))
    assert read_all(other) != read_all(FaultyLine(Wire(frames(count)), WORSE))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("drop", b""),
        ("duplicate", b"\1\1\1\0\1\1\1\0\2\2\2\0\2\2\2\0"),
        ("stall", b""),
    ],
)
def test_each_fault_is_what_it_says(kind: str, expected: bytes) -> None:
    line = FaultyLine(Wire(frames(2, 3)), LineFaults(**{kind: 0.9}, seed=5))
    assert (read_all(line), line.counts[kind]) == (expected, 1 if kind == "stall" else 2)


def test_a_frame_out_of_order_comes_after_the_next() -> None:
    text = frames(2000, 3)
    line = FaultyLine(Wire(text), LineFaults(reorder=0.3, seed=2))
    arrived = read_all(line).split(b"\0")[:-1]
    sent = text.split(b"\0")[:-1]
    assert arrived != sent
    # Nothing is spoilt, and next to nothing lost: only a frame that is held back when another one is.
    assert set(arrived) <= set(sent) and abs(len(arrived) - len(sent)) <= 1


def test_a_late_frame_comes_whole_after_two_to_six_others() -> None:
    sent = frames(200, 3).split(b"\0")[:-1]
    line = FaultyLine(Wire(frames(200, 3)), LineFaults(delay=0.1, seed=2))
    arrived = read_all(line).split(b"\0")[:-1]
    behind = {frame: arrived.index(frame) - place for place, frame in enumerate(sent) if frame in arrived}
    assert line.counts["delay"] > 10 and len(arrived) >= 200 - LONGEST_DELAY_FRAMES
    # A frame is moved back by the frames that it waits for, less those of them that were late themselves.
    assert 1 < max(behind.values()) <= LONGEST_DELAY_FRAMES
    assert sum(moved > 0 for moved in behind.values()) > line.counts["delay"] / 2


@given(
    st.fixed_dictionaries({name: st.floats(0.0, 0.1) for name in LineFaults().rates()}),
    st.integers(0, 2**40),
    st.sampled_from(["/dev/ttyACM0", "COM3", "socket://127.0.0.1:4000", "rfc2217://user@host:2217", "a@b"]),
)
def test_faults_and_port_are_read_from_a_url_as_they_were_written(
    rates: dict[str, float], seed: int, port: str
) -> None:
    faults = LineFaults(**rates, seed=seed)
    assert split_faulty_url(faulty_url(port, faults)) == (faults, port)


@pytest.mark.parametrize("url", ["faulty://drop=0.1", "faulty://drop=0.1@", "faulty://@/dev/ttyACM0", "faulty://a=1@b"])
def test_a_url_that_cannot_be_read_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"faulty://RATES@PORT|faults of the line"):
        Link(url)


def test_pyserial_opens_any_port_behind_a_bad_line() -> None:
    with (
        serial.serial_for_url("loop://", timeout=0.1) as plain,
        contextlib.closing(serial.serial_for_url("faulty://flip=0.5,seed=3@loop://", timeout=0.1)) as spoilt,
    ):
        for port in (plain, spoilt):
            port.write(frames(40))
        assert plain.read(400) == frames(40)
        assert spoilt.read(400) != frames(40) and spoilt.counts["flip"] > 5
        assert (spoilt.baudrate, spoilt.timeout) == (9600, 0.1)


def test_modem_lines_that_are_set_before_a_port_is_opened_get_through() -> None:
    port = serial.serial_for_url("faulty://drop=0.1@loop://", do_not_open=True)
    assert not port.is_open and port.dtr and port.rts
    port.dtr = port.rts = False
    assert not port._port.dtr and not port._port.rts


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("drip=0.1", "give each of drop, flip"),
        ("drop=0.1,drop=0.2", "at most once"),
        ("drop=much", "is no number"),
        ("drop=1.5", "shares from 0 to 1"),
        ("drop=0.5,flip=0.5", "0.9 together"),
        ("seed=-1", "seed = -1"),
        ("seed=0.5", "is no number"),
        ("", "give each of"),
    ],
)
def test_faults_that_make_no_sense_are_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        parse_line_faults(text)


def test_faults_are_read_as_they_are_written() -> None:
    assert parse_line_faults("drop=0.1, flip=0.05,duplicate=0.05,reorder=0.05,seed=7") == BAD


def cartpole(episodes: int) -> Experiment:
    return parse_experiment(
        '[task]\nid = "CartPole-v1"\nobservation_scale = [1, 1, 8, 1]\n[network]\nhidden = [8]\n'
        f'[learning]\nlearning_rate = "2^-6"\nclip = 0.5\nepisodes = {episodes}\n'
    )


@pytest.mark.parametrize("faults", [BAD, WORSE], ids=["bad", "worse"])
def test_a_run_over_a_bad_line_learns_what_it_would_have_learned(faults: LineFaults) -> None:
    experiment = cartpole(15)
    clean = simulate(experiment, "native")
    spoilt = simulate_firmware(experiment, line_faults=faults)
    assert (spoilt.weights_crc32, spoilt.steps, spoilt.counters) == (clean.weights_crc32, clean.steps, clean.counters)
    assert spoilt.line_faults is not None and spoilt.retries is not None
    assert sum(spoilt.line_faults.values()) > 50 and spoilt.retries > 50


@pytest.mark.parametrize("seed", range(5, 11))
def test_greetings_that_come_late_begin_nothing_anew(seed: int) -> None:
    """HELLO starts the sequence: one that was overtaken by its own repetition would do so in the middle of a run."""
    configuration = AgentConfiguration(2, (4,), 2)
    actions = []
    with DesktopTarget(configuration) as target:
        for url in (target.url, f"faulty://delay=0.3,seed={seed}@{target.url}"):
            with Link(url) as link:
                agent = LinkAgent(link, configuration, EntropySettings(seed=1))
                actions.append(
                    [agent.step(np.full(2, 9 * call, np.int16), 1, call % 7 == 6, False) for call in range(30)]
                )
    assert actions[0] == actions[1]


def test_a_port_may_be_named_with_its_faults() -> None:
    experiment = cartpole(8)
    with DesktopTarget(resolve_agent(experiment), seed=experiment.entropy.seed) as target:
        summary = run_hil(experiment, faulty_url(target.url, WORSE))
        with pytest.raises(ConfigurationError, match="name them once"):
            run_hil(experiment, faulty_url(target.url, WORSE), line_faults=BAD)
    assert summary.weights_crc32 == simulate(experiment, "native").weights_crc32
    assert summary.line_faults is not None and all(summary.line_faults.values())


@pytest.mark.slow
@pytest.mark.waits
@pytest.mark.parametrize("board", ["microbit", "desktop"])
def test_a_hundred_thousand_steps_over_a_bad_line(board: str) -> None:
    if board == "microbit":
        require_tool("arm-none-eabi-gcc", "apt-get install gcc-arm-none-eabi binutils-arm-none-eabi")
        require_tool("qemu-system-arm", "apt-get install qemu-system-arm")
    experiment = cartpole(700)
    clean = simulate(experiment, "native")
    assert clean.steps >= 100_000
    spoilt = simulate_firmware(experiment, board=board, line_faults=BAD)
    assert (spoilt.weights_crc32, spoilt.steps, spoilt.counters) == (clean.weights_crc32, clean.steps, clean.counters)


def test_the_command_tells_what_it_did_to_the_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(cartpole(4).to_toml(), encoding="utf-8")

    def call(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["nrl-edge", "sim", str(path), "--json", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    assert call("--target", "desktop", "--line-faults", "drop=0.2,flip=0.1,seed=4") == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["line_faults"]["drop"] > 0 and result["retries"] > 0
    assert call("--target", "native", "--line-faults", "drop=0.2") == 2
    assert "has no line" in capsys.readouterr().err + capsys.readouterr().out
