"""The reference agent against a case worked out by hand, and the rules that the page states in words."""

from __future__ import annotations

import numpy as np
import pytest

from nrl_edge.agent import EPISODE_ENDED, EntropySettings
from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.fixedpoint.configuration import AgentConfiguration, Formats
from nrl_edge.fixedpoint.reference import ReferenceAgent

SMALL = AgentConfiguration(1, (1,), 2)
ONE = np.array([1024], np.int16)


def agent_with_known_weights(step_bytes: bytes) -> ReferenceAgent:
    """1-1-2 with weights 1.0 and +-0.5; two bytes of the recording go to the initial weight, which is replaced."""
    agent = ReferenceAgent(SMALL, EntropySettings("replay", recording=b"\0\0" + step_bytes))
    agent.weights = [np.array([[4096]]), np.array([[2048], [-2048]])]
    return agent


def test_one_step_and_one_update_worked_out_by_hand() -> None:
    # sign +1, action number 0, then one rounding byte a weight
    agent = agent_with_known_weights(bytes([1, 0, 0, 255, 0, 128]))
    agent.return_baseline, agent.baseline_is_set = 256, True

    # a = x = 1.0; logits +-0.5 (2048); z = 0 and 4096
    # exp_neg(4096): t = 5909, n = 1, i = 28, r = 21, T = 24196 and 23936, (24196 - 85) >> 1 = 12055
    # S = 44823, r = 47910, pi = 47910 and 17625, so number 0 takes action 0
    assert agent.step(ONE, 0, False, False) == 0
    # dx = 4096, dl = +-2048, mean = 946, d = 1102
    # hidden: (1102 * 1024 + 2^16) >> 17 = 9; errors 4407 and -4406: (4407 * 1024 + 2^18) >> 19 = 9, the other -9
    assert [trace.tolist() for trace in agent.traces] == [[[9]], [[9], [-9]]]

    # R = 2.0, Rbar = 1.0: error 256, divisor 512, quotient (16384, -15); K = 6: exponent -21; ||E|| = 15.6/32, no clip
    # n = 14; 16384 * 9 = 147456, round_shift by 6 = 2304 = 9 * 256: exactly 9, whatever the byte
    assert agent.step(ONE, 512, True, False) == EPISODE_ENDED
    assert [matrix.tolist() for matrix in agent.weights] == [[[4105]], [[2057], [-2057]]]
    assert all(not trace.any() for trace in agent.traces)
    assert agent.return_baseline == 256 + 169
    assert (agent.episodes, agent.steps) == (1, 1)


def test_a_negative_sign_and_a_large_action_number_turn_trace_and_action() -> None:
    agent = agent_with_known_weights(bytes([0, 255, 255]))
    assert agent.step(ONE, 0, False, False) == 1
    # dl = -+2048, mean = -946 (-945.9 rounded), d = 2048 + 946 = 2994 for action 1; v = 23, sign -1
    assert agent.traces[0].tolist() == [[-23]]


def test_the_clip_limits_the_norm_of_an_update() -> None:
    configuration = AgentConfiguration(4, (16,), 2, learning_rate_exponent=0, clip_exponent=3)
    agent = ReferenceAgent(configuration, EntropySettings(seed=3))
    agent.return_baseline, agent.baseline_is_set = 0, True
    rng = np.random.default_rng(0)
    before = None
    for _ in range(50):
        agent.step(rng.integers(-4000, 4000, 4).astype(np.int16), 0, False, False)
    before = [matrix.copy() for matrix in agent.weights]
    agent.step(np.zeros(4, np.int16), 2560, True, False)
    squares = sum(float(np.square(new - old).sum()) for new, old in zip(agent.weights, before, strict=True))
    assert np.sqrt(squares) / 4096 == pytest.approx(1 / 8, rel=0.01)


def test_the_first_episode_sets_the_baseline_and_changes_nothing() -> None:
    agent = ReferenceAgent(AgentConfiguration(4, (8,), 2), EntropySettings(seed=1))
    crc = agent.weights_crc32()
    agent.step(np.full(4, 500, np.int16), 0, False, False)
    agent.step(np.full(4, 500, np.int16), 700, False, False)
    agent.step(np.full(4, 500, np.int16), 700, False, True)
    assert agent.weights_crc32() == crc
    assert agent.return_baseline == 1400


@pytest.mark.parametrize(("baseline", "moved"), [(0, False), (300, True)])
def test_a_return_of_zero_divides_by_the_baseline_or_not_at_all(baseline: int, moved: bool) -> None:
    agent = ReferenceAgent(AgentConfiguration(4, (8,), 2), EntropySettings(seed=1))
    agent.return_baseline, agent.baseline_is_set = baseline, True
    agent.step(np.full(4, 3000, np.int16), 0, False, False)
    crc = agent.weights_crc32()
    agent.step(np.zeros(4, np.int16), 0, True, False)
    assert (agent.weights_crc32() != crc) == moved


