"""The agent on a device, behind a link: the same interface as the NumPy reference and the native library."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_edge.agent import ENTROPY_MODES, EPISODE_ENDED, Counters, EntropySettings
from nrl_edge.codegen.core import initial_draw_bytes, preset_code, seed_state, step_draw_bytes, update_draw_bytes
from nrl_edge.errors import ConfigurationError, DeviceError, RunError
from nrl_edge.fixedpoint.configuration import (
    BLOCK_STEPS,
    CRITIC_FEATURES,
    DEFAULT_BLOCK_STEPS,
    DEFAULT_DISCOUNT_EXPONENT,
    DISCOUNT_EXPONENTS,
    NOISE_DRAWS,
    AgentConfiguration,
    Formats,
)
from nrl_host.link import Link, RequestRefusedError
from nrl_host.link.messages import (
    ACTION_ENTROPY_FAILED,
    ACTION_EPISODE_ENDED,
    ACTION_NOISE_WAITS,
    ACTION_STORE_FAILED,
    MESSAGES,
    NO_CLIP,
    STEP_TERMINATED,
    STEP_TRUNCATED,
)
from nrl_host.noise_reader import NoiseReader

_LINK_MODES = ("seeded", "raw", "expanded")

NOISE_HEALTH = (
    "nothing is wrong",
    "the chip has no generator",
    "the generator gives no numbers: it is dead, not clocked or not there",
    "the generator says that its clock is wrong",
    "the generator says that its noise is wrong, and starting it again did not help",
    "the generator gives the same number again and again",
    "a health test found one bit too often in a row (stuck?)",
    "a health test found one bit too often in a window (biased?)",
    "a health test found one byte too often in a row (periodic?)",
)
"""What the codes of nrl_trng.h mean."""


def noise_health_text(code: int) -> str:
    """A health code of HELLO_REPLY or STATUS_REPLY in words."""
    return NOISE_HEALTH[code] if code < len(NOISE_HEALTH) else f"unknown health code {code}"


class LinkAgent:
    """The agent of a device. Implements `nrl_edge.agent.Agent`.

    With `begin` the device draws fresh weights from `entropy`, and what its agent had learned is lost; without, the
    agent goes on with what it has until `begin` is called. Without `keep_noise` the random bytes that the agent draws
    are not read: an agent that steps by itself draws on while they are, and who listens to it reads them.

    Raises DeviceError where the device carries another agent than `configuration`, ConfigurationError for an entropy
    mode that no device can begin with.
    """

    def __init__(
        self,
        link: Link,
        configuration: AgentConfiguration,
        entropy: EntropySettings,
        *,
        begin: bool = True,
        keep_noise: bool = True,
    ) -> None:
        if entropy.mode not in _LINK_MODES:
            raise ConfigurationError(
                f"entropy mode {entropy.mode!r}: a device begins with {' or '.join(_LINK_MODES)} entropy; "
                "use the native or the reference agent to replay a recording"
            )
        self.link = link
        self._configuration = configuration
        _check_configuration(link, configuration)
        self._step_codec = link.codec_of("STEP")
        self._action_codec = link.codec_of("ACTION")
        self._request_flat = link.request_flat
        self._shape = (configuration.inputs,)
        self._actions = 1 if configuration.continuous else configuration.actions
        self.action_outputs: NDArray[np.int16] = np.zeros(
            configuration.actions if configuration.continuous else 0, np.int16
        )
        """The last continuous action, Q12; empty where actions are discrete; see `Agent.action_outputs`."""
        self.on_warning: Callable[[str], None] = lambda sentence: None
        """Is called with a sentence, once each: when the noise fails or is lost to us, and when a save fails."""

        self.entropy_failures = 0
        """Calls of `step` in which the device had no random bytes to draw."""
        self.store_failures = 0
        """Saves that the device's weight store did not take."""
        self._entropy = entropy
        self._keeps_noise = keep_noise and entropy.mode != "seeded"
        self._noise = bytearray()
        self._noise_reader = NoiseReader(link)
        call = step_draw_bytes(configuration) + update_draw_bytes(configuration)
        # The size of a device's log is the next power of two of what is drawn at once (nrl_edge.codegen.noise).
        self._largest_log = 2 * max(initial_draw_bytes(configuration), 2 * call)
        if begin:
            self.begin()

    def begin(self) -> None:
        """Let the device draw fresh weights from the entropy given at construction; what it had learned is lost."""
        words = seed_state(self._entropy.seed) if self._entropy.mode == "seeded" else (0, 0, 0, 0)
        self.link.request(MESSAGES["BEGIN"](ENTROPY_MODES.index(self._entropy.mode), tuple(words)))
        self._noise.clear()
        self._noise_reader.restart()
        self._fetch_noise()

    def take_noise(self) -> bytes | None:
        """The noise that the agent drew since `begin` or the last call; b"" where its noise is seeded or not kept.

        None where some of them are lost, as the device's log is too small for what one call of step draws.
        """
        self._fetch_noise()
        taken = bytes(self._noise)
        self._noise.clear()
        return taken if self._noise_reader.is_complete else None

    def _fetch_noise(self) -> None:
        """Read what the agent has drawn; it draws no more before the next call of `step`."""
        if not self._keeps_noise or not self._noise_reader.is_complete:
            return
        before = len(self._noise)
        while data := self._noise_reader.read():
            self._noise += data
            if len(self._noise) - before > self._largest_log:
                raise DeviceError(
                    f"{self.link.url}: got {len(self._noise) - before} bytes of noise, and no agent of this experiment "
                    "draws so many at once. Whatever is there does not run its firmware"
                )
        if not self._noise_reader.is_complete:
            self.on_warning(
                f"some of the noise of {self.hello.board} was overwritten before it could be read: its log is "
                "too small for this agent. The run goes on, and cannot be repeated from its record; one with a "
                "smaller network, or on a board with more memory, can"
            )

    @property
    def configuration(self) -> AgentConfiguration:
        """What this agent is."""
        return self._configuration

    @property
    def hello(self) -> Any:
        """The device's HELLO_REPLY, as of the opening of the link."""
        return self.link.hello

    @property
    def telemetry(self) -> list[Any]:
        """The TELEMETRY messages so far, one an episode, oldest first; some may be missing (`dropped` counts them)."""
        return list(self.link.telemetry)

    def on_telemetry(self, callback: Callable[[Any], None] | None) -> None:
        """Call `callback` with every TELEMETRY message as it comes."""
        self.link.on_telemetry = callback

    def step(self, observation: NDArray[np.int16], reward: int, terminated: bool, truncated: bool) -> int:
        """Take the reward of the last action, learn, and choose the next action; see `Agent.step`."""
        if observation.shape != self._shape or observation.dtype != np.int16:
            raise ConfigurationError(
                f"observation of shape {observation.shape} and type {observation.dtype}: "
                f"this agent takes shape {self._shape} and type int16"
            )
        flags = (STEP_TERMINATED if terminated else 0) | (STEP_TRUNCATED if truncated else 0)
        try:
            reply = self._request_flat(self._step_codec, self._action_codec, (*observation.tolist(), reward, flags))
        except RequestRefusedError as error:
            if error.code_name == "NO_EPISODE":
                raise RunError(
                    "an episode was ended before it began: the first step of an episode cannot be its last"
                ) from error
            raise
        if reply[4]:
            self._note_status(reply[4])
        action: int = reply[3]
        if len(reply) > 5:
            self.action_outputs = np.array(reply[5:], np.int16)
        if action < self._actions:
            return action
        if action != ACTION_EPISODE_ENDED:
            raise DeviceError(
                f"{self.link.url}: the device chose action {action}, and its agent has {self._actions}; "
                "whatever is there does not run the firmware of this experiment"
            )
        return EPISODE_ENDED

    def _note_status(self, status: int) -> None:
        if status & ACTION_NOISE_WAITS:
            self._fetch_noise()
        if status & ACTION_STORE_FAILED:
            self.store_failures += 1
            if self.store_failures == 1:
                self.on_warning(
                    f"the non-volatile memory of {self.hello.board} did not take the agent: the image before it is "
                    "still there, and the run goes on. The memory may be worn out; `nrl-edge snapshot status` tells"
                )
        if not status & ACTION_ENTROPY_FAILED:
            return
        self.entropy_failures += 1
        if self.entropy_failures == 1:
            health = self.status().entropy_health
            self.on_warning(
                f"the noise of {self.hello.board} has failed: {noise_health_text(health)}. The agent goes on acting by "
                "its best guess and has stopped learning; look at the generator (docs/noise.md) and begin a new run"
            )

    def snapshot(self) -> bytes:
        """The state between episodes; see `Agent.snapshot`."""
        total = self._configuration.snapshot_bytes
        chunk = self._data_bytes("SNAPSHOT_DATA")
        parts = []
        for offset in range(0, total, chunk):
            length = min(chunk, total - offset)
            try:
                reply = self.link.request(MESSAGES["SNAPSHOT_READ"](offset, length), length)
            except RequestRefusedError as error:
                if error.code_name == "EPISODE_OPEN":
                    raise RunError("an episode is open: a snapshot is taken between episodes") from error
                raise
            if reply.offset != offset or len(reply.data) != length:
                raise DeviceError(
                    f"{self.link.url}: asked for {length} bytes at {offset} of the snapshot, "
                    f"got {len(reply.data)} at {reply.offset}"
                )
            parts.append(reply.data)
        return b"".join(parts)

    def restore(self, snapshot: bytes) -> None:
        """Take a snapshot back; see `Agent.restore`."""
        chunk = self._data_bytes("RESTORE_WRITE")
        try:
            self.link.request(MESSAGES["RESTORE_BEGIN"](len(snapshot)))
            for offset in range(0, len(snapshot), chunk):
                self.link.request(MESSAGES["RESTORE_WRITE"](offset, snapshot[offset : offset + chunk]))
            self.link.request(MESSAGES["RESTORE_COMMIT"]())
        except RequestRefusedError as error:
            if error.code_name == "SNAPSHOT_REFUSED":
                raise ConfigurationError(
                    "the snapshot was refused and changed nothing: "
                    "it is damaged, or of an agent with another configuration"
                ) from error
            raise

    def store_status(self) -> Any:
        """The device's STORE_STATUS_REPLY, of its weight store. Raises RequestRefusedError where it has none."""
        return self.link.request(MESSAGES["STORE_STATUS"]())

    def store_save(self) -> Any:
        """Save the agent in the device's weight store, between episodes; returns its STORE_STATUS_REPLY."""
        return self.link.request(MESSAGES["STORE_SAVE"]())

    def store_clear(self) -> Any:
        """Forget what the device's weight store holds; returns its STORE_STATUS_REPLY."""
        return self.link.request(MESSAGES["STORE_CLEAR"]())

    def noise_report(self) -> dict[str, str | int]:
        """How the device's raw noise is: `health` in words, `soft_alarms`, and `failed_draws` of the agent's life."""
        status = self.status()
        return {
            "health": noise_health_text(status.entropy_health),
            "soft_alarms": status.noise_alarms,
            "failed_draws": status.counters[list(Counters().as_dict()).index("entropy")],
        }

    def status(self) -> Any:
        """The device's STATUS_REPLY."""
        return self.link.request(MESSAGES["STATUS"]())

    def weights_crc32(self) -> int:
        """CRC-32 of the weight bytes."""
        return int(self.status().weights_crc32)

    def counters(self) -> Counters:
        """Saturation and failure counters."""
        return Counters(*self.status().counters)

    def link_counters(self) -> dict[str, dict[str, int]]:
        """The link counters of both sides: `host` since the link was opened, `device` since it started."""
        device = self.link.request(MESSAGES["LINK_STATUS"]())
        return {"host": self.link.counters.as_dict(), "device": device._asdict()}

    def _data_bytes(self, name: str) -> int:
        """How many bytes of a snapshot fit one frame of this device."""
        codec = self.link.codec_of(name)
        largest_content = self.hello.largest_frame + 2 - codec.coded_bytes
        trailing = codec.message.trailing
        largest = int(min(largest_content, trailing.maximum if trailing else 0))
        if largest <= 0:
            raise DeviceError(
                f"{self.link.url}: the device says that its largest frame has {self.hello.largest_frame} bytes, which "
                f"is less than a {name} needs; whatever is there does not run nrl_edge firmware"
            )
        return largest


