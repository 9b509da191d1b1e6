"""Every kernel on the core it is written for, in an emulator: shapes that reach each, ordinary and extreme data.

What is compared is a snapshot: weights, counters, baseline and the generator's state, after streams that saturate
observations, pre-activations, differences, traces and weights. The portable kernels are compared with the reference on
this computer by tests/equivalence.
"""

from __future__ import annotations

import subprocess
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.counts.build import agent_sources, build
from benchmarks.counts.cores import CORES, find_core
from benchmarks.counts.measure import run_image
from benchmarks.counts.networks import Stream
from nrl_edge.agent import EntropySettings
from nrl_edge.codegen.core import initial_draw_bytes, render_core, step_draw_bytes, write_core
from nrl_edge.fixedpoint.agents import reference_agent
from nrl_edge.fixedpoint.configuration import AgentConfiguration, Formats
from nrl_edge.fixedpoint.reference import IntegerAgent
from nrl_edge.native import TERMINATED, TRUNCATED
from tests.tools import require_board, require_tool

SEED = 3
ONLINE = Formats(trace_frac_bits=8)
FINE = Formats(8, 8, 5, 6, 8)
TINY = Formats(8, 10, 5, 0, 8)
SHAPES = {
    # What the sweeps of whole layers are written for, and their neighbours that they are not.
    "two actions": AgentConfiguration(4, (16,), 2),
    "three actions": AgentConfiguration(6, (8,), 3, Formats(observation_frac_bits=9)),
    "two inputs": AgentConfiguration(2, (24,), 3, learning_rate_exponent=2),
    "eight inputs": AgentConfiguration(8, (8,), 2),
    "units that are no whole bytes": AgentConfiguration(4, (13,), 2),
    "odd inputs": AgentConfiguration(5, (8,), 2),
    "six inputs, two actions": AgentConfiguration(6, (16,), 2),
    "online, six inputs": AgentConfiguration(6, (8,), 2, ONLINE, 1, 3, preset="actor-critic"),
    "four actions": AgentConfiguration(4, (8,), 4),
    "many actions": AgentConfiguration(4, (9,), 7),
    "fine traces": AgentConfiguration(4, (8,), 2, Formats(trace_frac_bits=12), 0, None),
    # Traces of which 24 bits do not hold the products of bytes, which the clip's norm takes on AVR.
    "many fine traces": AgentConfiguration(6, (64,), 3, Formats(trace_frac_bits=12), 0, 1),
    # Small steps of large traces: weights of outputs saturate in updates that shift by 16 and more.
    "fine traces, small steps": AgentConfiguration(4, (16,), 3, Formats(trace_frac_bits=12), 3, None),
    "coarse weights": AgentConfiguration(2, (8,), 2, Formats(weight_frac_bits=2), 4, None),
    "fine weights": AgentConfiguration(4, (8,), 3, Formats(weight_frac_bits=15), 0, None),
    "immediate reward": AgentConfiguration(4, (8,), 2, ONLINE, immediate_reward=True),
    "two noise draws": AgentConfiguration(4, (8,), 2, noise_draws=2),
    "two layers": AgentConfiguration(4, (10, 7), 2),
    "three layers": AgentConfiguration(3, (6, 5, 4), 3, noise_draws=2),
    # Kernels that go along rows: words that are no whole rounds of theirs, units that are no whole groups of rows.
    "long rows": AgentConfiguration(12, (9,), 3, learning_rate_exponent=2),
    "longer rows": AgentConfiguration(44, (16,), 2, Formats(observation_frac_bits=9)),
    "longest rows": AgentConfiguration(64, (128, 4), 2),
    "long rows, many actions": AgentConfiguration(10, (7,), 16),
    "long rows, fine traces": AgentConfiguration(18, (8,), 4, Formats(trace_frac_bits=12), 0, None),
    "long rows, coarse weights": AgentConfiguration(14, (10, 8), 2, Formats(weight_frac_bits=2), 4, None),
    "long rows, fine weights": AgentConfiguration(10, (24, 6), 3, Formats(weight_frac_bits=15), 0, None),
    "long rows, small steps": AgentConfiguration(4, (22, 12), 3, Formats(trace_frac_bits=12), 3, None),
    "long rows, immediate reward": AgentConfiguration(16, (12,), 2, ONLINE, immediate_reward=True),
    "long rows, two noise draws": AgentConfiguration(12, (10, 8), 2, noise_draws=2),
    "long rows, one number": AgentConfiguration(20, (10, 8), 1, policy="gaussian"),
    "long rows, online": AgentConfiguration(
        12, (16, 9), 3, ONLINE, 1, 3, preset="actor-critic", critic_features="squares"
    ),
    "long odd rows": AgentConfiguration(11, (13, 9), 2),
    "two long layers": AgentConfiguration(10, (14, 11), 2),
    "three long layers": AgentConfiguration(3, (16, 26, 13), 5),
    "three layers, three rows": AgentConfiguration(2, (12, 3, 4), 2),
    "online": AgentConfiguration(4, (16,), 2, ONLINE, 1, 3, preset="actor-critic"),
    "online, three actions": AgentConfiguration(6, (8,), 3, ONLINE, 1, None, preset="actor-critic"),
    "online, fine traces": AgentConfiguration(4, (16,), 2, Formats(trace_frac_bits=12), 2, None, preset="actor-critic"),
    "online, squares": AgentConfiguration(
        5,
        (8,),
        2,
        Formats(observation_frac_bits=8, trace_frac_bits=8),
        1,
        3,
        preset="actor-critic",
        critic_features="squares",
    ),
    "online, cubes": AgentConfiguration(3, (8,), 2, ONLINE, 1, 3, preset="actor-critic", critic_features="cubes"),
    "online, coarse inputs": AgentConfiguration(
        4, (8,), 2, Formats(observation_frac_bits=7, trace_frac_bits=8), 1, 3, preset="actor-critic"
    ),
    "online, rather coarse inputs": AgentConfiguration(
        1, (8,), 2, Formats(observation_frac_bits=9, trace_frac_bits=8), 1, 3, preset="actor-critic"
    ),
    "online, fine inputs": AgentConfiguration(
        4, (8,), 2, Formats(observation_frac_bits=14, trace_frac_bits=8), 1, 3, preset="actor-critic"
    ),
    "tiny": AgentConfiguration(4, (16,), 2, TINY),
    "tiny, fine weights, three actions": AgentConfiguration(6, (16,), 3, Formats(8, 10, 7, 1, 8)),
    "tiny, large steps": AgentConfiguration(4, (16,), 2, TINY, 0, None),
    "tiny, fine traces, three inputs": AgentConfiguration(3, (8,), 2, Formats(8, 10, 5, 6, 8), 2, None),
    "tiny, coarse weights": AgentConfiguration(2, (8,), 2, Formats(8, 11, 1, 1, 8), 2),
    "tiny, two layers of eight": AgentConfiguration(4, (8, 8), 2, TINY),
    "online, tiny, whole bytes": AgentConfiguration(5, (8,), 2, Formats(8, 10, 5, 1, 8), 1, 3, preset="actor-critic"),
    # Of 8 bits: rows that are whole words and rows that are not, signs that are no whole bytes, shifts of few and of
    # many places.
    "tiny, three actions": AgentConfiguration(4, (16,), 3, TINY),
    "tiny, six inputs": AgentConfiguration(6, (8,), 3, TINY),
    "tiny, eight inputs": AgentConfiguration(8, (24,), 2, TINY),
    "tiny, odd inputs": AgentConfiguration(5, (16,), 2, TINY),
    "tiny, eight units and five": AgentConfiguration(4, (13,), 2, TINY),
    "tiny, many actions": AgentConfiguration(4, (9,), 6, TINY),
    "tiny, fine traces": AgentConfiguration(4, (16,), 2, Formats(8, 7, 5, 6, 8), 0, None),
    "tiny, fine traces, six inputs": AgentConfiguration(6, (16,), 3, Formats(8, 5, 7, 6, 8), 2, None),
    "tiny, weights without fraction": AgentConfiguration(4, (8,), 2, Formats(8, 12, 0, 0, 8), 0, None),
    "tiny, immediate reward": AgentConfiguration(4, (8,), 2, Formats(8, 10, 5, 2, 8), immediate_reward=True),
    "tiny, two noise draws": AgentConfiguration(4, (16,), 2, Formats(8, 8, 5, 4, 8), noise_draws=2),
    "tiny, two layers": AgentConfiguration(4, (12, 8), 2, Formats(8, 8, 5, 4, 8)),
    "tiny, three layers": AgentConfiguration(3, (5, 12, 7), 3, Formats(8, 8, 5, 4, 8)),
    "online, tiny, fine traces": AgentConfiguration(4, (16,), 2, FINE, 1, None, preset="actor-critic"),
    "online, tiny": AgentConfiguration(3, (9,), 3, Formats(8, 10, 5, 1, 8), 1, 3, preset="actor-critic"),
}
AGENT = """
#include "counted.h"
#include "nrl_agent.h"
#include "nrl_crc32.h"

static nrl_agent_t agent;
static nrl_entropy_t entropy;
static uint8_t snapshot[NRL_SNAPSHOT_BYTES];

void counted_prepare(void)
{
    SEEDED
    (void)nrl_agent_init(&agent, &entropy);
}

int counted_call(const counted_input_t *input)
{
    return nrl_agent_step(&agent, input->observation, input->reward, input->terminated != 0, input->truncated != 0);
}

/* Of everything that was learned and counted. With the checksum behind it, every snapshot would have the same CRC. */
uint32_t counted_weights_crc32(void)
{
    return nrl_agent_snapshot(&agent, snapshot) == NRL_OK
               ? nrl_crc32(0, snapshot, sizeof snapshot - NRL_SNAPSHOT_CHECKSUM_BYTES)
               : 0u;
}
"""


