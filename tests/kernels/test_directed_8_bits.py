"""Kernels of 8 bits where random data seldom comes: each on the core that it is written for, in an emulator.

The weights of layer 1 make the activations that a case wants, a recording gives the random bytes, and the one update at
the end carries the traces into the weights, which the snapshot has.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.counts.build import agent_sources, build
from benchmarks.counts.cores import CORES, find_core
from benchmarks.counts.measure import run_image
from benchmarks.counts.networks import Stream
from nrl_edge.agent import EntropySettings
from nrl_edge.codegen.core import initial_draw_bytes
from nrl_edge.fixedpoint.agents import reference_agent
from nrl_edge.fixedpoint.configuration import AgentConfiguration, Formats
from nrl_edge.fixedpoint.reference import IntegerAgent
from nrl_edge.native import TERMINATED
from tests.kernels.test_kernels_on_cores import AGENT, REPLAYED, crc_of
from tests.tools import require_board

INPUTS, UNITS = 4, 16
EXTREMES = (-128, -127, -1, 0, 1, 126, 127)
RECORDING = """
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static const uint8_t recording[] = {BYTES};

static bool read_recording(void *context, uint8_t *bytes, uint16_t length)
{
    static uint16_t place;

    (void)context;
    if (sizeof recording - place < length) {
        return false;
    }
    for (uint16_t i = 0; i < length; ++i) {
        bytes[i] = recording[place++];
    }
    return true;
}
"""


def configuration_of(actions: int, learning_rate_exponent: int) -> AgentConfiguration:
    """One layer of 16 units, traces without fraction bits, an update at every reward and no clip."""
    formats = Formats(8, 10, 5, 0, 8)
    return AgentConfiguration(
        INPUTS, (UNITS,), actions, formats, learning_rate_exponent, clip_exponent=None, immediate_reward=True
    )


def check(
    core_id: str,
    configuration: AgentConfiguration,
    observation: Sequence[int],
    step_bytes: bytes,
    weights: NDArray[np.int64],
    traces: NDArray[np.int64] | None = None,
    output_weights: NDArray[np.int64] | None = None,
) -> IntegerAgent:
    """One step, whose draw is `step_bytes`, and an episode's end with a reward of 1, on the core and in the reference.

    `weights` and `traces` are those of layer 1, (16, 4); `output_weights` (actions, 16); what is None is 0. Returns the
    reference as it is before the update.
    """
    core = find_core(core_id)
    require_board(core.board_id)
    rng = np.random.default_rng(8)
    recording = rng.bytes(initial_draw_bytes(configuration)) + step_bytes + rng.bytes(configuration.parameters)

    agent = reference_agent(configuration, EntropySettings("replay", recording=recording))
    prepared = "(void)nrl_agent_init(&agent, &entropy);\n"
    agent.weights[0][:] = weights
    for (i, j), value in np.ndenumerate(weights):
        prepared += f"agent.layer_1[{i}].weights[{j}] = {value};\n"
    if traces is not None:
        agent.traces[0][:] = traces
        for (i, j), value in np.ndenumerate(traces):
            prepared += f"agent.layer_1[{i}].traces[{j}] = {value};\n"
    if output_weights is not None:
        agent.weights[1][:] = output_weights
        for (k, i), value in np.ndenumerate(output_weights):
            prepared += f"agent.layer_1[{i}].output_weights[{k}] = {value};\n"

    stream = Stream(
        np.array([observation, [0] * INPUTS], np.int16),
        np.array([0, 1 << configuration.formats.reward_frac_bits], np.int32),
        np.array([0, TERMINATED], np.uint8),
        0,
    )
    agent.step(stream.observations[0], 0, False, False)
    before = reference_agent(configuration, EntropySettings("replay", recording=recording))
    for ours, theirs in ((before.traces, agent.traces), (before.weights, agent.weights)):
        for mine, others in zip(ours, theirs, strict=True):
            mine[:] = others
    before_counters = agent.counters()
    agent.step(stream.observations[1], int(stream.rewards[1]), True, False)
    assert before_counters.entropy == agent.counters().entropy == 0, "a draw failed"

    recorded = RECORDING.replace("BYTES", ", ".join(map(str, recording)))
    source = recorded + AGENT.replace("SEEDED", REPLAYED)
    source = source.replace("(void)nrl_agent_init(&agent, &entropy);", prepared)
    source = source.replace('#include "nrl_agent.h"', '#include "nrl_internal.h"')
    image = build(core, {**agent_sources(configuration, 0), "agent.c": source}, INPUTS)
    _, crc = run_image(core, image, stream, "nrl_agent_step")
    assert crc == crc_of(agent), f"on {core.name}: the snapshot is not the reference's"
    return before


def changes_of(activation: int, random: int, actions: int) -> list[int]:
    """Of the traces to the outputs, 256 being one whole, where all probabilities are equal and action 0 was chosen."""
    probability = 32768 * (2**31 // (32768 * actions)) >> 15
    errors = [((65536 if k == 0 else 0) - probability + 2) >> 2 for k in range(actions)]
    return [((error * activation + (1 << 15)) >> 16) + random for error in errors]


def changed_bits(activation: int, random: int, actions: int) -> int:
    """All bits of all changes: what a kernel looks at to tell whether any of them is a whole one."""
    bits = 0
    for change in changes_of(activation, random, actions):
        bits |= change
    return bits


@pytest.mark.parametrize("actions", [2, 3])
@pytest.mark.parametrize("core_id", [core.id for core in CORES])
def test_a_change_of_just_one_is_made_and_one_of_just_less_is_not(core_id: str, actions: int) -> None:
    limit, neighbours = [], []
    for case in itertools.product(range(960, 1090), range(256)):
        bits = changed_bits(*case, actions)
        if bits == 256:
            limit.append(case)
        elif bits in (253, 254, 255, 257, 258, 259):
            neighbours.append(case)
    assert len(limit) >= 4 and len(neighbours) >= 4
    # Units in turn.
    chosen = [case for pair in zip(itertools.cycle(limit), neighbours * UNITS, strict=False) for case in pair][:UNITS]

    weights = np.zeros((UNITS, INPUTS), np.int64)
    weights[:, 0], weights[:, 1] = divmod(np.array([activation for activation, _ in chosen]), 128)
    # Signs, the action 0, rounding bytes of the inputs and of the hidden units.
    step_bytes = bytes(2) + bytes(2) + bytes(INPUTS) + bytes(random for _, random in chosen)
    # The weights count 128 and 1 in the activation, Q10.
    before = check(core_id, configuration_of(actions, 0), (4096, 32, 0, 0), step_bytes, weights)
    expected = np.array([changes_of(*case, actions) for case in chosen]).T >> 8
    assert np.array_equal(before.traces[1], expected) and not before.traces[0].any()


@pytest.mark.parametrize("action", [0, 1])
@pytest.mark.parametrize("core_id", [core.id for core in CORES])
def test_changes_of_all_inputs_at_the_same_limit_at_once(core_id: str, action: int) -> None:
    signs = np.unpackbits(np.array([0b10110100, 0b01001110], np.uint8), bitorder="little").astype(np.int64) * 2 - 1
    # What the inputs give cancels out: the policy is fair, and the difference as large as it can be.
    weights = np.tile(np.array([1, -1, 1, -1]), (UNITS, 1))
    output_weights = np.stack([127 * signs, -127 * signs])
    traces = np.array([[EXTREMES[(i + 2 * i * j + j) % len(EXTREMES)] for j in range(INPUTS)] for i in range(UNITS)])
    step_bytes = np.packbits(signs > 0, bitorder="little").tobytes() + bytes([0, 255 * action])
    step_bytes += bytes(range(0, 256, 64)) + bytes(UNITS)
    before = check(core_id, configuration_of(2, 6), (-32768,) * INPUTS, step_bytes, weights, traces, output_weights)
    change = 127 if action else -128
    assert np.array_equal(before.traces[0], np.clip(traces + change * signs[:, None], -128, 127))
