"""`NativeAgent`: the very C that firmware is made of, as a shared library in this process."""

from __future__ import annotations

import ctypes
import os
import weakref
import zlib
from functools import cache
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nrl_edge.agent import ENTROPY_MODES, EPISODE_ENDED, Counters, EntropySettings
from nrl_edge.codegen.core import render_core, seed_state
from nrl_edge.codegen.render import render_folder
from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.native.compiler import CCompiler, build_cached

TERMINATED = 1
"""Flag of `NativeAgent.run_stream`: this call closes the episode, which came to an end of its own."""
TRUNCATED = 2
"""Flag of `NativeAgent.run_stream`: this call closes the episode, which was cut off."""

_REWARD_LIMIT = (1 << 22) - 1
_INT16 = np.dtype(np.int16)
_ENTROPY_MODE_OFFSET, _BYTES_DRAWN_OFFSET = 48, 68

_STATUS_MESSAGES = {
    -2: "step was told that an episode ended, but no episode is open; step with an observation first",
    -3: "the agent is in the middle of an episode, and snapshots are taken between episodes; end the episode first",
    -4: "the entropy source gave no bytes for the initial weights",
    -5: "the agent refused this snapshot: its magic, version, identity, CRC, baseline or weights are not those of a"
    " snapshot of this agent; restore one that was taken from an agent with the same configuration",
    -6: "offset and length are not a chunk of a snapshot",
}


class _Status(ctypes.Structure):
    _fields_ = (
        ("counters", ctypes.c_uint32 * 6),
        ("episodes", ctypes.c_uint32),
        ("steps", ctypes.c_uint32),
        ("return_baseline", ctypes.c_int32),
        ("episode_return", ctypes.c_int32),
        ("episode_steps", ctypes.c_uint32),
        ("bytes_drawn", ctypes.c_uint32),
        ("episode_is_open", ctypes.c_uint32),
    )


_Refill = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32)


def _refill(address: int, length: int) -> int:
    try:
        ctypes.memmove(address, os.urandom(length), length)
    except (OSError, NotImplementedError):
        return 0
    return 1


_REFILL = _Refill(_refill)


def build_library(configuration: AgentConfiguration, compiler: CCompiler | None = None) -> Path:
    """Generate and compile the shared library of one agent, or find it in the user's cache.

    Raises MissingToolError without a C compiler and RunError where compiling fails.
    """
    files = {**render_core(configuration), **render_folder("native", {})}
    # Beyond the usual -O2 for the loops over units, which the host's compiler then turns into vector instructions.
    return build_cached(files, "agent", shared=True, extra_flags=("-O3",), compiler=compiler)


@cache
def _load(path: Path) -> ctypes.PyDLL:
    # Calls take a microsecond: letting other threads in between (CDLL) would cost more than it gives.
    library = ctypes.PyDLL(str(path))
    handle, int_, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
    signatures: dict[str, tuple[Any, tuple[Any, ...] | None]] = {
        "create": (handle, ()),
        "destroy": (None, (handle,)),
        "use_seed": (None, (handle, ctypes.c_uint32 * 4)),
        "use_refill": (None, (handle, _Refill, int_)),
        "use_recording": (None, (handle, ctypes.c_char_p, size)),
        "init": (int_, (handle,)),
        "bind_observation": (None, (handle, ctypes.c_void_p)),
        # `NativeAgent.step` has checked its integers, and ctypes passes them a good deal faster where it need not.
        "step": (int_, None),
        "run_stream": (None, (handle, size, *(ctypes.c_void_p,) * 5)),
        "snapshot": (int_, (handle, ctypes.c_char_p)),
        "restore": (int_, (handle, ctypes.c_char_p)),
        "weights_crc32": (ctypes.c_uint32, (handle,)),
        "action": (None, (handle, ctypes.c_void_p)),
        "parameters": (None, (handle, ctypes.c_char_p, ctypes.c_char_p)),
        "status": (None, (handle, ctypes.POINTER(_Status))),
        "seek": (None, (handle, size)),
        "recorded": (ctypes.c_void_p, (handle, ctypes.POINTER(ctypes.c_size_t))),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, f"nrl_native_{name}")
        function.restype = result
        function.argtypes = arguments
    return library