def crc_of(agent: IntegerAgent) -> int:
    """What the program above tells of the same agent."""
    return zlib.crc32(agent.snapshot()[:-4])


SEEDED = """
    static const uint32_t seed[4] = NRL_DEFAULT_SEED_STATE;

    nrl_entropy_seed(&entropy, seed);"""
REPLAYED = """
    nrl_entropy_use(&entropy, NRL_ENTROPY_REPLAY, read_recording, NULL);"""
RECORDING = """
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static bool read_recording(void *context, uint8_t *bytes, uint16_t length)
{
    static uint32_t place;

    (void)context;
    if (place + length > RECORDED) {
        return false;
    }
    for (uint16_t i = 0; i < length; ++i, ++place) {
        bytes[i] = (uint8_t)(place * 197u + (place >> 8) * 101u + (place * place >> 7));
    }
    return true;
}
"""


def recorded(length: int) -> bytes:
    """The bytes that read_recording gives."""
    return bytes((place * 197 + (place >> 8) * 101 + (place * place >> 7)) & 255 for place in range(length))


def stream_of(configuration: AgentConfiguration, entropy: EntropySettings | None = None) -> Stream:
    """Episodes of ordinary, of large and of extreme observations, and what the reference makes of them."""
    rng = np.random.default_rng(zlib.crc32(configuration.description.encode()))
    observations, rewards, flags = [], [], []
    for scale in (12000, 800, 800, 3000, 32767, 12000, 32767, 0, 800, 32767, 800):
        steps = int(rng.integers(3, 9)) if scale < 12000 else 30
        values = rng.integers(-scale, scale + 1, (steps + 1, configuration.inputs))
        if scale == 32767:
            values = rng.choice([-32768, -32767, -1, 0, 1, 32767], values.shape)
        observations.append(values)
        rewards.append(rng.choice([0, 1, -77, 500, 100_000, -(2**31), 2**31 - 1], steps + 1))
        ends = np.zeros(steps + 1, np.uint8)
        ends[-1] = rng.choice([TERMINATED, TRUNCATED])
        flags.append(ends)
    agent = reference_agent(configuration, entropy or EntropySettings(seed=SEED))
    stream = Stream(
        np.concatenate(observations).astype(np.int16),
        np.concatenate(rewards).astype(np.int32),
        np.concatenate(flags),
        0,
    )
    for observation, reward, flag in zip(stream.observations, stream.rewards, stream.flags, strict=True):
        agent.step(observation, int(reward), bool(flag & TERMINATED), bool(flag & TRUNCATED))
    return Stream(stream.observations, stream.rewards, stream.flags, crc_of(agent))