def test_immediate_reward_learns_at_every_step_from_a_baseline_of_its_trial() -> None:
    configuration = AgentConfiguration(4, (8,), 2, formats=Formats(trace_frac_bits=8), immediate_reward=True)
    agent = ReferenceAgent(configuration, EntropySettings(seed=1))
    crcs = [agent.weights_crc32()]
    for step in range(5):
        agent.step(np.full(4, 3000, np.int16), 256, False, False)
        crcs.append(agent.weights_crc32())
        assert agent.return_baseline == [0, 169, 226, 246, 253][step]
    assert crcs[0] == crcs[1]
    assert len(set(crcs)) == 5
    agent.step(np.full(4, 3000, np.int16), 256, True, False)
    agent.step(np.full(4, 3000, np.int16), 0, False, False)
    assert agent.return_baseline == 0


def test_the_number_of_bytes_drawn_does_not_depend_on_data() -> None:
    for configuration, per_step in (
        (AgentConfiguration(5, (9, 17), 3), 2 + 3 + 2),
        (AgentConfiguration(5, (9, 17), 3, formats=Formats(8, 10, 5, 0, 8)), 2 + 3 + 2 + 5 + 9 + 17),
    ):
        agent = ReferenceAgent(configuration, EntropySettings(seed=1))
        initial = 2 * (5 * 9 + 9 * 17)
        assert agent._entropy.bytes_drawn == initial
        zero = np.zeros(5, np.int16)
        agent.step(zero, 0, False, False)
        assert agent._entropy.bytes_drawn == initial + per_step
        agent.step(zero, 0, True, False)
        assert agent._entropy.bytes_drawn == initial + per_step + configuration.parameters


def test_without_entropy_the_agent_acts_greedily_and_does_not_learn() -> None:
    agent = agent_with_known_weights(b"\1")
    assert agent.step(ONE, 0, False, False) == 0
    assert agent.step(-ONE, 256, False, False) == 1
    crc = agent.weights_crc32()
    assert agent.step(ONE, 256, True, False) == EPISODE_ENDED
    assert agent.weights_crc32() == crc
    assert agent.counters().entropy == 3


def test_saturating_observations_are_counted() -> None:
    agent = ReferenceAgent(AgentConfiguration(2, (4,), 2), EntropySettings(seed=1))
    agent.step(np.array([32767, -32768], np.int16), 0, False, False)
    assert agent.counters().observation == 2


def test_misuse_is_refused_with_a_sentence() -> None:
    agent = ReferenceAgent(AgentConfiguration(2, (4,), 2), EntropySettings(seed=1))
    with pytest.raises(RunError, match="before it began"):
        agent.step(np.zeros(2, np.int16), 0, True, False)
    with pytest.raises(ConfigurationError, match="shape"):
        agent.step(np.zeros(3, np.int16), 0, False, False)
    agent.step(np.zeros(2, np.int16), 0, False, False)
    with pytest.raises(RunError, match="between episodes"):
        agent.snapshot()
    with pytest.raises(ConfigurationError, match="expanded"):
        ReferenceAgent(AgentConfiguration(2, (4,), 2), EntropySettings("expanded"))
    with pytest.raises(ConfigurationError, match="longer recording"):
        ReferenceAgent(AgentConfiguration(2, (4,), 2), EntropySettings("replay", recording=b"abc"))


@pytest.mark.parametrize("bits", [16, 8])
def test_a_snapshot_resumes_exactly(bits: int) -> None:
    formats = Formats() if bits == 16 else Formats(8, 10, 5, 0, 8)
    configuration = AgentConfiguration(3, (8, 5), 3, formats=formats, learning_rate_exponent=2)
    rng = np.random.default_rng(5)

    def episodes(agent: ReferenceAgent, stream: np.ndarray) -> None:
        for episode in stream:
            for step, observation in enumerate(episode):
                agent.step(observation, int(observation[0]), step == len(episode) - 1, False)

    stream = rng.integers(-3000, 3000, (12, 6, 3)).astype(np.int16)
    whole = ReferenceAgent(configuration, EntropySettings(seed=9))
    episodes(whole, stream)
    first = ReferenceAgent(configuration, EntropySettings(seed=9))
    episodes(first, stream[:5])
    second = ReferenceAgent(configuration, EntropySettings(seed=1))
    second.restore(first.snapshot())
    episodes(second, stream[5:])
    assert second.snapshot() == whole.snapshot()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda s: b"XRLS" + s[4:], "begin with"),
        (lambda s: s[:-1], "bytes"),
        (lambda s: s[:4] + b"\x02" + s[5:], "version"),
        (lambda s: s[:8] + b"\0\0\0\0" + s[12:], "belongs to"),
        (lambda s: s[:80] + bytes([s[80] ^ 1]) + s[81:], "CRC"),
    ],
)
def test_a_damaged_snapshot_changes_nothing(damage, reason: str) -> None:
    agent = ReferenceAgent(SMALL, EntropySettings(seed=1))
    snapshot = agent.snapshot()
    with pytest.raises(ConfigurationError, match=reason):
        agent.restore(damage(snapshot))
    assert agent.snapshot() == snapshot
