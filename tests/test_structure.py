"""What must hold in the sources as a whole: who may import whom, what the C core may use, what no file may mention."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nrl_edge.resources import templates_folder

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"nrl_edge": ROOT / "nrl_edge", "nrl_host": ROOT / "host" / "nrl_host"}

Module = str


def module_files() -> dict[Module, Path]:
    """Every module of both packages by its dotted name."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = module_files()


def is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def statements(tree: ast.AST, *, inside_functions: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """The import statements of a module; those for type checkers alone are left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and is_type_checking(node.test):
            for other in node.orelse:
                yield from statements(ast.Module([other], []), inside_functions=inside_functions)
        elif inside_functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from statements(node, inside_functions=inside_functions)


def imported(module: Module, *, inside_functions: bool) -> set[str]:
    """Dotted names that a module imports: modules, and modules' members as `module.member`."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    names: set[str] = set()
    for node in statements(tree, inside_functions=inside_functions):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
            continue
        base = node.module or ""
        if node.level:
            parents = package.split(".")
            base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [node.module])])
        names.add(base)
        names.update(f"{base}.{alias.name}" for alias in node.names)
    return names


def own_modules(module: Module) -> set[Module]:
    """The modules of this project that a module uses, wherever in it they are imported."""
    needed: set[Module] = set()
    for name in imported(module, inside_functions=True):
        if name in MODULES:
            needed.add(name)
        else:
            parent = name.rpartition(".")[0]
            if parent in MODULES:
                needed.add(parent)
    # Importing a.b.c runs a and a.b first.
    for each in tuple(needed):
        needed.update(each.rsplit(".", depth)[0] for depth in range(1, each.count(".") + 1))
    # A module's own packages are being loaded already when it is.
    return {each for each in needed if each != module and not module.startswith(f"{each}.")}


def test_the_scan_sees_both_packages() -> None:
    assert {"nrl_edge.simulation", "nrl_edge.native.compiler", "nrl_host.cli.sim", "nrl_host"} <= set(MODULES)
    assert "nrl_edge.simulation" in own_modules("nrl_host.hil")
    assert "nrl_edge.study.plots" in own_modules("nrl_edge.study.run")
    assert "nrl_edge.study.plots" not in imported("nrl_edge.study.run", inside_functions=False)


def test_the_library_knows_no_port_and_no_application() -> None:
    for module in MODULES:
        if module.split(".")[0] != "nrl_edge":
            continue
        tops = {name.split(".")[0] for name in imported(module, inside_functions=True)}
        assert not tops & {"serial", "nrl_host", "typer", "platformio", "rich"}, module
        if not module.startswith("nrl_edge.native"):
            assert "subprocess" not in tops, module


def test_the_line_knows_nothing_of_the_devices_behind_it() -> None:
    for module in MODULES:
        if module.startswith("nrl_host.link"):
            others = {each for each in own_modules(module) if each.startswith("nrl_host.")}
            assert all(each.startswith("nrl_host.link") for each in others), f"{module} uses {sorted(others)}"


def test_no_process_is_started_behind_the_back_of_the_import_rule() -> None:
    for module, path in MODULES.items():
        if module.startswith("nrl_edge."):
            source = path.read_text(encoding="utf-8")
            assert not re.search(r"\bos\.(system|popen|exec\w+|spawn\w+|posix_spawn)\(", source), module


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Inside functions neither: that would hide a circle, not open it."""
    needs = {module: own_modules(module) for module in MODULES}
    done: set[Module] = set()

    def visit(module: Module, chain: tuple[Module, ...]) -> None:
        assert module not in chain, " -> ".join([*chain[chain.index(module) :], module])
        if module in done:
            return
        for needed in sorted(needs[module]):
            visit(needed, (*chain, module))
        done.add(module)

    for module in MODULES:
        visit(module, ())
    assert done == set(MODULES)


# The C sources

ALLOWED_HEADERS = {"stdint.h", "stdbool.h", "stddef.h"}
COMMENTS = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


def c_files(*folders: str) -> list[Path]:
    found = [path for name in folders for path in sorted((templates_folder() / name).iterdir())]
    return [path for path in found if path.name.removesuffix(".j2").endswith((".c", ".h"))]


@pytest.mark.parametrize("path", c_files("core", "noise", "link", "loop", "environment"), ids=lambda path: path.name)
def test_core_noise_and_link_are_pure_c(path: Path) -> None:
    code = COMMENTS.sub(" ", path.read_text(encoding="utf-8"))
    assert set(re.findall(r"#\s*include\s*<([^>]+)>", code)) <= ALLOWED_HEADERS
    for header in re.findall(r'#\s*include\s*"([^"]+)"', code):
        assert header.startswith("nrl_"), header
    for word in ("volatile", "malloc", "calloc", "realloc", "free", "printf", "float", "double", "asm", "__asm__"):
        assert not re.search(rf"\b{word}\b", code), word
    assert not re.search(r"\*\s*\)\s*\(?\s*(0[xX][0-9a-fA-F]|[1-9])", code), "a number as an address"


@pytest.mark.parametrize("path", c_files("core/kernels"), ids=lambda path: path.name)
def test_kernels_know_an_instruction_set_and_no_chip(path: Path) -> None:
    """Instructions may stand here and nowhere else in the core; registers of peripherals may not."""
    code = COMMENTS.sub(" ", path.read_text(encoding="utf-8"))
    assert set(re.findall(r"#\s*include\s*<([^>]+)>", code)) <= ALLOWED_HEADERS
    for header in re.findall(r'#\s*include\s*"([^"]+)"', code):
        assert header.startswith("nrl_"), header
    for word in ("volatile", "malloc", "calloc", "realloc", "free", "printf", "float", "double"):
        assert not re.search(rf"\b{word}\b", code), word
    assert not re.search(r"\*\s*\)\s*\(?\s*(0[xX][0-9a-fA-F]|[1-9])", code), "a number as an address"
    # What reaches a peripheral or the processor's state: AVR's I/O space, coprocessors, system registers.
    instructions = " ".join(re.findall(r'"([^"\n]*)"', re.sub(r"\{[%#].*?[%#]\}", " ", code, flags=re.DOTALL)))
    # The flags of arithmetic, of which Q tells that something saturated, are any program's own.
    instructions = re.sub(r"msr APSR_nzcvq, (%\d|r\d+|lr)|mrs (%\d|r\d+), APSR\b(?!_)", " ", instructions)
    assert not re.search(r"(^|\\t| )(in|out|sbi|cbi|mcr|mrc|msr|mrs|cps\w*|csr\w+|svc|wfi)\s", instructions)
    if path.name.startswith("nrl_kernels") and "portable" in path.name:
        assert "asm" not in code


# The repository

# Put together here, so that this file does not mention them.
FORBIDDEN = ("../" + "shared", "/" + "work/")


def test_no_file_mentions_where_it_was_made() -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split("\0")
    paths = [ROOT / name for name in listed if name and (ROOT / name).is_file()]
    assert len(paths) > 50
    mentions = {
        str(path.relative_to(ROOT)): text for path in paths for text in FORBIDDEN if text.encode() in path.read_bytes()
    }
    assert mentions == {}


def test_the_command_starts_without_what_only_some_verbs_need() -> None:
    program = "import sys, nrl_host.cli; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "nrl_host.cli" in loaded
    assert not {"matplotlib", "pandas", "dask", "platformio", "tensorboardX", "unicorn"} & set(loaded)