def test_the_streams_saturate_what_can_be() -> None:
    counted = np.zeros(5, np.int64)
    for configuration in SHAPES.values():
        agent = reference_agent(configuration, EntropySettings(seed=SEED))
        stream = stream_of(configuration)
        for observation, reward, flag in zip(stream.observations, stream.rewards, stream.flags, strict=True):
            agent.step(observation, int(reward), bool(flag & TERMINATED), bool(flag & TRUNCATED))
        counters = agent.counters()
        counted += [
            counters.observation,
            counters.pre_activation,
            counters.difference,
            counters.trace,
            counters.weight,
        ]
    assert (counted > 0).all(), counted


def test_streams_of_8_bits_take_every_sign_to_its_limit() -> None:
    extremes = {-128: 0, 127: 0}
    shapes = ("tiny, fine traces", "tiny, fine traces, six inputs", "online, tiny, fine traces", "tiny, two layers")
    for shape in shapes:
        configuration = SHAPES[shape]
        agent = reference_agent(configuration, EntropySettings(seed=SEED))
        stream = stream_of(configuration)
        for observation, reward, flag in zip(stream.observations, stream.rewards, stream.flags, strict=True):
            agent.step(observation, int(reward), bool(flag & TERMINATED), bool(flag & TRUNCATED))
            for limit in extremes:
                extremes[limit] += sum(int((traces == limit).sum()) for traces in agent.traces)
        assert agent.counters().trace > 0, shape
    assert min(extremes.values()) > 100, extremes


