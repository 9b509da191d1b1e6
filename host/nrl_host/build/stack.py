"""How deep the stack of an image can get: a bound from the image alone, by its call graph and the frames of functions.

The frame of a function is the largest distance that its call frame information (DWARF, section .debug_frame) gives
between the stack pointer and where it was before the call. AVR's compiler writes none, and libgcc's assembly has none:
there, pushes and what the prologue takes from the stack pointer are counted. Calls come from the disassembly. A call
through a pointer may go to every function whose address is taken. The deepest path from the start is added to the
deepest interrupt handler and to what the core stacks for it; handlers of these ports do not interrupt each other.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from elftools.dwarf.callframe import FDE
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from nrl_edge.boards import Board, ToolchainName

_EXCEPTION_BYTES: dict[ToolchainName, int] = {
    # Eight registers, and up to one word to align them.
    "arm-none-eabi": 36,
    "riscv64-unknown-elf": 0,
    "avr": 0,
}
"""What the core itself puts on the stack for an interrupt; AVR's return address is in every frame."""
_STARTS = ("nrl_reset", "main")
"""Where the stack begins; who comes there again, as after a fault, begins it anew."""
_HANDLERS = ("nrl_trap",)
"""Whose address is given to the core and to nobody else."""
_LINE = re.compile(r"^\s*([0-9a-f]+):\t(\S+)(?:\s+(.*))?$")
_TARGET = re.compile(r"\b(?:0x)?([0-9a-f]+) <")
_CALLS = ("bl", "call", "rcall", "jal")
_JUMPS = {
    "arm-none-eabi": re.compile(r"bl|blx|b(\.[nw])?|b(eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)(\.[nw])?|cbn?z"),
    "riscv64-unknown-elf": re.compile(r"jal|j|call|tail|b\w+"),
    "avr": re.compile(r"r?call|r?jmp|br\w+"),
}
_INDIRECT_CALLS = re.compile(r"(blx|bx)\s+(r\d+|ip)|(jalr|jr)\s+(?!ra)\S+|e?icall")


@dataclass
class _Function:
    name: str
    frame_bytes: int = 0
    calls: set[int] = field(default_factory=set)
    calls_pointers: bool = False


@dataclass(frozen=True)
class StackBound:
    """What the stack takes at most."""

    path_bytes: int
    """Of the deepest path of calls from the start."""
    interrupt_bytes: int
    """Of the deepest interrupt handler, with what the core stacks for it."""
    path: tuple[str, ...]
    """The functions of the deepest path, from the start."""

    @property
    def bytes(self) -> int:
        """Both together."""
        return self.path_bytes + self.interrupt_bytes


def stack_bound(image: Path, board: Board) -> StackBound | None:
    """The bound of an ELF image; None where there is none.

    That is where functions call themselves, where a framework brings code with pointers and interrupts of its own, and
    where the board's toolchain is not installed.
    """
    if board.framework is not None or board.toolchain is None or shutil.which(f"{board.toolchain}-objdump") is None:
        return None
    return _bound(image, image.stat().st_mtime_ns, board.toolchain, 3 if board.mcu.startswith("ATmega2560") else 2)


@cache
def _bound(image: Path, _written: int, toolchain: ToolchainName, avr_return_bytes: int) -> StackBound | None:
    functions = _functions(image)
    taken = _read_code(image, toolchain, functions, avr_return_bytes)
    taken = {each for each in taken if functions[each].name not in _HANDLERS}
    if toolchain != "avr":
        _read_frames(image, functions)
    start = next((address for name in _STARTS for address, each in functions.items() if each.name == name), None)
    if start is None:
        return None
    depths: dict[int, tuple[int, tuple[int, ...]]] = {}

    def depth(address: int, above: frozenset[int]) -> tuple[int, tuple[int, ...]]:
        if address in above:
            raise RecursionError
        if address not in depths:
            function = functions[address]
            called = function.calls | (taken if function.calls_pointers else set())
            below = max((depth(each, above | {address}) for each in called - {start}), default=(0, ()))
            depths[address] = (function.frame_bytes + below[0], (address, *below[1]))
        return depths[address]

    try:
        deepest = depth(start, frozenset())
        reached = set(depths)
        handlers = max((depth(each, frozenset())[0] for each in functions if each not in reached), default=0)
    except RecursionError:
        return None
    path = tuple(functions[each].name for each in deepest[1])
    return StackBound(deepest[0], handlers + _EXCEPTION_BYTES[toolchain], path)


