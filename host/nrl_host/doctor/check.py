"""One finding of the doctor, and the machine that it looks at."""

from __future__ import annotations

import getpass
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from nrl_edge.errors import MissingToolError
from nrl_edge.native.compiler import find_c_compiler
from nrl_host.link.ports import PortInformation, list_ports

Status = Literal["ok", "missing", "problem", "unknown"]
"""`missing`: it is not installed; `problem`: it is there and does not work as it should; `unknown`: it cannot be told
on this system."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    """What it is, such as "avr-gcc" or "port /dev/ttyACM0"."""
    status: Status
    needed: bool
    """Whether the doctor calls the machine ill for its lack; see `diagnose`."""
    detail: str
    """What was found."""
    remedy: str = ""
    """The command that mends it; empty where there is nothing to mend."""
    boards: Sequence[str] = field(default=())
    """Ids of the boards that it is for; empty: for everything."""

    @property
    def ails(self) -> bool:
        """Whether something that is needed is not as it should be."""
        return self.needed and self.status in ("missing", "problem")

    def as_dict(self) -> dict[str, Any]:
        """The check by field name."""
        return asdict(self) | {"boards": list(self.boards)}


def _can_open(device: str) -> bool:
    # Windows and macOS do not guard serial ports by permissions.
    return not device.startswith("/") or os.access(device, os.R_OK | os.W_OK)


def _groups() -> frozenset[str]:
    """Names of the groups that this process is in."""
    try:
        import grp
    except ImportError:
        return frozenset()
    names = set()
    for number in {*os.getgroups(), os.getgid()}:
        try:
            names.add(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return frozenset(names)


def _run(command: Sequence[str], text: str = "") -> str | None:
    """What a program prints on standard output, given `text`; None where it fails."""
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, errors="replace", timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _c_compiler() -> Sequence[str] | None:
    """The host's C compiler as the rest of nrl-edge would choose it."""
    try:
        return find_c_compiler().command
    except MissingToolError:
        return None


@dataclass(frozen=True)
class Machine:
    """The machine that is looked at: this one, or one that a test makes up."""

    root: Path = Path("/")
    """Of the file system in which /sys, /proc, /etc, /dev and /usr are looked for."""
    platform: str = sys.platform
    python: tuple[int, int, int] = (sys.version_info.major, sys.version_info.minor, sys.version_info.micro)
    ports: Callable[[], list[PortInformation]] = list_ports
    can_open: Callable[[str], bool] = _can_open
    groups: Callable[[], frozenset[str]] = _groups
    user: Callable[[], str] = getpass.getuser
    is_administrator: bool = hasattr(os, "geteuid") and os.geteuid() == 0
    which: Callable[[str], str | None] = shutil.which
    has_module: Callable[[str], bool] = lambda name: importlib.util.find_spec(name) is not None
    run: Callable[..., str | None] = _run
    c_compiler: Callable[[], Sequence[str] | None] = _c_compiler

    @property
    def is_linux(self) -> bool:
        """Whether sysfs, udev and groups are to be looked at."""
        return self.platform == "linux"

    def path(self, name: str) -> Path:
        """A file of the machine by its absolute name."""
        return self.root / name.lstrip("/")

    def text(self, name: str | Path) -> str:
        """What a small file says, without white space at its ends; empty where it cannot be read."""
        try:
            return (self.path(name) if isinstance(name, str) else name).read_text("utf-8", "replace").strip()
        except OSError:
            return ""

    def install(self, packages: str) -> str:
        """The command that installs Debian packages; on other systems, where their names are told."""
        if self.is_linux and self.which("apt-get") is not None:
            return f"sudo apt-get install {packages}"
        return f"install what Debian calls {packages} (docs/platforms.md names the packages of other systems)"