def _preset_name(code: int) -> str:
    """The preset that HELLO_REPLY gives as a number, in words."""
    if code == 0:
        return "edge"
    if code <= len(CRITIC_FEATURES):
        return f"actor-critic with critic_features {CRITIC_FEATURES[code - 1]}"
    return f"unknown ({code})"


def configuration_of(link: Link) -> AgentConfiguration:
    """Which agent a device carries, by what it says of itself. Raises DeviceError where this version knows none."""
    hello = link.hello
    sizes = hello.layer_sizes[: hello.layers]
    # HELLO names what differs most; the rest is found by the identity.
    online = hello.preset != 0
    discounts = DISCOUNT_EXPONENTS if online else (DEFAULT_DISCOUNT_EXPONENT,)
    blocks = BLOCK_STEPS if online else (DEFAULT_BLOCK_STEPS,)
    for noise_draws, discount_exponent, block_steps in itertools.product(NOISE_DRAWS, discounts, blocks):
        try:
            configuration = AgentConfiguration(
                sizes[0],
                tuple(sizes[1:-1]),
                sizes[-1],
                Formats(
                    hello.parameter_bits,
                    hello.observation_frac_bits,
                    hello.weight_frac_bits,
                    hello.trace_frac_bits,
                    hello.reward_frac_bits,
                ),
                hello.learning_rate_exponent,
                None if hello.clip_exponent == NO_CLIP else hello.clip_exponent,
                bool(hello.immediate_reward),
                "edge" if hello.preset == 0 else "actor-critic",
                CRITIC_FEATURES[max(0, hello.preset - 1)],
                noise_draws,
                "gaussian" if hello.outputs else "softmax",
                discount_exponent,
                block_steps,
            )
        except (ConfigurationError, IndexError):
            continue
        if configuration.identity == hello.agent_identity:
            return configuration
    raise DeviceError(
        f"{link.url}: the device ({hello.board}) carries an agent that this version of nrl-edge does not know: its "
        "firmware was generated by another one. Generate, build and flash it again"
    )


