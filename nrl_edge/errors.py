"""The errors that mean "the user, the tools or the device", never a bug of this project.

Each error class has the exit code that the `nrl-edge` command ends with. A message says what failed, the likely cause
and what to do next, and is shown as it stands, without a traceback.
"""

from __future__ import annotations


class NrlError(Exception):
    """Base of all errors that are shown to a user as one message. `exit_code` is the process exit code."""

    exit_code = 1


class RunError(NrlError):
    """A run or a check failed (exit code 1)."""

    exit_code = 1


class ConfigurationError(NrlError):
    """Wrong usage or a wrong experiment, board or run file (exit code 2)."""

    exit_code = 2


class DeviceError(NrlError):
    """A device or the link to it failed, or the device runs other firmware than expected (exit code 3)."""

    exit_code = 3


class MissingToolError(NrlError):
    """A tool that is needed is not installed; the message names the command that installs it (exit code 4)."""

    exit_code = 4