def test_another_agent_has_another_crc() -> None:
    crcs = {shape: stream_of(configuration).weights_crc32 for shape, configuration in SHAPES.items()}
    assert len(set(crcs.values())) == len(SHAPES)


def check(core_id: str, shape: str) -> None:
    core, configuration = find_core(core_id), SHAPES[shape]
    require_board(core.board_id)
    stream = stream_of(configuration)
    source = AGENT.replace("SEEDED", SEEDED)
    image = build(core, {**agent_sources(configuration, SEED), "agent.c": source}, configuration.inputs)
    _, crc = run_image(core, image, stream, "nrl_agent_step")
    assert crc == stream.weights_crc32, f"{shape} on {core.name}: the snapshot is not the reference's"


@pytest.mark.parametrize("core_id", [core.id for core in CORES])
def test_the_usual_shape_is_the_reference_s_on_every_core(core_id: str) -> None:
    check(core_id, "two actions")


# Cortex-M7 and M33 are given Cortex-M4's code, in another order: each takes its share of the shapes.
SCHEDULED_OTHERWISE = {"m7": 1, "m33": 3}
TOO_LARGE = ("longest rows", "avr")
SHAPES_OF_CORES = [
    (shape, core.id)
    for number, shape in enumerate(SHAPES)
    for core in CORES
    if shape != "two actions"
    and (shape, core.id) != TOO_LARGE
    and SCHEDULED_OTHERWISE.get(core.id, number % 4) == number % 4
]


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "core_id"), SHAPES_OF_CORES)
def test_every_shape_is_the_reference_s_on_every_core(shape: str, core_id: str) -> None:
    check(core_id, shape)


