"""Compiles what is counted, with the flags that a board's firmware is compiled with, and reads the image."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from elftools.elf.elffile import ELFFile

from benchmarks.counts.cores import Core
from nrl_edge.codegen.core import render_core
from nrl_edge.codegen.flags import is_freestanding
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.native.compiler import build_cached
from nrl_edge.resources import templates_folder
from nrl_host.build.toolchain import find_cross_compiler

HERE = Path(__file__).parent
CODE_BASE, RAM_BASE, RAM_BYTES = 0x00010000, 0x20000000, 1 << 20

AVR_LAST_BYTE_OF_RAM = 0xEFFF
"""The emulated chip has more RAM than any of its kind, so that every network is counted with the same instructions."""


@dataclass(frozen=True)
class Symbol:
    """A function or variable of an image."""

    name: str
    address: int
    bytes: int


@dataclass(frozen=True)
class Image:
    """A linked program."""

    path: Path

    @cached_property
    def segments(self) -> list[tuple[int, bytes]]:
        """(address, contents) of what is loaded."""
        with self.path.open("rb") as file:
            return [
                (segment["p_vaddr"], segment.data())
                for segment in ELFFile(file).iter_segments("PT_LOAD")
                if segment["p_filesz"]
            ]

    @cached_property
    def functions(self) -> list[Symbol]:
        """Functions by address; of several names for one address, the first."""
        return self._symbols("STT_FUNC", even=True)

    @cached_property
    def variables(self) -> dict[str, Symbol]:
        """Variables by name."""
        return {symbol.name: symbol for symbol in self._symbols("STT_OBJECT", even=False)}

    @cached_property
    def global_pointer(self) -> int:
        """Where start-up code points register gp of a RISC-V core: the linker shortens addresses near it."""
        with self.path.open("rb") as file:
            found = ELFFile(file).get_section_by_name(".symtab").get_symbol_by_name("__global_pointer$")
            return int(found[0]["st_value"])

    def _symbols(self, kind: str, even: bool) -> list[Symbol]:
        found: dict[int, Symbol] = {}
        with self.path.open("rb") as file:
            table = ELFFile(file).get_section_by_name(".symtab")
            for entry in table.iter_symbols():
                # Routines of libgcc that are written in assembler are plain labels to some linkers.
                is_label = even and entry["st_info"]["type"] == "STT_NOTYPE" and entry.name.startswith("__")
                if entry["st_info"]["type"] != kind and not is_label:
                    continue
                if not isinstance(entry["st_shndx"], int):
                    continue
                address = entry["st_value"] & ~1 if even else entry["st_value"]
                found.setdefault(address, Symbol(entry.name, address, entry["st_size"]))
        return [found[address] for address in sorted(found)]

    def code(self, address: int, length: int) -> bytes:
        """Bytes of the image."""
        for begin, contents in self.segments:
            if begin <= address < begin + len(contents):
                return contents[address - begin : address - begin + length]
        raise KeyError(address)

    def function(self, name: str) -> Symbol:
        """A function by name; its address is without the bit that says Thumb."""
        for function in self.functions:
            if function.name == name:
                return function
        raise KeyError(name)

    def address_of(self, name: str) -> int:
        """Where a function begins."""
        return self.function(name).address

    @cached_property
    def _starts(self) -> list[int]:
        return [function.address for function in self.functions]

    def function_at(self, address: int) -> str:
        """Name of the function that an address is in."""
        place = bisect_right(self._starts, address) - 1
        return self.functions[place].name if place >= 0 else "?"


def rom_header() -> str:
    """The header by which an AVR's constant tables stay in flash, of whatever port has it."""
    found = next(iter(sorted(templates_folder().rglob("nrl_port_rom.h"))))
    return found.read_text(encoding="utf-8")


def agent_sources(configuration: AgentConfiguration, seed: int) -> dict[str, str]:
    """The generated core and what makes it countable."""
    return {**render_core(configuration, seed), "agent.c": (HERE / "agent.c").read_text(encoding="utf-8")}


def build(core: Core, sources: Mapping[str, str], inputs: int, extra_flags: Sequence[str] = ()) -> Image:
    """Compile sources with the driver for a core; the image comes from the user's cache where nothing has changed."""
    files = {
        **sources,
        "driver.c": (HERE / "driver.c").read_text(encoding="utf-8"),
        "counted.h": (HERE / "counted.h").read_text(encoding="utf-8"),
    }
    flags = [*core.flags, *extra_flags]
    if is_freestanding(core.board):
        memory = templates_folder() / "port" / "freestanding" / "nrl_memory.c"
        files["nrl_memory.c"] = memory.read_text(encoding="utf-8")
        # No port: an address for code, one for variables, and the driver's main where a program starts.
        flags += [f"-Wl,-Ttext={CODE_BASE:#x}", f"-Wl,-Tdata={RAM_BASE:#x}", "-Wl,-e,main"]
    else:
        files["nrl_port_rom.h"] = rom_header()
        flags.append(f"-Wl,--defsym=__stack={AVR_LAST_BYTE_OF_RAM:#x}")
        flags.append(f"-Wl,--defsym=__DATA_REGION_LENGTH__={AVR_LAST_BYTE_OF_RAM:#x}")
    assert core.board.toolchain is not None
    path = build_cached(
        files,
        f"counted-{core.id}",
        defines={"COUNTED_INPUTS": inputs},
        extra_flags=flags,
        libraries=core.libraries,
        suffix=".elf",
        compiler=find_cross_compiler(core.board.toolchain),
    )
    return Image(path)
