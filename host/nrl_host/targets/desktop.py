"""The firmware as a process on this machine: the same sources as on a board, with the desktop port."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from nrl_edge.agent import EntropyMode
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_host.targets.process import ProcessTarget
from nrl_host.toolchain import build_image

Transport = Literal["tcp", "pty"]

_SANITIZE_FLAGS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")


def build_desktop_firmware(
    configuration: AgentConfiguration,
    *,
    seed: int = 0,
    entropy_mode: EntropyMode = "seeded",
    sanitize: bool = False,
    folder: Path | None = None,
) -> Path:
    """Render and compile the firmware and return the program.

    With `folder` sources and program are put there; without, the program comes from the user's cache of builds and is
    compiled only once. Raises MissingToolError where there is no C compiler.
    """
    flags = _SANITIZE_FLAGS if sanitize else ()
    return build_image(configuration, "desktop", seed=seed, entropy_mode=entropy_mode, folder=folder, extra_flags=flags)


class DesktopTarget(ProcessTarget):
    """The firmware of one agent in a process, behind TCP on 127.0.0.1 or a pseudo terminal; see ProcessTarget.

    `sanitize` builds with the address and undefined-behaviour sanitizers.
    """

    def __init__(
        self,
        configuration: AgentConfiguration,
        entropy_mode: EntropyMode = "seeded",
        *,
        seed: int = 0,
        transport: Transport = "tcp",
        sanitize: bool = False,
        folder: Path | None = None,
        program: Path | None = None,
    ) -> None:
        super().__init__("the desktop firmware", configuration, entropy_mode, seed=seed, folder=folder, program=program)
        self._transport = transport
        self._sanitize = sanitize

    def _build(self) -> Path:
        return build_desktop_firmware(
            self.configuration,
            seed=self._seed,
            entropy_mode=self._entropy_mode,
            sanitize=self._sanitize,
            folder=self._folder,
        )

    def _launch(self, program: Path) -> str:
        way = ["--tcp", "0"] if self._transport == "tcp" else ["--pty"]
        self._spawn([str(program), *way, "--watch-stdin"])
        place = self._announced_place()
        return f"socket://{place}" if self._transport == "tcp" else place
