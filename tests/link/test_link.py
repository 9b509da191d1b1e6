"""The host's side of the link, and an agent behind it, against the firmware in a process."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_lines import FaultyPort, answering, closing, silent, tcp_server

from nrl_edge.agent import EPISODE_ENDED, Agent, EntropySettings
from nrl_edge.errors import ConfigurationError, DeviceError, RunError
from nrl_edge.fixedpoint.agents import reference_agent
from nrl_edge.fixedpoint.configuration import AgentConfiguration, Formats
from nrl_edge.fixedpoint.reference import ReferenceAgent
from nrl_host.device import LinkAgent
from nrl_host.link import Link, RequestRefusedError, SessionLostError, close_port, open_port
from nrl_host.link.frames import encode_frame
from nrl_host.link.messages import MESSAGES, Codec
from nrl_host.targets.desktop import DesktopTarget, build_desktop_firmware

CONFIGURATION = AgentConfiguration(4, (8,), 2)
QUICK = {"timeout": 0.1, "open_timeout": 0.5}


@pytest.fixture(scope="module")
def target() -> Iterator[DesktopTarget]:
    with DesktopTarget(CONFIGURATION) as running:
        yield running


@pytest.fixture
def link(target: DesktopTarget) -> Iterator[Link]:
    with Link(target.url) as opened:
        yield opened


def run_episodes(agents: list[Agent], episodes: int, seed: int = 0) -> None:
    """The same observations and rewards for all; every action has to be the same."""
    generator = np.random.default_rng(seed)
    inputs = agents[0].configuration.inputs
    for _ in range(episodes):
        length = int(generator.integers(1, 12))
        for step in range(length + 1):
            observation = generator.integers(-4000, 4000, inputs).astype(np.int16)
            reward = int(generator.integers(-600, 600))
            ended, cut = step == length, bool(generator.integers(2))
            actions = {agent.step(observation, reward, ended and not cut, ended and cut) for agent in agents}
            assert len(actions) == 1
            assert (actions == {EPISODE_ENDED}) == ended


# The same agent, wherever it runs


@pytest.mark.parametrize("transport", ["tcp", "pty"])
@pytest.mark.parametrize(
    "configuration",
    [
        CONFIGURATION,
        AgentConfiguration(64, (5, 3), 16, Formats(8, 10, 5, 0, 8), clip_exponent=None),
        AgentConfiguration(1, (3,), 2, Formats(trace_frac_bits=8), immediate_reward=True),
        AgentConfiguration(4, (8,), 2, Formats(trace_frac_bits=8), 1, 3, preset="actor-critic"),
        AgentConfiguration(
            30, (5, 3), 3, Formats(8, 10, 5, 1, 8), 1, 3, preset="actor-critic", critic_features="squares"
        ),
    ],
    ids=["delayed", "tiny", "immediate", "online", "online tiny"],
)
def test_firmware_and_reference_learn_the_same(configuration: AgentConfiguration, transport: Any) -> None:
    entropy = EntropySettings(seed=99)
    reference = reference_agent(configuration, entropy)
    with DesktopTarget(configuration, transport=transport) as target, Link(target.url) as link:
        agent = LinkAgent(link, configuration, entropy)
        assert agent.weights_crc32() == reference.weights_crc32()
        run_episodes([agent, reference], 15)
        assert agent.weights_crc32() == reference.weights_crc32()
        assert agent.counters() == reference.counters()
        snapshot = agent.snapshot()
        assert snapshot == reference.snapshot()
        run_episodes([agent, reference], 5, seed=1)
        agent.restore(snapshot)
        assert agent.snapshot() == snapshot
        assert len(agent.telemetry) == 20
        assert [message.episode for message in agent.telemetry] == list(range(1, 21))
        assert agent.telemetry[-1].return_baseline == reference.return_baseline


def test_the_device_starts_with_the_seed_it_was_generated_with() -> None:
    with DesktopTarget(CONFIGURATION, seed=31) as target, Link(target.url) as link:
        agent = LinkAgent(link, CONFIGURATION, EntropySettings(), begin=False)
        reference = ReferenceAgent(CONFIGURATION, EntropySettings(seed=31))
        assert agent.weights_crc32() == reference.weights_crc32()


def test_an_agent_can_be_met_again_without_losing_what_it_learned(target: DesktopTarget) -> None:
    with Link(target.url) as link:
        agent = LinkAgent(link, CONFIGURATION, EntropySettings(seed=4))
        run_episodes([agent], 3)
        checksum = agent.weights_crc32()
    with Link(target.url) as link:
        assert link.hello.episodes == 3
        assert LinkAgent(link, CONFIGURATION, EntropySettings(), begin=False).weights_crc32() == checksum


def test_raw_entropy_differs_each_time(link: Link) -> None:
    checksums = {LinkAgent(link, CONFIGURATION, EntropySettings("raw")).weights_crc32() for _ in range(3)}
    assert len(checksums) == 3
    agent = LinkAgent(link, CONFIGURATION, EntropySettings("raw"))
    run_episodes([agent], 3)
    status = agent.status()
    assert (status.entropy_mode, status.entropy_health) == (1, 0)
    assert status.bytes_drawn > 0
    assert agent.entropy_failures == 0


def test_a_device_cannot_begin_with_a_recording(link: Link) -> None:
    with pytest.raises(ConfigurationError, match="a device begins with"):
        LinkAgent(link, CONFIGURATION, EntropySettings("replay"))


def test_misuse_is_said_in_the_agents_words(link: Link) -> None:
    agent = LinkAgent(link, CONFIGURATION, EntropySettings(seed=1))
    zeros = np.zeros(4, np.int16)
    with pytest.raises(RunError, match="ended before it began"):
        agent.step(zeros, 0, True, False)
    with pytest.raises(ConfigurationError, match="shape"):
        agent.step(np.zeros(3, np.int16), 0, False, False)
    with pytest.raises(ConfigurationError, match="int16"):
        agent.step(np.zeros(4), 0, False, False)  # type: ignore[arg-type]
    snapshot = agent.snapshot()
    agent.step(zeros, 0, False, False)
    with pytest.raises(RunError, match="episode is open"):
        agent.snapshot()
    with pytest.raises(ConfigurationError, match="snapshot was refused"):
        agent.restore(snapshot[:-1])
    with pytest.raises(ConfigurationError, match="snapshot was refused"):
        agent.restore(snapshot[:-1] + bytes([snapshot[-1] ^ 1]))
    agent.restore(snapshot)
    assert agent.snapshot() == snapshot
    assert agent.step(zeros, 0, False, False) in (0, 1)


def test_telemetry_can_be_heard_as_it_comes(link: Link) -> None:
    heard: list[Any] = []
    agent = LinkAgent(link, CONFIGURATION, EntropySettings(seed=1))
    agent.on_telemetry(heard.append)
    run_episodes([agent], 4)
    agent.status()
    assert [message.episode for message in heard] == [1, 2, 3, 4]
    assert link.counters.telemetry == 4
    link.poll()
    assert agent.link_counters()["device"]["telemetry_dropped"] == 0


def test_counters_of_both_sides_agree_on_a_good_line(target: DesktopTarget) -> None:
    target.restart()
    with Link(target.url) as link:
        agent = LinkAgent(link, CONFIGURATION, EntropySettings(seed=1))
        run_episodes([agent], 4)
        counters = agent.link_counters()
    host, device = counters["host"], counters["device"]
    assert host["frames_out"] == device["frames_in"]
    assert host["frames_in"] == device["frames_out"] + 1
    assert not any(host[name] for name in ("bad_crc", "malformed", "overlong", "half_frames", "retries", "unexpected"))
    assert not any(device[name] for name in device if not name.startswith("frames"))


# Bad lines


@pytest.mark.parametrize("seed", range(4))
def test_a_bad_line_changes_nothing_that_is_learned(target: DesktopTarget, seed: int) -> None:
    reference = ReferenceAgent(CONFIGURATION, EntropySettings(seed=5))
    with Link(target.url, timeout=0.02, attempts=60) as link:
        agent = LinkAgent(link, CONFIGURATION, EntropySettings(seed=5))
        faulty = FaultyPort(link._port, seed, 0.1)
        link._port = faulty
        run_episodes([agent, reference], 12, seed=seed)
        snapshot = agent.snapshot()
        assert snapshot == reference.snapshot()
        agent.restore(snapshot)
        assert agent.weights_crc32() == reference.weights_crc32()
        assert faulty.faults > 5
        assert link.counters.retries > 0


def test_random_bytes_into_a_sanitized_device_do_nothing(tmp_path: Path) -> None:
    generator = random.Random(3)
    with DesktopTarget(CONFIGURATION, sanitize=True) as target:
        with Link(target.url) as link:
            agent = LinkAgent(link, CONFIGURATION, EntropySettings(seed=5))
            run_episodes([agent], 2)
            observation = np.ones(4, np.int16)
            agent.step(observation, 0, False, False)
            before = agent.status()
            step = encode_frame(Codec(4).by_name["STEP"].pack(9, link.session, ((1, 2, 3, 4), 5, 0)))
            for _ in range(400):
                noise = bytearray(generator.choice([generator.randbytes(generator.randrange(400)), step]))
                for _ in range(generator.randrange(1, 4)):
                    if noise:
                        noise[generator.randrange(len(noise))] ^= generator.randrange(1, 256)
                link._port.write(b"\0" + bytes(noise))
            link._port.write(b"\0")
            assert agent.status() == before
            agent.step(observation, 7, True, False)
            device = agent.link_counters()["device"]
            assert device["bad_crc"] + device["malformed"] + device["overlong"] > 100
        assert target.process.poll() is None
        target.stop()
        assert target.error_output() == ""


# Sessions


def test_a_restarted_device_is_noticed() -> None:
    with DesktopTarget(CONFIGURATION, transport="tcp") as target:
        first = Link(target.url)
        agent = LinkAgent(first, CONFIGURATION, EntropySettings(seed=1))
        target.restart()
        # The line survives the device's reset, as a USB adapter's does.
        close_port(first._port)
        first._port = open_port(target.url)
        with pytest.raises(SessionLostError, match="restarted"):
            agent.step(np.zeros(4, np.int16), 0, False, False)
        first.close()


def test_a_vanished_device_is_said_so() -> None:
    with DesktopTarget(CONFIGURATION) as target, Link(target.url, **QUICK) as link:
        agent = LinkAgent(link, CONFIGURATION, EntropySettings(seed=1))
        target.stop()
        with pytest.raises(DeviceError, match="the port failed"):
            agent.step(np.zeros(4, np.int16), 0, False, False)


def test_a_device_that_hangs_is_said_so() -> None:
    with DesktopTarget(CONFIGURATION) as target, Link(target.url, timeout=0.02, attempts=3) as link:
        agent = LinkAgent(link, CONFIGURATION, EntropySettings(seed=1))
        target.process.send_signal(19)  # SIGSTOP
        try:
            with pytest.raises(DeviceError, match=r"no reply to STEP after 3 attempts of 0\.02 s"):
                agent.step(np.zeros(4, np.int16), 0, False, False)
        finally:
            target.process.send_signal(18)  # SIGCONT
        assert link.counters.retries == 2


def test_refusals_carry_the_name_of_the_error(link: Link) -> None:
    with pytest.raises(RequestRefusedError, match="cannot begin with entropy mode 3") as caught:
        link.request(MESSAGES["BEGIN"](3, (1, 2, 3, 4)))
    assert (caught.value.code_name, caught.value.detail, caught.value.exit_code) == ("MODE_UNAVAILABLE", 3, 3)


# What is no device, or another one


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (replace(CONFIGURATION, hidden=(9,)), r"layer sizes: expected 4-9-2, found 4-8-2"),
        (replace(CONFIGURATION, formats=Formats(trace_frac_bits=6)), r"\(Ft\): expected 6, found 5"),
        (replace(CONFIGURATION, learning_rate_exponent=7), r"\(K\): expected 7, found 6"),
        (replace(CONFIGURATION, clip_exponent=None), r"\(C\): expected off, found 1"),
        (replace(CONFIGURATION, immediate_reward=True), r"reward: expected immediate, found delayed"),
        (
            replace(CONFIGURATION, preset="actor-critic"),
            r"preset: expected actor-critic with critic_features products, found edge",
        ),
    ],
)
def test_another_agent_is_refused_with_what_differs(link: Link, changed: AgentConfiguration, says: str) -> None:
    with pytest.raises(DeviceError, match=says) as caught:
        LinkAgent(link, changed, EntropySettings())
    assert "nrl-edge generate" in str(caught.value)
    assert str(caught.value).count("expected") == 1


def test_firmware_of_another_version_is_refused() -> None:
    def other_version(received: bytes) -> bytes:
        payload = bytes([2, 3]) + (0xDEADBEEF).to_bytes(4, "little") + bytes(20)
        return encode_frame(bytes([0x81, 1, 5, 5]) + payload)

    with (
        tcp_server(answering(other_version)) as url,
        pytest.raises(DeviceError, match=r"protocol 2 to 3 with message table 0xdeadbeef.*nrl-edge generate"),
    ):
        Link(url, **QUICK)


@pytest.mark.parametrize(
    ("serve", "says"),
    [
        (silent, "nothing answered within"),
        (closing, "closed before the device answered"),
        (answering(lambda received: b"login: \r\n"), "no valid frame"),
        (answering(lambda received: received), "no valid frame|nothing answered"),
        (answering(lambda received: random.Random(1).randbytes(3000)), "no valid frame"),
    ],
    ids=["silent", "closing", "text", "echo", "noise"],
)
def test_a_peer_that_is_no_device(serve: Any, says: str) -> None:
    with tcp_server(serve) as url, pytest.raises(DeviceError, match=says) as caught:
        Link(url, **QUICK)
    assert "nrl-edge ports" in str(caught.value)


@pytest.mark.parametrize("url", ["/dev/nrl-no-such-port", "socket://127.0.0.1:1", "nonsense://x", ""])
def test_a_port_that_cannot_be_opened(url: str) -> None:
    with pytest.raises(DeviceError, match="cannot open"):
        Link(url)


def test_one_program_at_a_time() -> None:
    with (
        DesktopTarget(CONFIGURATION, transport="pty") as target,
        Link(target.url),
        pytest.raises(DeviceError, match="cannot open"),
    ):
        Link(target.url, **QUICK)


def test_closing_twice_is_fine(target: DesktopTarget) -> None:
    link = Link(target.url)
    link.close()
    link.close()


# The process


def test_the_desktop_target_says_when_it_is_not_running() -> None:
    target = DesktopTarget(CONFIGURATION)
    with pytest.raises(DeviceError, match="not running"):
        _ = target.url
    target.stop()
    with target:
        with pytest.raises(DeviceError, match="already running"):
            target.start()
        process = target.process
    assert process.returncode == 0


def test_sources_and_program_can_be_kept(tmp_path: Path) -> None:
    program = build_desktop_firmware(CONFIGURATION, folder=tmp_path)
    assert program.parent == tmp_path
    assert (tmp_path / "include" / "nrl_messages.h").is_file()
    assert (tmp_path / "src" / "main.c").is_file()


@pytest.mark.parametrize(
    "arguments", [[], ["--tcp"], ["--tcp", "x"], ["--tcp", "70000"], ["--pty", "--tcp", "0"], ["--nonsense"]]
)
def test_wrong_arguments_end_with_a_reason(arguments: list[str]) -> None:
    program = build_desktop_firmware(CONFIGURATION)
    ended = subprocess.run([program, *arguments], capture_output=True, timeout=20, check=False)
    assert ended.returncode == 1
    assert b"usage" in ended.stderr or b"not a port number" in ended.stderr


def test_frames_on_standard_input_and_output() -> None:
    program = build_desktop_firmware(CONFIGURATION)
    codec = Codec(4)
    hello = encode_frame(codec.by_name["HELLO"].pack(1, 0, MESSAGES["HELLO"](1, 1, 0)))
    ended = subprocess.run([program, "--stdio"], input=hello, capture_output=True, timeout=20, check=False)
    assert ended.returncode == 0
    assert len(ended.stdout) == codec.by_name["HELLO_REPLY"].coded_bytes


@pytest.mark.parametrize("transport", ["--tcp", "--pty"])
def test_once_ends_with_the_first_peer(transport: str) -> None:
    program = build_desktop_firmware(CONFIGURATION)
    arguments = ["--tcp", "0"] if transport == "--tcp" else ["--pty"]
    with subprocess.Popen([program, *arguments, "--once"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        place = process.stdout.readline().decode().split()[-1]
        with Link(f"socket://{place}" if transport == "--tcp" else place):
            assert process.poll() is None
        assert process.wait(20) == 0


def test_a_peer_may_come_back(target: DesktopTarget) -> None:
    sessions = set()
    for _ in range(3):
        with Link(target.url) as link:
            sessions.add(link.session)
    assert len(sessions) == 1