class NativeAgent:
    """A fixed-point agent in compiled C; implements `nrl_edge.agent.Agent`. One thread at a time may use it.

    With `recording` (raw entropy only) it keeps every byte it draws, so that its run can be replayed. Raises
    ConfigurationError for entropy it cannot have, MissingToolError without a C compiler, RunError where compiling or
    the initial draw fails.
    """

    def __init__(
        self,
        configuration: AgentConfiguration,
        entropy: EntropySettings,
        *,
        compiler: CCompiler | None = None,
        recording: bool = False,
    ) -> None:
        if entropy.mode == "expanded":
            raise ConfigurationError(
                "entropy mode 'expanded' is made by a board's hardware generator, which the native agent does not have;"
                " use 'seeded', 'raw' or 'replay'"
            )
        if recording and entropy.mode != "raw":
            raise ConfigurationError(
                f"recording = True is for entropy mode 'raw'; a '{entropy.mode}' run is repeated from its settings"
            )
        state = seed_state(entropy.seed) if entropy.mode == "seeded" else (0, 0, 0, 0)

        self._configuration = configuration
        self._entropy = entropy
        self._library = _load(build_library(configuration, compiler))
        address = self._library.nrl_native_create()
        if not address:
            raise RunError("no memory is left for the native agent; close other programs and try again")
        self._handle = ctypes.c_void_p(address)
        weakref.finalize(self, self._library.nrl_native_destroy, ctypes.c_void_p(address))

        self.observation_buffer: NDArray[np.int16] = np.zeros(configuration.inputs, dtype=np.int16)
        """int16 (inputs,). An observation written in place here and passed to `step` is not copied again."""
        self._shape = self.observation_buffer.shape
        self._outputs: NDArray[np.int16] = np.zeros(configuration.actions if configuration.continuous else 0, np.int16)
        self._step = self._library.nrl_native_step
        self._library.nrl_native_bind_observation(self._handle, self.observation_buffer.ctypes.data)

        self._noise_taken = 0
        # The C side keeps a pointer to these bytes, so this reference must live as long as the handle.
        self._recording = bytes(entropy.recording)
        if entropy.mode == "seeded":
            self._library.nrl_native_use_seed(self._handle, (ctypes.c_uint32 * 4)(*state))
        elif entropy.mode == "raw":
            self._library.nrl_native_use_refill(self._handle, _REFILL, int(recording))
        else:
            self._library.nrl_native_use_recording(self._handle, self._recording, len(self._recording))
        if self._library.nrl_native_init(self._handle) != 0:
            if entropy.mode == "replay":
                raise ConfigurationError(
                    f"the recording of {len(self._recording)} bytes ends before the initial weights are drawn;"
                    " it is cut short, or belongs to a smaller agent"
                )
            raise RunError("the operating system gave no random bytes for the initial weights")

    @property
    def configuration(self) -> AgentConfiguration:
        """What this agent is."""
        return self._configuration

    def step(self, observation: NDArray[np.int16], reward: int, terminated: bool, truncated: bool) -> int:
        """Take the reward of the last action, learn, and choose the next action (see `nrl_edge.agent.Agent.step`).

        `observation`: int16 (inputs,), any strides. Returns the action or EPISODE_ENDED. Raises ConfigurationError for
        a wrong shape or dtype, and RunError for the end of an episode that was not open.
        """
        if observation is not self.observation_buffer:
            if (
                not isinstance(observation, np.ndarray)
                or observation.dtype != _INT16
                or observation.shape != self._shape
            ):
                raise self._wrong_array("observation", observation, self._shape, _INT16)
            self.observation_buffer[:] = observation
        reward = index(reward)
        if not -_REWARD_LIMIT <= reward <= _REWARD_LIMIT:
            # What the agent would do as well, but a C int32 cannot carry every Python int there.
            reward = _REWARD_LIMIT if reward > 0 else -_REWARD_LIMIT
        action: int = self._step(
            self._handle, reward, (TERMINATED if terminated else 0) | (TRUNCATED if truncated else 0)
        )
        if action < EPISODE_ENDED:
            raise RunError(_STATUS_MESSAGES[action])
        return action

    @property
    def action_outputs(self) -> NDArray[np.int16]:
        """The last action of a continuous agent; see `nrl_edge.agent.Agent.action_outputs`."""
        self._library.nrl_native_action(self._handle, self._outputs.ctypes.data)
        return self._outputs.copy()

    def run_stream(
        self,
        observations: NDArray[np.int16],
        rewards: NDArray[np.int32],
        flags: NDArray[np.uint8],
        *,
        crcs: bool = True,
    ) -> tuple[NDArray[np.int16], NDArray[np.uint32]]:
        """Make T calls of `step` without returning to Python in between.

        `observations` int16 (T, inputs), `rewards` int32 (T,), `flags` uint8 (T,) with TERMINATED and TRUNCATED.
        Returns (actions int16 (T,), crcs uint32 (T,)): the action, EPISODE_ENDED or a status below it (-2: no episode
        was open), and the CRC-32 of the weights after each call (zeros with crcs=False). Raises ConfigurationError for
        wrong shapes or dtypes.
        """
        count = len(rewards)
        for name, array, shape, dtype in (
            ("observations", observations, (count, self._configuration.inputs), _INT16),
            ("rewards", rewards, (count,), np.dtype(np.int32)),
            ("flags", flags, (count,), np.dtype(np.uint8)),
        ):
            if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != shape:
                raise self._wrong_array(name, array, shape, dtype)
        inputs = [np.ascontiguousarray(array) for array in (observations, rewards, flags)]
        actions = np.zeros(count, dtype=np.int16)
        after = np.zeros(count, dtype=np.uint32)
        self._library.nrl_native_run_stream(
            self._handle,
            count,
            *(array.ctypes.data for array in inputs),
            actions.ctypes.data,
            after.ctypes.data if crcs else None,
        )
        return actions, after

    def snapshot(self) -> bytes:
        """The state between episodes (section 9). Raises RunError while an episode is open."""
        buffer = ctypes.create_string_buffer(self._configuration.snapshot_bytes)
        status = self._library.nrl_native_snapshot(self._handle, buffer)
        if status != 0:
            raise RunError(_STATUS_MESSAGES[status])
        return buffer.raw

    def restore(self, snapshot: bytes) -> None:
        """Take a snapshot back; an open episode is dropped.

        A seeded agent goes on with the snapshot's generator state where that was seeded too, a replay at the byte of
        its recording that the snapshot had reached where that was a replay too. Raises ConfigurationError, and changes
        nothing, where the snapshot is damaged or another agent's, or the recording is shorter than that.
        """
        snapshot = bytes(snapshot)
        if len(snapshot) != self._configuration.snapshot_bytes:
            raise ConfigurationError(
                f"a snapshot of this agent has {self._configuration.snapshot_bytes} bytes, this one has"
                f" {len(snapshot)}; it is cut short, or another agent's"
            )
        drawn = int.from_bytes(snapshot[_BYTES_DRAWN_OFFSET : _BYTES_DRAWN_OFFSET + 4], "little")
        was_replay = snapshot[_ENTROPY_MODE_OFFSET] == ENTROPY_MODES.index("replay")
        seeks = was_replay and self._entropy.mode == "replay"
        if (
            seeks
            and drawn > len(self._recording)
            and zlib.crc32(snapshot[:-4]) == int.from_bytes(snapshot[-4:], "little")
        ):
            raise ConfigurationError(
                f"the snapshot was taken after {drawn} random bytes, but the recording has {len(self._recording)};"
                " replay the recording of the same run"
            )
        status = self._library.nrl_native_restore(self._handle, snapshot)
        if status != 0:
            raise ConfigurationError(_STATUS_MESSAGES[status])
        if seeks:
            self._library.nrl_native_seek(self._handle, drawn)

    def weights_crc32(self) -> int:
        """CRC-32 of the weight bytes."""
        return int(self._library.nrl_native_weights_crc32(self._handle))

    def counters(self) -> Counters:
        """Saturation and failure counters."""
        return Counters(*self._status().counters)

    def weights(self) -> list[NDArray[np.int16] | NDArray[np.int8]]:
        """A copy of each weight matrix, hidden layers first: int16 or int8 (rows, columns) in Q weight_frac_bits."""
        return self._matrices(self._parameters()[0])

    def traces(self) -> list[NDArray[np.int16] | NDArray[np.int8]]:
        """A copy of each matrix of eligibility traces, shaped as `weights`, in Q trace_frac_bits."""
        return self._matrices(self._parameters()[1])

    @property
    def episodes(self) -> int:
        """Number of closed episodes."""
        return int(self._status().episodes)

    @property
    def steps(self) -> int:
        """Number of calls that gave an action."""
        return int(self._status().steps)

    @property
    def return_baseline(self) -> int:
        """Rbar, in Q reward_frac_bits."""
        return int(self._status().return_baseline)

    @property
    def episode_return(self) -> int:
        """Return of the open or else the last episode, in Q reward_frac_bits."""
        return int(self._status().episode_return)

    @property
    def episode_steps(self) -> int:
        """Steps of the open or else the last episode."""
        return int(self._status().episode_steps)

    @property
    def episode_is_open(self) -> bool:
        """Whether the next `step` may close an episode."""
        return bool(self._status().episode_is_open)

    @property
    def bytes_drawn(self) -> int:
        """Random bytes drawn so far, modulo 2^32."""
        return int(self._status().bytes_drawn)

    @property
    def recorded(self) -> bytes:
        """Every byte drawn since construction, in order; empty without `recording`."""
        length = ctypes.c_size_t()
        address = self._library.nrl_native_recorded(self._handle, ctypes.byref(length))
        return ctypes.string_at(address, length.value) if address else b""

    def take_noise(self) -> bytes:
        """The bytes drawn since construction or the last call; b"" without `recording`."""
        length = ctypes.c_size_t()
        address = self._library.nrl_native_recorded(self._handle, ctypes.byref(length))
        if not address:
            return b""
        taken = ctypes.string_at(address + self._noise_taken, length.value - self._noise_taken)
        self._noise_taken = length.value
        return taken

    def _status(self) -> _Status:
        status = _Status()
        self._library.nrl_native_status(self._handle, ctypes.byref(status))
        return status

    def _parameters(self) -> tuple[bytes, bytes]:
        """All weights and all traces, row by row."""
        weights = ctypes.create_string_buffer(self._configuration.weight_bytes)
        traces = ctypes.create_string_buffer(self._configuration.weight_bytes)
        self._library.nrl_native_parameters(self._handle, weights, traces)
        return weights.raw, traces.raw

    def _matrices(self, sent: bytes) -> list[NDArray[np.int16] | NDArray[np.int8]]:
        values: NDArray[np.int16] | NDArray[np.int8] = (
            np.frombuffer(sent, dtype=np.int16)
            if self._configuration.formats.parameter_bits == 16
            else np.frombuffer(sent, dtype=np.int8)
        )
        matrices: list[NDArray[np.int16] | NDArray[np.int8]] = []
        start = 0
        for rows, columns in self._configuration.weight_shapes:
            matrix: NDArray[np.int16] | NDArray[np.int8] = values[start : start + rows * columns].copy()
            matrices.append(matrix.reshape(rows, columns))
            start += rows * columns
        return matrices

    @staticmethod
    def _wrong_array(name: str, array: ArrayLike, shape: tuple[int, ...], dtype: np.dtype[Any]) -> ConfigurationError:
        got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else f"a {type(array).__name__}"
        return ConfigurationError(
            f"{name} must be a NumPy array of {dtype} with shape {shape}, not {got}; convert observations to fixed"
            " point first (section 10 of docs/arithmetic.md)"
        )