def _functions(image: Path) -> dict[int, _Function]:
    """The functions of an image by their address."""
    with image.open("rb") as file:
        elf = ELFFile(file)
        table = elf.get_section_by_name(".symtab")
        thumb = elf["e_machine"] == "EM_ARM"
        symbols = table.iter_symbols() if isinstance(table, SymbolTableSection) else iter(())
        return {
            (each["st_value"] & ~1 if thumb else each["st_value"]): _Function(each.name)
            for each in symbols
            if each["st_info"]["type"] == "STT_FUNC"
        }


def _read_frames(image: Path, functions: dict[int, _Function]) -> None:
    with image.open("rb") as file:
        dwarf = ELFFile(file).get_dwarf_info()
        for entry in dwarf.CFI_entries() if dwarf.debug_frame_sec is not None else ():
            if not isinstance(entry, FDE):
                continue
            function = functions.get(entry["initial_location"] & ~1)
            if function is not None:
                function.frame_bytes = max([row["cfa"].offset or 0 for row in entry.get_decoded().table], default=0)


def _read_code(
    image: Path, toolchain: ToolchainName, functions: dict[int, _Function], avr_return_bytes: int
) -> set[int]:
    """Calls of every function (on AVR its frame, too); returns the functions whose address is taken."""
    command = [f"{toolchain}-objdump", "-d", "--no-show-raw-insn", str(image)]
    text = subprocess.run(command, capture_output=True, text=True, errors="replace", check=True).stdout
    taken: set[int] = set()
    current = None
    halves: dict[str, int] = {}
    in_prologue = False
    for line in text.splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        address, name, operands = int(found[1], 16), found[2], found[3] or ""
        if address in functions:
            current = functions[address]
            current.frame_bytes = avr_return_bytes if toolchain == "avr" else 0
        target = _TARGET.search(operands)
        to = int(target[1], 16) if target else None
        if name == ".word" and (value := int(operands.split()[0], 16) & ~1) in functions:
            taken.add(value)
        elif current is not None and to is not None and to in functions:
            if not _JUMPS[toolchain].fullmatch(name):
                taken.add(to)
            # A jump to the start of the function that it is in is a loop, a call is recursion.
            elif functions[to] is not current or name in _CALLS:
                current.calls.add(to)
        if current is not None:
            current.calls_pointers |= (
                _INDIRECT_CALLS.fullmatch(f"{name} {operands.split()[0] if operands else ''}".strip()) is not None
            )
            if toolchain == "arm-none-eabi" and name == "push":
                current.frame_bytes += 4 * len(operands.split(","))
            if toolchain == "avr":
                current.frame_bytes += _avr_taken(name, operands, avr_return_bytes, in_prologue)
                # The frame pointer is read from the stack pointer, and what variables need is taken from it at once.
                in_prologue = (name == "in" and operands.startswith("r29")) or (in_prologue and name == "subi")
                taken |= _avr_address(name, operands, halves) & set(functions)
    return taken


def _avr_taken(name: str, operands: str, return_bytes: int, in_prologue: bool) -> int:
    """What an instruction of a prologue takes from an AVR's stack."""
    words = operands.replace(",", " ").split()
    if name == "push":
        return 1
    if name == "rcall" and words[:1] == [".+0"]:
        return return_bytes
    if not in_prologue or name not in ("sbiw", "subi", "sbci") or words[0] not in ("r28", "r29"):
        return 0  # other registers may be worked with between instructions of the prologue
    return int(words[1], 16) << (8 if name == "sbci" else 0)


def _avr_address(name: str, operands: str, halves: dict[str, int]) -> set[int]:
    """The byte address in a pair of registers that two instructions in a row fill: pointers to code count words."""
    words = operands.replace(",", " ").split()
    if name != "ldi":
        halves.clear()
        return set()
    register = int(words[0][1:])
    halves[words[0]] = int(words[1], 16)
    low, high = halves.get(f"r{register & ~1}"), halves.get(f"r{register | 1}")
    return {2 * (high << 8 | low)} if low is not None and high is not None else set()
