"""The integer reference agent in NumPy: docs/arithmetic.md, section by section, and nothing else.

`IntegerAgent` is what all agents share, `ReferenceAgent` adds the update of section 7; that of section 11 is in
actor_critic.py. They never call the generated C. The two were written apart from the same page, so that their
agreement means something.
All arrays are int64; what the firmware holds in 8, 16 or 32 bits is clamped here where the page says so.
"""

from __future__ import annotations

import math
import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nrl_edge.agent import ENTROPY_MODES, EPISODE_ENDED, Counters, EntropySettings
from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.fixedpoint.arithmetic import (
    BASELINE_RATE,
    BASELINE_RATE_FRAC_BITS,
    LEAKY_SLOPE,
    RETURN_LIMIT,
    ROW_LIMIT,
    IntegerArray,
    clamp_return,
    leaky_relu,
    limit_row,
    quotient,
    round_shift,
    saturate,
    saturate_scalar,
    stochastic_shift,
)
from nrl_edge.fixedpoint.configuration import (
    DIFFERENCE_FRAC_BITS,
    LOGIT_FRAC_BITS,
    AgentConfiguration,
)
from nrl_edge.fixedpoint.entropy import SeededSource, open_source
from nrl_edge.fixedpoint.policy import Choice, GaussianChoice, SoftmaxChoice, continuous_action, head_bytes

SNAPSHOT_HEADER = struct.Struct("<4sHHIIIi6IB3x4II")
SNAPSHOT_MAGIC, SNAPSHOT_VERSION = b"NRLS", 1
MAX_SHIFT = 39
"""A change that is shifted further to the right is no change."""
_UINT32_MAX = (1 << 32) - 1
_UNIT_DIFFERENCE = 1 << DIFFERENCE_FRAC_BITS
_LEAKY_UNIT_DIFFERENCE = 2 * LEAKY_SLOPE