# Eight of the one, four of the other are just within the row limit.
LARGE_OUTPUT_WEIGHT, LARGE_WEIGHT = 65535 // 8, 65535 // 4
PREPARED = f"""
    (void)nrl_agent_init(&agent, &entropy);
    for (unsigned i = 0; i < NRL_HIDDEN_1; ++i) {{
        for (unsigned j = 0; j < NRL_INPUTS && ROW_WEIGHT != 0; ++j) {{
            agent.layer_1[i].weights[j] = ROW_WEIGHT;
        }}
        for (unsigned k = 0; k < NRL_ACTIONS; ++k) {{
            agent.layer_1[i].output_weights[k] = k == 1u ? -{LARGE_OUTPUT_WEIGHT} : {LARGE_OUTPUT_WEIGHT};
        }}
    }}
    nrl_find_row_bound(&agent);
"""


def check_large_weights(
    core_id: str, actions: int, row_weight: int, largest: int, length: int, trace_frac_bits: int = 5
) -> IntegerAgent:
    """Two episodes of eight units that begin with large output weights and `row_weight`, if not 0; the reference."""
    core = find_core(core_id)
    configuration = AgentConfiguration(4, (8,), actions, Formats(trace_frac_bits=trace_frac_bits))
    require_board(core.board_id)
    rng = np.random.default_rng(actions)
    observations = rng.integers(-largest, largest + 1, (2 * length, 4)).astype(np.int16)
    rewards = np.repeat([256, 1024], length).astype(np.int32)
    flags = np.zeros(2 * length, np.uint8)
    flags[[length - 1, -1]] = TERMINATED
    agent = reference_agent(configuration, EntropySettings(seed=SEED))
    if row_weight:
        agent.weights[0][:] = row_weight
    agent.weights[-1][:] = LARGE_OUTPUT_WEIGHT
    agent.weights[-1][1] = -LARGE_OUTPUT_WEIGHT
    for observation, reward, flag in zip(observations, rewards, flags, strict=True):
        agent.step(observation, int(reward), bool(flag & TERMINATED), False)
    prepared = AGENT.replace("SEEDED", SEEDED).replace("(void)nrl_agent_init(&agent, &entropy);", PREPARED)
    prepared = prepared.replace('#include "nrl_agent.h"', f'#include "nrl_internal.h"\n#define ROW_WEIGHT {row_weight}')
    image = build(core, {**agent_sources(configuration, SEED), "agent.c": prepared}, configuration.inputs)
    stream = Stream(observations, rewards, flags, crc_of(agent))
    _, crc = run_image(core, image, stream, "nrl_agent_step")
    assert crc == stream.weights_crc32, "the snapshot is not the reference's"
    return agent


LARGE_CORES = [
    core.id if core.id in ("avr", "rv32") else pytest.param(core.id, marks=pytest.mark.slow) for core in CORES
]


@pytest.mark.parametrize("actions", [2, 3])
@pytest.mark.parametrize("core_id", LARGE_CORES)
def test_sums_of_output_weights_that_leave_int16_are_the_reference_s(core_id: str, actions: int) -> None:
    assert check_large_weights(core_id, actions, 0, 800, 150).counters().difference > 0


@pytest.mark.parametrize("trace_frac_bits", [7, 8])
@pytest.mark.parametrize("core_id", LARGE_CORES)
def test_shares_that_leave_int16_are_the_reference_s(core_id: str, trace_frac_bits: int) -> None:
    assert check_large_weights(core_id, 2, 1, 32767, 30, trace_frac_bits).counters().trace > 0


def test_the_errors_of_two_actions_sum_up_to_0_or_1() -> None:
    """So one product serves both on AVR. The policy is section 6's, of all distances of two logits."""
    exponential = np.arange(32769)
    reciprocal = 2**31 // (32768 + exponential)
    probabilities = [reciprocal, (exponential * reciprocal) >> 15]
    for chosen in (0, 1):
        errors = [((65536 if k == chosen else 0) - probabilities[k] + 2) >> 2 for k in (0, 1)]
        assert set(np.unique(errors[0] + errors[1])) == {0, 1}


