"""Builds a sketch as the Arduino tools do: the recipes of platform.txt, with the core and the library as they are."""

from __future__ import annotations

import atexit
import re
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PLATFORM = Path("/usr/share/arduino/hardware/arduino/avr")
IDE_VERSION = "10819"
# DECIMAL_DIG is in the <float.h> of C++11, but not in that of GCC 5, which Debian has for AVR. An installation says so
# in its platform.local.txt; the core itself stays as it is.
LOCAL = {"compiler.cpp.extra_flags": "-DDECIMAL_DIG=__DECIMAL_DIG__"}
STRICT = "-Wall -Wextra -Werror"


def read_properties(path: Path) -> dict[str, str]:
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#") and "=" in line)


@dataclass
class Build:
    """One build for a board of boards.txt."""

    folder: Path
    board: str = "uno"
    defines: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        of_board = read_properties(PLATFORM / "boards.txt")
        self.properties = read_properties(PLATFORM / "platform.txt") | {
            key.removeprefix(f"{self.board}."): value
            for key, value in of_board.items()
            if key.startswith(f"{self.board}.")
        }
        self.properties |= LOCAL | {
            "runtime.ide.version": IDE_VERSION,
            "build.arch": "AVR",
            "build.path": str(self.folder),
            "build.project_name": "sketch",
            "archive_file": "core.a",
        }
        self.core = PLATFORM / "cores" / self.properties["build.core"]
        self.variant = PLATFORM / "variants" / self.properties["build.variant"]
        self.folder.mkdir(parents=True, exist_ok=True)

    def expand(self, text: str, **more: str) -> str:
        values = self.properties | more
        while True:
            expanded = re.sub(r"\{([a-zA-Z0-9_.]+)\}", lambda match: values[match[1]], text)
            if expanded == text:
                return text
            text = expanded

    def run(self, recipe: str, **more: str) -> None:
        command = shlex.split(self.expand(self.properties[recipe], **more))
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"

    def compile(self, source: Path, includes: list[Path], warnings: str, part: str) -> Path:
        target = self.folder / part / f"{source.name}.o"
        target.parent.mkdir(exist_ok=True)
        recipe = {".c": "recipe.c.o.pattern", ".cpp": "recipe.cpp.o.pattern", ".S": "recipe.S.o.pattern"}[source.suffix]
        self.run(
            recipe,
            includes=" ".join(shlex.quote(f"-I{folder}") for folder in (self.core, self.variant, *includes)),
            source_file=str(source),
            object_file=str(target),
            **{
                "compiler.warning_flags": warnings,
                "build.extra_flags": " ".join(f"-D{define}" for define in self.defines),
            },
        )
        return target

    def sketch(self, ino: Path, library: Path) -> Path:
        """Compile and link a sketch with a library; returns the ELF file. All warnings of both are errors."""
        source = self.folder / "sketch.ino.cpp"
        # What the Arduino builder puts before a sketch; it also adds prototypes, which these sketches do not need.
        source.write_text(f'#include <Arduino.h>\n#line 1 "{ino}"\n{ino.read_text(encoding="utf-8")}')
        objects = [self.compile(source, [library / "src"], STRICT, "sketch")]
        for path in sorted((library / "src").rglob("*")):
            if path.suffix in (".c", ".cpp", ".S"):
                objects.append(self.compile(path, [library / "src"], STRICT, "library"))
        shutil.copy(core_archive(self.board), self.folder / "core.a")
        names = " ".join(shlex.quote(str(path)) for path in objects)
        self.run("recipe.c.combine.pattern", object_files=names, **{"compiler.warning_flags": "-w"})
        self.run("recipe.objcopy.hex.pattern")
        assert (self.folder / "sketch.hex").stat().st_size > 1000
        return self.folder / "sketch.elf"

    def archive(self) -> Path:
        """The core of the board, which knows nothing of a sketch."""
        archive = self.folder / "core.a"
        for path in sorted(self.core.iterdir()):
            if path.suffix in (".c", ".cpp", ".S"):
                made = self.compile(path, [], "-w", "core")
                self.run("recipe.ar.pattern", object_file=str(made), archive_file_path=str(archive))
        return archive

    def sizes(self) -> tuple[int, int]:
        """Bytes of flash and of RAM, as the Arduino IDE counts them."""
        command = shlex.split(self.expand(self.properties["recipe.size.pattern"]))
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        flash, data = (
            sum(int(value) for value in re.findall(self.properties[key], text, re.MULTILINE))
            for key in ("recipe.size.regex", "recipe.size.regex.data")
        )
        return flash, data


@cache
def core_archive(board: str) -> Path:
    """The archive of a board's core, built once, as the Arduino tools keep it between builds."""
    folder = Path(tempfile.mkdtemp(prefix="nrl-edge-core-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Build(folder, board).archive()