class IntegerAgent(ABC):
    """What the agents of docs/arithmetic.md share, in NumPy integers. Implements `nrl_edge.agent.Agent`.

    `weights` and `traces` are lists of int64 arrays of shape (n_l, n_(l-1)), hidden layers in order, then the output
    layer. Raises ConfigurationError where the entropy source cannot provide the initial weights.
    """

    def __init__(self, configuration: AgentConfiguration, entropy: EntropySettings) -> None:
        self._configuration = configuration
        self._entropy = open_source(entropy)
        self._counters = dict.fromkeys(Counters().as_dict(), 0)
        self.episodes = 0
        self.steps = 0
        self.episode_open = False
        self.episode_return = 0
        self.return_baseline = 0
        self.baseline_is_set = False
        self.weights = self._initial_weights()
        self.traces = [np.zeros(shape, np.int64) for shape in configuration.weight_shapes]
        self.action_outputs: NDArray[np.int16] = np.zeros(
            configuration.actions if configuration.continuous else 0, np.int16
        )
        """The last action of a continuous agent, Q12, (actions,); of the others empty."""

    @property
    def configuration(self) -> AgentConfiguration:
        """What this agent is."""
        return self._configuration

    def counters(self) -> Counters:
        """Saturation and failure counters (section 8)."""
        return Counters(**self._counters)

    # Section 4: initial weights

    def _initial_weights(self) -> list[IntegerArray]:
        weights = []
        bits = self._configuration.formats.parameter_bits
        hidden_shapes = self._configuration.weight_shapes[:-1]
        for (rows, columns), limit in zip(hidden_shapes, self._configuration.xavier_limits(), strict=True):
            matrix = np.empty((rows, columns), np.int64)
            for i in range(rows):
                drawn = self._entropy.draw(2 * columns)
                if drawn is None:
                    raise ConfigurationError(
                        "the entropy source ended before the initial weights were drawn; give a longer recording"
                    )
                uniform = np.frombuffer(drawn, "<i2").astype(np.int64)
                matrix[i], _ = limit_row(saturate(round_shift(uniform * limit, 15), bits))
            weights.append(matrix)
        weights.append(np.zeros(self._configuration.weight_shapes[-1], np.int64))
        return weights

    # Section 5: one call

    def step(self, observation: NDArray[np.int16], reward: int, terminated: bool, truncated: bool) -> int:
        """Take the reward of the last action, learn, and choose the next action; see `Agent.step`."""
        if observation.shape != (self._configuration.inputs,) or observation.dtype != np.int16:
            raise ConfigurationError(
                f"observation of shape {observation.shape} and type {observation.dtype}: "
                f"this agent takes shape ({self._configuration.inputs},) and type int16"
            )
        ended = terminated or truncated
        if ended and not self.episode_open:
            raise RunError("an episode was ended before it began: the first step of an episode cannot be its last")
        reward = clamp_return(reward)
        wide_observation = observation.astype(np.int64)
        if self.episode_open:
            self.episode_return = clamp_return(self.episode_return + reward)
            self._learn(wide_observation, reward, terminated, ended)
        if ended:
            self.episode_open = False
            self.episodes = min(self.episodes + 1, _UINT32_MAX)
            return EPISODE_ENDED
        if not self.episode_open:
            self.episode_open = True
            self.episode_return = 0
            self._begin_episode()
        return self._act(wide_observation)

    @abstractmethod
    def _learn(self, observation: IntegerArray, reward: int, terminated: bool, ended: bool) -> None:
        """Take in the (clamped) reward of the last action and what it led to."""

    def _begin_episode(self) -> None:  # noqa: B027  not every agent keeps more than the return
        """Start what belongs to one episode."""

    # Section 6: acting and tracing

    def _act(self, observation: IntegerArray) -> int:
        formats = self._configuration.formats
        self.steps = min(self.steps + 1, _UINT32_MAX)
        self._count("observation", int(np.count_nonzero((observation == 32767) | (observation == -32768))))

        signs, head, rounding = self._draw_step()

        activations, positives = [observation], []
        for matrix in self.weights[:-1]:
            pre_activation = self._saturate16(
                "pre_activation", round_shift(matrix @ activations[-1], formats.weight_frac_bits)
            )
            positives.append(pre_activation >= 0)
            activations.append(leaky_relu(pre_activation, positives[-1]))

        logit_shift = formats.observation_frac_bits + formats.weight_frac_bits - LOGIT_FRAC_BITS
        outputs = round_shift(self.weights[-1] @ activations[-1], logit_shift)
        choice = self._choose(outputs, head)
        if choice is None:
            return 0 if self._configuration.continuous else int(outputs.argmax())

        differences = [self._difference(of_draw, positives, choice) for of_draw in signs]
        self._trace(signs, activations, choice, differences, rounding)
        return choice.action

    def _choose(self, outputs: IntegerArray, head: bytes | None) -> Choice | None:
        """The action by its random bytes; None where there are none."""
        if not self._configuration.continuous:
            return None if head is None else SoftmaxChoice.draw([int(v) for v in outputs], head)
        choice = None if head is None else GaussianChoice.draw(len(outputs), head)
        numbers = np.zeros(len(outputs), np.int64) if choice is None else choice.numbers
        self.action_outputs = continuous_action(outputs, numbers).astype(np.int16)
        return choice

    def _draw_step(self) -> tuple[list[list[IntegerArray]], bytes | None, list[IntegerArray]]:
        """Of each noise draw the signs (+1, -1) a hidden layer; the action's bytes (None: no entropy); rounding bytes a
        layer."""
        sign_bytes = [(units + 7) // 8 for units in self._configuration.hidden]
        tiny = self._configuration.formats.parameter_bits == 8
        rounding_bytes = [columns for _, columns in self._configuration.weight_shapes] if tiny else []
        noise_draws = self._configuration.noise_draws
        of_action = head_bytes(self._configuration)
        drawn = self._entropy.draw(noise_draws * sum(sign_bytes) + of_action + sum(rounding_bytes))
        if drawn is None:
            self._count("entropy", 1)
            return [], None, []
        block = np.frombuffer(drawn, np.uint8)
        signs: list[list[IntegerArray]] = [[] for _ in range(noise_draws)]
        position = 0
        for of_draw in signs:
            for units, length in zip(self._configuration.hidden, sign_bytes, strict=True):
                bits = np.unpackbits(block[position : position + length], bitorder="little", count=units)
                of_draw.append(2 * bits.astype(np.int64) - 1)
                position += length
        head = drawn[position : position + of_action]
        position += of_action
        rounding = []
        for length in rounding_bytes:
            rounding.append(block[position : position + length].astype(np.int64))
            position += length
        return signs, head, rounding

    def _difference(self, signs: list[IntegerArray], positives: list[NDArray[np.bool_]], choice: Choice) -> int:
        """d of section 6: how much more likely the noise makes the action, Q12 in units of the noise."""
        shift = self._configuration.formats.weight_frac_bits
        activity = signs[0] * np.where(positives[0], _UNIT_DIFFERENCE, _LEAKY_UNIT_DIFFERENCE)
        for layer in range(1, len(signs)):
            pre_activation = round_shift(self.weights[layer] @ activity, shift) + signs[layer] * _UNIT_DIFFERENCE
            activity = leaky_relu(self._saturate16("difference", pre_activation), positives[layer])
        of_outputs = self._saturate16("difference", round_shift(self.weights[-1] @ activity, shift))
        unclamped = choice.difference(of_outputs)
        difference = saturate_scalar(unclamped, 16)
        self._count("difference", int(difference != unclamped))
        return difference

    def _trace(
        self,
        signs: list[list[IntegerArray]],
        activations: list[IntegerArray],
        choice: Choice,
        differences: list[int],
        rounding: list[IntegerArray],
    ) -> None:
        formats = self._configuration.formats
        to_trace = formats.observation_frac_bits - formats.trace_frac_bits

        def shift(value: IntegerArray, bits: int, layer: int) -> IntegerArray:
            return stochastic_shift(value, bits, rounding[layer]) if rounding else round_shift(value, bits)

        # The mean over 2 or 4 noise draws is a longer shift.
        to_share = DIFFERENCE_FRAC_BITS + to_trace + len(signs).bit_length() - 1
        for layer in range(len(activations) - 1):
            grown = self.traces[layer]
            for of_draw, difference in zip(signs, differences, strict=True):
                share = self._saturate_parameter("trace", shift(difference * activations[layer], to_share, layer))
                grown = grown + of_draw[layer][:, None] * share[None, :]
            self.traces[layer] = self._saturate_parameter("trace", grown)

        for k, error in enumerate(choice.error().tolist()):
            grown = shift(error * activations[-1], choice.error_frac_bits + to_trace, len(activations) - 1)
            self.traces[-1][k] = self._saturate_parameter("trace", self.traces[-1][k] + grown)

    # Section 7: what updates share

    def _trace_norm(self) -> tuple[int, int]:
        """The norm of all traces is root * 2^half of their last bits: (root, half); (0, 0) where it is 0."""
        squares = sum(int(np.square(trace).sum()) for trace in self.traces)
        if squares == 0:
            return 0, 0
        half = (squares.bit_length() - 31) // 2
        narrowed = squares >> (2 * half) if half >= 0 else squares << (-2 * half)
        return math.isqrt(narrowed), half

    def _rows_to_change(self) -> Iterator[tuple[IntegerArray, IntegerArray, IntegerArray]]:
        """Every row of weights, its row of traces and its random bytes; ends, counted, where a draw fails."""
        for matrix, trace in zip(self.weights, self.traces, strict=True):
            for weight_row, trace_row in zip(matrix, trace, strict=True):
                drawn = self._entropy.draw(len(weight_row))
                if drawn is None:
                    self._count("entropy", 1)
                    return
                yield weight_row, trace_row, np.frombuffer(drawn, np.uint8).astype(np.int64)

    def _change_row(
        self, weight_row: IntegerArray, trace_row: IntegerArray, mantissa: int, shift: int, random_bytes: IntegerArray
    ) -> None:
        """Add mantissa * trace / 2^shift to a row of weights, in place."""
        change = stochastic_shift(mantissa * trace_row, shift, random_bytes)
        limited, rounds = limit_row(self._saturate_parameter("weight", weight_row + change))
        weight_row[:] = limited
        self._count("weight", rounds)

    # Section 8: counting

    def _count(self, name: str, number: int) -> None:
        if number:
            self._counters[name] = min(self._counters[name] + number, _UINT32_MAX)

    def _saturate16(self, counter: str, value: IntegerArray) -> IntegerArray:
        clamped = saturate(value, 16)
        self._count(counter, int(np.count_nonzero(clamped != value)))
        return clamped

    def _saturate_parameter(self, counter: str, value: IntegerArray) -> IntegerArray:
        clamped = saturate(value, self._configuration.formats.parameter_bits)
        self._count(counter, int(np.count_nonzero(clamped != value)))
        return clamped

    # Section 9: snapshot

    def _learned_bytes(self) -> bytes:
        stored = "<i2" if self._configuration.formats.parameter_bits == 16 else "<i1"
        return b"".join(matrix.astype(stored).tobytes() for matrix in self.weights)

    def weights_crc32(self) -> int:
        """CRC-32 (zlib) of the bytes of all that was learned."""
        return zlib.crc32(self._learned_bytes())

    def snapshot(self) -> bytes:
        """The state between episodes. Raises RunError while an episode is open."""
        if self.episode_open:
            raise RunError("a snapshot is taken between episodes, and an episode is open: finish it first")
        state = self._entropy.state if isinstance(self._entropy, SeededSource) else (0, 0, 0, 0)
        body = (
            SNAPSHOT_HEADER.pack(
                SNAPSHOT_MAGIC,
                SNAPSHOT_VERSION,
                int(self.baseline_is_set),
                self._configuration.identity,
                self.episodes,
                self.steps,
                self.return_baseline,
                *self._counters.values(),
                ENTROPY_MODES.index(self._entropy.mode),
                *state,
                self._entropy.bytes_drawn,
            )
            + self._learned_bytes()
        )
        return body + zlib.crc32(body).to_bytes(4, "little")

    def restore(self, snapshot: bytes) -> None:
        """Take a snapshot back. Raises ConfigurationError, changing nothing, where it is damaged or another agent's."""
        fields, weights = _parse_snapshot(self._configuration, snapshot)
        self._restore_more(snapshot[SNAPSHOT_HEADER.size + self._configuration.weight_bytes : -4])
        (_, _, flags, _, self.episodes, self.steps, self.return_baseline, *rest) = fields
        counts, mode, state, bytes_drawn = rest[:6], rest[6], rest[7:11], rest[11]
        self._counters = dict(zip(self._counters, counts, strict=True))
        self.baseline_is_set = bool(flags & 1)
        self.episode_open = False
        self.episode_return = 0
        self.weights = weights
        for trace in self.traces:
            trace.fill(0)
        if mode == ENTROPY_MODES.index(self._entropy.mode):
            self._entropy.resume(bytes_drawn, state)

    def _restore_more(self, learned: bytes) -> None:  # noqa: B027  only a critic learns more than weights
        """Take back what was learned beside the weights. Raises ConfigurationError, before anything was changed."""


class ReferenceAgent(IntegerAgent):
    """The agent that learns from returns or from single rewards by section 7: preset `edge`."""

    # Section 5

    def _learn(self, observation: IntegerArray, reward: int, terminated: bool, ended: bool) -> None:
        if self._configuration.immediate_reward:
            self._update_from_reward(reward)
        elif ended:
            self._update_from_return()

    def _begin_episode(self) -> None:
        if self._configuration.immediate_reward:
            self.return_baseline = 0

    # Section 7: update

    def _update_from_return(self) -> None:
        if not self.baseline_is_set:
            self.return_baseline = self.episode_return
            self.baseline_is_set = True
        error = self.episode_return - self.return_baseline
        self._update(error, abs(self.episode_return) or abs(self.return_baseline))

    def _update_from_reward(self, reward: int) -> None:
        self._update(reward - self.return_baseline, 1 << self._configuration.formats.reward_frac_bits)

    def _update(self, error: int, divisor: int) -> None:
        """Learn from the reward prediction error `error / divisor`, clear the traces, let the baseline follow."""
        mantissa, shift = self._step_size(abs(error), divisor)
        self._change_weights(mantissa if error > 0 else -mantissa, shift)
        for trace in self.traces:
            trace.fill(0)
        self.return_baseline += round_shift(BASELINE_RATE * error, BASELINE_RATE_FRAC_BITS)

    def _step_size(self, error: int, divisor: int) -> tuple[int, int]:
        """(m, n) of section 7: a weight changes by m * E / 2^n, in units of its last bit. (0, 0) means no change."""
        configuration, formats = self._configuration, self._configuration.formats
        root, half = self._trace_norm()
        if error == 0 or divisor == 0 or root == 0:
            return 0, 0
        mantissa, exponent = quotient(error, divisor)
        exponent -= configuration.learning_rate_exponent
        if configuration.clip_exponent is not None:
            limit_mantissa, limit_exponent = quotient(1, root)
            limit_exponent += formats.trace_frac_bits - half - configuration.clip_exponent
            if (limit_exponent, limit_mantissa) < (exponent, mantissa):
                mantissa, exponent = limit_mantissa, limit_exponent
        shift = -(exponent + formats.weight_frac_bits - formats.trace_frac_bits)
        if shift < 0:
            return 32767, 0
        if shift > MAX_SHIFT:
            return 0, 0
        return mantissa, shift

    def _change_weights(self, mantissa: int, shift: int) -> None:
        for weight_row, trace_row, random_bytes in self._rows_to_change():
            if mantissa:
                self._change_row(weight_row, trace_row, mantissa, shift, random_bytes)


def refused_snapshot(reason: str) -> ConfigurationError:
    """The error of a snapshot that is not taken back."""
    return ConfigurationError(f"this snapshot cannot be restored: {reason}")


def _parse_snapshot(configuration: AgentConfiguration, snapshot: bytes) -> tuple[tuple[int, ...], list[IntegerArray]]:
    """Check every field that section 9 names. Returns the header's fields and the weight matrices."""

    if snapshot[:4] != SNAPSHOT_MAGIC:
        raise refused_snapshot("it does not begin with NRLS")
    if len(snapshot) != configuration.snapshot_bytes:
        raise refused_snapshot(f"it has {len(snapshot)} bytes, this agent's has {configuration.snapshot_bytes}")
    fields = SNAPSHOT_HEADER.unpack_from(snapshot)
    if fields[1] != SNAPSHOT_VERSION:
        raise refused_snapshot(f"its layout version is {fields[1]}, this program reads {SNAPSHOT_VERSION}")
    if fields[3] != configuration.identity:
        raise refused_snapshot(f"it belongs to agent {fields[3]:08x}, this agent is {configuration.identity:08x}")
    if zlib.crc32(snapshot[:-4]) != int.from_bytes(snapshot[-4:], "little"):
        raise refused_snapshot("its CRC is wrong: it was damaged or cut short")
    if abs(fields[6]) > RETURN_LIMIT:
        raise refused_snapshot(f"its return baseline {fields[6]} is beyond every return")
    stored = "<i2" if configuration.formats.parameter_bits == 16 else "<i1"
    end = SNAPSHOT_HEADER.size + configuration.weight_bytes
    flat = np.frombuffer(snapshot[SNAPSHOT_HEADER.size : end], stored).astype(np.int64)
    weights, position = [], 0
    for rows, columns in configuration.weight_shapes:
        matrix = flat[position : position + rows * columns].reshape(rows, columns).copy()
        if int(np.abs(matrix).sum(axis=1).max()) > ROW_LIMIT:
            raise refused_snapshot("a row of its weights is beyond the row limit")
        weights.append(matrix)
        position += rows * columns
    return fields, weights