def _check_configuration(link: Link, configuration: AgentConfiguration) -> None:
    hello = link.hello
    if hello.agent_identity == configuration.identity:
        return
    formats = configuration.formats
    expected = {
        "layer sizes": "-".join(map(str, configuration.layer_sizes)),
        "parameter bits (B)": formats.parameter_bits,
        "observation fraction bits (Fx)": formats.observation_frac_bits,
        "weight fraction bits (Fw)": formats.weight_frac_bits,
        "trace fraction bits (Ft)": formats.trace_frac_bits,
        "reward fraction bits (Fr)": formats.reward_frac_bits,
        "learning rate exponent (K)": configuration.learning_rate_exponent,
        "clip exponent (C)": "off" if configuration.clip_exponent is None else configuration.clip_exponent,
        "reward": "immediate" if configuration.immediate_reward else "delayed",
        "preset": _preset_name(preset_code(configuration)),
        "numbers of a continuous action": configuration.actions if configuration.continuous else 0,
    }
    found = (
        "-".join(map(str, hello.layer_sizes[: hello.layers])),
        hello.parameter_bits,
        hello.observation_frac_bits,
        hello.weight_frac_bits,
        hello.trace_frac_bits,
        hello.reward_frac_bits,
        hello.learning_rate_exponent,
        "off" if hello.clip_exponent == NO_CLIP else hello.clip_exponent,
        "immediate" if hello.immediate_reward else "delayed",
        _preset_name(hello.preset),
        hello.outputs,
    )
    differences = [
        f"{name}: expected {wanted}, found {value}"
        for (name, wanted), value in zip(expected.items(), found, strict=True)
        if wanted != value
    ]
    what = "; ".join(differences) or (
        f"agent identity: expected {configuration.identity:#010x}, found {hello.agent_identity:#010x}"
    )
    raise DeviceError(
        f"{link.url}: the device ({hello.board}) carries another agent than this experiment. {what}. "
        "Generate and build firmware for this experiment (`nrl-edge generate`, then `nrl-edge build`), "
        "or run the experiment that it was generated for"
    )