@pytest.mark.parametrize("actions", [2, 3])
@pytest.mark.parametrize("core_id", LARGE_CORES)
def test_rows_that_leave_the_row_limit_are_the_reference_s(core_id: str, actions: int) -> None:
    assert check_large_weights(core_id, actions, LARGE_WEIGHT, 8, 30).counters().weight > 0


AT_THE_LIMITS = """
    (void)nrl_agent_init(&agent, &entropy);
    for (unsigned row = 0; row < NRL_ROWS; ++row) {
        nrl_row_t place = nrl_row(&agent, row);

        for (unsigned j = 0; j < place.columns; ++j) {
            const int of_outputs = (j % 4u < 2u) == (row % 2u == 0u) ? 3 : -3; /* no action is certain */

            place.weights[j * place.stride] =
                (nrl_parameter_t)(row >= NRL_HIDDEN_1 ? of_outputs : (row + j) % 2u == 0u ? 120 : -121);
            place.traces[j * place.stride] = (nrl_parameter_t)((row + j) % 3u == 0u ? 127 : -128);
        }
    }
"""


@pytest.mark.parametrize("learning_rate_exponent", [0, 8])
@pytest.mark.parametrize("shape", ["tiny", "tiny, three actions", "tiny, coarse weights", "online, tiny, whole bytes"])
@pytest.mark.parametrize("core_id", LARGE_CORES)
def test_weights_and_traces_that_leave_int8_are_the_reference_s(
    core_id: str, shape: str, learning_rate_exponent: int
) -> None:
    core = find_core(core_id)
    configuration = replace(SHAPES[shape], learning_rate_exponent=learning_rate_exponent, clip_exponent=None)
    if not configuration.online:
        configuration = replace(configuration, immediate_reward=True)  # the first update has the first traces
    require_board(core.board_id)
    rng = np.random.default_rng(configuration.inputs)
    observations = rng.integers(-800, 801, (64, configuration.inputs))
    observations[[0, 1, 10, 11]] = rng.choice([-32768, 32767], (4, configuration.inputs))
    rewards = rng.choice([-4000, 0, 300, 5000], 64).astype(np.int32)
    rewards[:2] = 300  # the first update shifts by less than 17 places, or by more
    flags = np.zeros(64, np.uint8)
    flags[[31, 63]] = TERMINATED
    agent = reference_agent(configuration, EntropySettings(seed=SEED))
    rows = 0
    for weights, traces in zip(agent.weights, agent.traces, strict=True):
        row, column = np.indices(weights.shape)
        weights[:] = np.where((rows + row + column) % 2 == 0, 120, -121)
        if weights is agent.weights[-1]:
            weights[:] = np.where((column % 4 < 2) == ((rows + row) % 2 == 0), 3, -3)
        traces[:] = np.where((rows + row + column) % 3 == 0, 127, -128)
        rows += len(weights)
    stream = Stream(observations.astype(np.int16), rewards, flags, 0)
    for observation, reward, flag in zip(stream.observations, rewards, flags, strict=True):
        agent.step(observation, int(reward), bool(flag & TERMINATED), False)
    assert agent.counters().trace > 0 and (agent.counters().weight > 0 or shape != "tiny")
    source = AGENT.replace("SEEDED", SEEDED).replace("(void)nrl_agent_init(&agent, &entropy);", AT_THE_LIMITS)
    source = source.replace('#include "nrl_agent.h"', '#include "nrl_internal.h"')
    image = build(core, {**agent_sources(configuration, SEED), "agent.c": source}, configuration.inputs)
    _, crc = run_image(core, image, replace(stream, weights_crc32=crc_of(agent)), "nrl_agent_step")
    assert crc == crc_of(agent), f"{shape} on {core.name}: the snapshot is not the reference's"


