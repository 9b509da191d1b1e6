"""What firmware has besides its agent, as an experiment asks for it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import Experiment, experiment_scale_exponents
from nrl_edge.tasks.fixed_cartpole import INPUTS as CARTPOLE_INPUTS

LINK_KEY_BYTES = 32

ProfileDetail = Literal["off", "steps", "phases"]
PROFILE_DETAILS: tuple[ProfileDetail, ...] = ("off", "steps", "phases")
"""How much a build counts of what it costs, at the index that PROFILE_REPLY carries."""
PROFILE_PHASES = (
    *("link", "other", "observation", "noise", "forward", "difference", "policy", "trace", "critic", "update"),
)
"""Phases of a call of step, in the order that PROFILE_REPLY carries them."""


@dataclass(frozen=True)
class OnChipEnvironment:
    """The environment that firmware simulates for its agent, instead of a host."""

    seed: int
    """Seed of the run's episodes, 64 bits (`nrl_edge.tasks.episode_seed`)."""
    scale_exponents: tuple[int, ...]
    """Each input is multiplied by 2**exponent."""
    episodes: int
    """After these the agent rests."""


@dataclass(frozen=True)
class FirmwareOptions:
    """Parts of the firmware that are there only where they are wanted."""

    save_every: int = 0
    """Episodes between two saves in the weight store; 0: the firmware has none."""
    link_key: bytes | None = field(default=None, repr=False)
    """Without this key (32 bytes) the firmware takes nothing but steps that changes its agent; None: it has none."""

    environment: OnChipEnvironment | None = None
    """What the firmware simulates; None: its agent's environment is on the other side of the link."""
    profile: ProfileDetail = "off"
    """What the firmware counts of what it costs, at the price of being larger and slower (docs/profile.md)."""

    def __post_init__(self) -> None:
        if self.link_key is not None and len(self.link_key) != LINK_KEY_BYTES:
            raise ConfigurationError(f"a link key of {len(self.link_key)} bytes: {LINK_KEY_BYTES} are needed")


PLAIN = FirmwareOptions()
"""Neither weight store nor key, no environment, and nothing is counted."""


def firmware_options(experiment: Experiment) -> FirmwareOptions:
    """What an experiment's firmware has. Raises ConfigurationError where its key file cannot be read."""
    path = experiment.link_key_path
    return FirmwareOptions(
        experiment.store.save_every,
        None if path is None else read_link_key(path),
        on_chip_environment(experiment) if experiment.task.on_chip else None,
    )


def on_chip_environment(experiment: Experiment) -> OnChipEnvironment:
    """What firmware of an experiment simulates, where it simulates its task."""
    exponents = experiment_scale_exponents(experiment)
    return OnChipEnvironment(
        experiment.episode_seed,
        (exponents,) * CARTPOLE_INPUTS if isinstance(exponents, int) else exponents,
        experiment.learning.episodes,
    )


def read_link_key(path: Path) -> bytes:
    """The key in a file of 64 hexadecimal digits. Raises ConfigurationError where there is none."""
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} holds no key ({error}); `nrl-edge key {path}` makes one") from None
    if len(key) != LINK_KEY_BYTES:
        raise ConfigurationError(
            f"{path} holds a key of {len(key)} bytes, and {LINK_KEY_BYTES} are needed, as {2 * LINK_KEY_BYTES} "
            f"hexadecimal digits; `nrl-edge key {path}` makes one"
        )
    return key


def write_link_key(path: Path) -> None:
    """Write a new key, from the system's generator, that only its owner may read.

    Raises ConfigurationError where the file exists or cannot be written.
    """
    try:
        path.touch(mode=0o600, exist_ok=False)
        try:
            path.write_text(secrets.token_hex(LINK_KEY_BYTES) + "\n", encoding="ascii")
        except OSError:
            path.unlink()  # half a key would be in the way of the next attempt
            raise
    except OSError as error:
        raise ConfigurationError(f"{path}: a new key cannot be written there: {error.strerror or error}") from error
