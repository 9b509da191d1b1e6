"""Finds a C compiler of the host, and compiles with it.

Nothing here knows agents: the desktop firmware and the tests build with the same functions.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nrl_edge.errors import MissingToolError, RunError

SOURCE_SUFFIXES = (".c", ".S")
"""Ends of the names of files that a compiler is given; the others are found by them."""

_SHOWN_LINES = 12


@dataclass(frozen=True)
class CCompiler:
    """A C compiler that takes the options of GCC."""

    command: tuple[str, ...]
    """The command line it is started with, such as ("gcc",) or (python, "-m", "ziglang", "cc")."""

    @property
    def is_zig(self) -> bool:
        """Whether this is Zig's `cc`, which traps undefined behaviour unless told not to."""
        return self.command[-2:] == ("ziglang", "cc") or self.command[-2:] == ("zig", "cc")

    @property
    def version(self) -> str:
        """What `--version` answers. Raises RunError where the compiler does not run."""
        return _version(self.command)


@cache
def _version(command: tuple[str, ...]) -> str:
    return _run([*command, "--version"], f"{shlex.join(command)} --version")


def find_c_compiler() -> CCompiler:
    """The C compiler to use: $CC, else cc, gcc or clang, else Zig's from the PyPI package `ziglang`.

    Raises MissingToolError where there is none, or where $CC names none.
    """
    chosen = os.environ.get("CC", "").strip()
    if chosen:
        command = tuple(shlex.split(chosen))
        if shutil.which(command[0]) is None:
            raise MissingToolError(
                f"the environment variable CC names {command[0]!r}, which is not found; install it, or `unset CC` to"
                " let nrl-edge look for cc, gcc and clang"
            )
        return CCompiler(command)
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name) is not None:
            return CCompiler((name,))
    if importlib.util.find_spec("ziglang") is not None:
        return CCompiler((sys.executable, "-m", "ziglang", "cc"))
    raise MissingToolError(
        "no C compiler found (looked for $CC, cc, gcc, clang and the Python package ziglang); install one with"
        " `pip install 'nrl-edge[compiler]'`, or on Debian and Ubuntu with `apt-get install gcc libc6-dev`"
    )


def shared_library_suffix() -> str:
    """File name suffix of a shared library on this system."""
    return {"win32": ".dll", "cygwin": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")


def executable_suffix() -> str:
    """File name suffix of a program on this system."""
    return ".exe" if sys.platform == "win32" else ""


def _run(command: Sequence[str], what: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise MissingToolError(
            f"{what}: {command[0]} cannot be started ({error.strerror}); check the variable CC"
        ) from None
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        shown = "\n".join(lines[:_SHOWN_LINES])
        more = f"\n... and {len(lines) - _SHOWN_LINES} more lines" if len(lines) > _SHOWN_LINES else ""
        raise RunError(
            f"{what} failed (exit code {done.returncode}):\n{shown}{more}\nthe command was: {shlex.join(command)}"
        )
    return done.stdout


def _arguments(
    compiler: CCompiler, shared: bool, defines: Mapping[str, str | int], extra_flags: Sequence[str]
) -> list[str]:
    arguments = ["-std=c99", "-O2"]
    if compiler.is_zig:
        arguments.append("-fno-sanitize=undefined")
    if shared:
        arguments.append("-shared")
        if sys.platform not in ("win32", "cygwin"):
            arguments.append("-fPIC")
    arguments += [f"-D{name}={value}" for name, value in defines.items()]
    return [*arguments, *extra_flags]


def compile_c(
    sources: Sequence[Path],
    output: Path,
    *,
    include_folders: Sequence[Path] = (),
    defines: Mapping[str, str | int] | None = None,
    shared: bool = False,
    extra_flags: Sequence[str] = (),
    libraries: Sequence[str] = (),
    compiler: CCompiler | None = None,
) -> Path:
    """Compile and link C sources into a program or, with `shared`, a shared library; returns `output`.

    The flags are -std=c99 -O2, which later ones in `extra_flags` override; `libraries` (such as "-lgcc") go behind the
    sources. `output` appears complete or not at all,
    and warnings of a compilation that succeeds are not shown. Raises MissingToolError without a compiler and RunError,
    with the first lines of the compiler's messages, where it fails.
    """
    compiler = compiler or find_c_compiler()
    output.parent.mkdir(parents=True, exist_ok=True)
    # A folder of its own beside the output: the same file system, so that the move is atomic.
    with tempfile.TemporaryDirectory(prefix=".build-", dir=output.parent) as folder:
        built = Path(folder) / output.name
        command = [
            *compiler.command,
            *_arguments(compiler, shared, defines or {}, extra_flags),
            *(f"-I{include_folder}" for include_folder in include_folders),
            *(str(source) for source in sources),
            *libraries,
            "-o",
            str(built),
        ]
        _run(command, f"compiling {output.name}")
        built.replace(output)
    return output


def _is_private(folder: Path) -> bool:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return False
    return not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o022)


@cache
def _temporary_cache() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"nrl_edge-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if _is_private(folder) and os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    # Somebody else owns that name in a folder everyone can write to; what lies there must not be loaded as code.
    return Path(tempfile.mkdtemp(prefix="nrl_edge-"))


def cache_folder() -> Path:
    """Folder of cached builds: $XDG_CACHE_HOME/nrl_edge, else ~/.cache/nrl_edge, else one in the temporary folder."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    try:
        folder = (Path(home) if home else Path.home() / ".cache") / "nrl_edge"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    except (OSError, RuntimeError):
        pass
    return _temporary_cache()


def build_cached(
    files: Mapping[str, str],
    name: str,
    *,
    defines: Mapping[str, str | int] | None = None,
    shared: bool = False,
    extra_flags: Sequence[str] = (),
    libraries: Sequence[str] = (),
    linker_script: str | None = None,
    suffix: str | None = None,
    compiler: CCompiler | None = None,
) -> Path:
    """Build C files given as {name: content}, once: the result stays in the user's cache, under a hash of its inputs.

    Every `.c` and `.S` file is compiled; headers are found beside them. `name` is the start of the result's file name,
    `suffix` its end (by default that of this system), `linker_script` the name of the file that lays it out. Safe with
    many processes at once. Errors are those of `compile_c`.
    """
    compiler = compiler or find_c_compiler()
    digest = hashlib.sha256()
    arguments = _arguments(compiler, shared, defines or {}, extra_flags)
    parts = [*compiler.command, compiler.version, *arguments, *libraries, linker_script or ""]
    for part in (*parts, *(text for item in sorted(files.items()) for text in item)):
        encoded = part.encode("utf-8")
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    if suffix is None:
        suffix = shared_library_suffix() if shared else executable_suffix()
    built = cache_folder() / f"{name}-{digest.hexdigest()[:32]}{suffix}"
    if built.is_file():
        return built
    with tempfile.TemporaryDirectory(prefix=".sources-", dir=built.parent) as temporary:
        folder = Path(temporary)
        for file_name, content in files.items():
            path = folder / file_name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode("utf-8"))
        return compile_c(
            [folder / file_name for file_name in sorted(files) if file_name.endswith(SOURCE_SUFFIXES)],
            built,
            include_folders=[folder],
            defines=defines,
            shared=shared,
            extra_flags=[*extra_flags, *([f"-T{folder / linker_script}"] if linker_script else [])],
            libraries=libraries,
            compiler=compiler,
        )