@pytest.mark.parametrize(
    "core_id", [core.id if core.id == "m4" else pytest.param(core.id, marks=pytest.mark.slow) for core in CORES]
)
def test_output_weights_that_saturate_in_a_large_step_are_the_reference_s(core_id: str) -> None:
    """Updates that shift by less than 16, of two rows alike, so that errors stay large."""
    core, configuration = find_core(core_id), AgentConfiguration(4, (8,), 2, Formats(trace_frac_bits=12), 0, None)
    require_board(core.board_id)
    observations = np.random.default_rng(1).integers(-3000, 3001, (18, 4)).astype(np.int16)
    rewards = np.repeat([256, 1024, 512], 6).astype(np.int32)
    flags = np.zeros(18, np.uint8)
    flags[5::6] = TERMINATED
    agent = reference_agent(configuration, EntropySettings(seed=SEED))
    agent.weights[-1][:, :2] = 32000
    for observation, reward, flag in zip(observations, rewards, flags, strict=True):
        agent.step(observation, int(reward), bool(flag & TERMINATED), False)
    assert agent.counters().weight > 0
    prepared = """
    (void)nrl_agent_init(&agent, &entropy);
    for (unsigned k = 0; k < 2; ++k) {
        agent.layer_1[0].output_weights[k] = agent.layer_1[1].output_weights[k] = 32000;
    }"""
    source = AGENT.replace("SEEDED", SEEDED).replace("(void)nrl_agent_init(&agent, &entropy);", prepared)
    image = build(core, {**agent_sources(configuration, SEED), "agent.c": source}, configuration.inputs)
    _, crc = run_image(core, image, Stream(observations, rewards, flags, crc_of(agent)), "nrl_agent_step")
    assert crc == crc_of(agent), "the snapshot is not the reference's"


