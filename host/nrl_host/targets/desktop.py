"""The firmware as a process on this machine: the same sources as on a board, with the desktop port."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal, Unpack

from nrl_edge.agent import EntropyMode
from nrl_edge.codegen.options import PLAIN, FirmwareOptions
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_host.build.toolchain import build_image
from nrl_host.targets.process import FirmwareKeywords, ProcessTarget

Transport = Literal["tcp", "pty"]

_SANITIZE_FLAGS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")


def build_desktop_firmware(
    configuration: AgentConfiguration,
    *,
    seed: int = 0,
    entropy_mode: EntropyMode = "seeded",
    options: FirmwareOptions = PLAIN,
    sanitize: bool = False,
    folder: Path | None = None,
) -> Path:
    """Render and compile the firmware and return the program.

    With `folder` sources and program are put there; without, the program comes from the user's cache of builds and is
    compiled only once. Raises MissingToolError where there is no C compiler.
    """
    flags = _SANITIZE_FLAGS if sanitize else ()
    return build_image(
        configuration,
        "desktop",
        seed=seed,
        entropy_mode=entropy_mode,
        options=options,
        folder=folder,
        extra_flags=flags,
    )


class DesktopTarget(ProcessTarget):
    """The firmware of one agent in a process, behind TCP on 127.0.0.1 or a pseudo terminal; see ProcessTarget.

    `sanitize` builds with the address and undefined-behaviour sanitizers. `nvm` is the file that the weight store is
    kept in; without one it lasts until the target is stopped.
    """

    def __init__(
        self,
        configuration: AgentConfiguration,
        entropy_mode: EntropyMode = "seeded",
        *,
        transport: Transport = "tcp",
        sanitize: bool = False,
        nvm: Path | None = None,
        **firmware: Unpack[FirmwareKeywords],
    ) -> None:
        super().__init__("the desktop firmware", configuration, entropy_mode, **firmware)
        self._nvm = nvm
        self._memory: tempfile.TemporaryDirectory[str] | None = None
        self._transport = transport
        self._sanitize = sanitize

    def _build(self) -> Path:
        return build_desktop_firmware(
            self.configuration,
            seed=self._seed,
            entropy_mode=self._entropy_mode,
            sanitize=self._sanitize,
            folder=self._folder,
            options=self._options,
        )

    def stop(self) -> None:
        """End the process, and forget what its weight store holds unless that is in a file of the caller's."""
        super().stop()
        if self._memory is not None:
            self._memory.cleanup()
            self._memory = None

    def _launch(self, program: Path) -> str:
        way = ["--tcp", "0"] if self._transport == "tcp" else ["--pty"]
        kept = self._nvm
        if kept is None and self._options.save_every:
            if self._memory is None:
                self._memory = tempfile.TemporaryDirectory(prefix="nrl-edge-")
            kept = Path(self._memory.name, "nvm.bin")
        self._spawn([str(program), *way, "--watch-stdin", *(["--nvm", str(kept)] if kept is not None else [])])
        place = self._announced_place()
        return f"socket://{place}" if self._transport == "tcp" else place