@pytest.mark.slow
@pytest.mark.parametrize("core_id", [core.id for core in CORES])
@pytest.mark.parametrize("shape", ["two actions", "online", "three actions", "long rows", "tiny"])
def test_a_source_that_ends_within_an_update_leaves_the_rest_of_the_rows(core_id: str, shape: str) -> None:
    core, configuration = find_core(core_id), SHAPES[shape]
    require_board(core.board_id)
    units = configuration.hidden[0]
    second = int(np.flatnonzero(stream_of(configuration).flags)[1])
    steps = 8 if configuration.online else second - 1  # up to the second update, of a block or of an episode
    before = initial_draw_bytes(configuration) + steps * step_draw_bytes(configuration) + configuration.parameters
    in_layer_1, in_outputs = (units // 2) * configuration.inputs + 1, units * (configuration.inputs + 1)
    for length in (before, before + in_layer_1, before + in_outputs):
        stream = stream_of(configuration, EntropySettings("replay", recording=recorded(length)))
        source = RECORDING.replace("RECORDED", f"{length}u") + AGENT.replace("SEEDED", REPLAYED)
        image = build(core, {**agent_sources(configuration, SEED), "agent.c": source}, configuration.inputs)
        _, crc = run_image(core, image, stream, "nrl_agent_step")
        assert crc == stream.weights_crc32, f"{shape} on {core.name}, {length} bytes: not the reference's snapshot"


@pytest.mark.slow
@pytest.mark.parametrize("cpu", ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m55"])
@pytest.mark.parametrize("shape", ["two actions", "online, three actions", "two layers", "tiny"])
def test_clang_takes_the_kernels_of_arm_too(cpu: str, shape: str, tmp_path: Path) -> None:
    require_tool("clang", "apt-get install clang")
    write_core(SHAPES[shape], tmp_path)
    flags = ["--target=arm-none-eabi", f"-mcpu={cpu}", "-mthumb", "-mfloat-abi=soft", "-std=c99", "-ffreestanding"]
    flags += ["-Os", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
    for source in sorted(tmp_path.glob("*.c")):
        command = ["clang", *flags, "-c", str(source), "-o", str(tmp_path / "object.o")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_sweeps_in_assembly_are_rendered_for_the_shapes_they_are_written_for() -> None:
    def has_sweeps(shape: str, header: str) -> bool:
        return "#define NRL_KERNEL_SWEEPS 1" in render_core(SHAPES[shape])[header]

    for header in ("nrl_sweeps_dsp.h", "nrl_sweeps_thumb1.h", "nrl_sweeps_rv32.h", "nrl_sweeps_avr.h"):
        assert has_sweeps("two actions", header) and has_sweeps("three actions", header)
        assert has_sweeps("online", header) and has_sweeps("online, three actions", header)
        for other in ("units that are no whole bytes", "four actions", "two layers", "tiny"):
            assert not has_sweeps(other, header)
        assert has_sweeps("odd inputs", header) == (header == "nrl_sweeps_avr.h"), "pairs of inputs are a word's affair"
    for header in ("nrl_sweeps_8_dsp.h", "nrl_sweeps_8_thumb1.h"):
        for shape in ("tiny", "tiny, odd inputs", "tiny, fine traces"):
            assert "#define NRL_KERNEL_SWEEPS_8 1" in render_core(SHAPES[shape])[header]
        for shape in ("two actions", "tiny, two layers", "tiny, two noise draws", "tiny, eight units and five"):
            assert "#define NRL_KERNEL_SWEEPS_8 0" in render_core(SHAPES[shape])[header]


@pytest.mark.parametrize("exponent", [0, 3], ids=["coarse", "fine"])
@pytest.mark.parametrize("core_id", LARGE_CORES)
def test_weights_of_long_rows_that_saturate_are_the_reference_s(core_id: str, exponent: int) -> None:
    """Rows of layer 1 stay far within their limit: nothing but the weight itself tells. Those of layer 2 do not."""
    core, configuration = (
        find_core(core_id),
        AgentConfiguration(12, (12, 6), 2, Formats(trace_frac_bits=12), exponent, None),
    )
    require_board(core.board_id)
    observations = np.random.default_rng(2).integers(-3000, 3001, (24, 12)).astype(np.int16)
    rewards = np.repeat([256, 1024, 512, 2048], 6).astype(np.int32)
    flags = np.zeros(24, np.uint8)
    flags[5::6] = TERMINATED
    agent = reference_agent(configuration, EntropySettings(seed=SEED))
    for layer in (0, 1):
        agent.weights[layer][:, 0] = 32767
        agent.weights[layer][:, 1:] = 0
        agent.weights[layer][:, 11] = -32700 * layer
    agent.weights[2][0] = 900
    for observation, reward, flag in zip(observations, rewards, flags, strict=True):
        agent.step(observation, int(reward), bool(flag & TERMINATED), False)
    assert agent.counters().weight > 0
    prepared = "(void)nrl_agent_init(&agent, &entropy);"
    for layer in (1, 2):
        prepared += f"""
    for (unsigned i = 0; i < NRL_HIDDEN_{layer}; ++i) {{
        agent.layer_{layer}[i].weights[0] = 32767;
        agent.layer_{layer}[i].weights[11] = {-32700 * (layer - 1)};
        for (unsigned j = 1; j < 11u; ++j) {{
            agent.layer_{layer}[i].weights[j] = 0;
        }}
    }}"""
    prepared += """
    for (unsigned i = 0; i < NRL_HIDDEN_2; ++i) {
        agent.layer_2[i].output_weights[0] = 900;
    }
    nrl_find_row_bound(&agent);"""
    source = AGENT.replace("SEEDED", SEEDED).replace("(void)nrl_agent_init(&agent, &entropy);", prepared)
    source = source.replace('#include "nrl_agent.h"', '#include "nrl_internal.h"')
    image = build(core, {**agent_sources(configuration, SEED), "agent.c": source}, configuration.inputs)
    _, crc = run_image(core, image, Stream(observations, rewards, flags, crc_of(agent)), "nrl_agent_step")
    assert crc == crc_of(agent), "the snapshot is not the reference's"
