"""Sizes of the firmware's variables, laid out from its own sources by the rules of a board's ABI, without a compiler.

The sources are preprocessed (pcpp) and parsed (pycparser) as they are compiled, but for the bodies of functions, so
there is no second description of a struct that could go out of date. A test compares the sizes with those in images.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pcpp import Preprocessor
from pycparser import CParser, c_ast

from nrl_edge.boards import ToolchainName


@dataclass(frozen=True)
class Abi:
    """What decides how a struct is laid out."""

    pointer_bytes: int
    """Of data and function pointers, and of size_t."""
    int_bytes: int
    largest_alignment: int
    short_enums: bool
    """An enum takes the smallest type that holds its values; else an int."""


ABIS: Mapping[ToolchainName, Abi] = {
    # AAPCS, as bare-metal compilers have it.
    "arm-none-eabi": Abi(pointer_bytes=4, int_bytes=4, largest_alignment=8, short_enums=True),
    "riscv64-unknown-elf": Abi(pointer_bytes=4, int_bytes=4, largest_alignment=8, short_enums=False),
    "avr": Abi(pointer_bytes=2, int_bytes=2, largest_alignment=1, short_enums=False),
}

_FIXED_BYTES = {
    **{"uint8_t": 1, "int8_t": 1, "bool": 1, "char": 1, "uint16_t": 2, "int16_t": 2},
    **{"uint32_t": 4, "int32_t": 4, "uint64_t": 8, "int64_t": 8},
}
_PRELUDE = "".join(f"typedef int {name};\n" for name in (*_FIXED_BYTES, "size_t", "uintptr_t") if name != "char")
# Of <stdint.h>.
_MACROS = "#define __attribute__(list)\n" + "".join(
    f"#define {sign}INT{bits}_C(value) value{suffix}\n"
    for sign, bits, suffix in (("U", 8, ""), ("U", 16, ""), ("U", 32, ""), ("", 16, ""), ("", 32, ""))
)
_LIMITS = "#define UINT8_MAX 255\n#define UINT16_MAX 65535\n#define UINT32_MAX 4294967295\n"
# Functions begin and end at the start of a line, in all of these sources.
_FUNCTIONS = re.compile(r"^[^\s#/{}][^;{}]*\n\{\n.*?^\}\n", re.MULTILINE | re.DOTALL)
_LOCAL_STATICS = re.compile(r"^ +static ((?!const)[^=;(]+;)", re.MULTILINE)
_LOCAL_CONSTANTS = re.compile(r"^ +static (const [^=;(]+?)(?: =[^;]*)?;", re.MULTILINE)
_ROM_TABLES = re.compile(r"^static const [^;=]*NRL_ROM = \{.*?^\};\n", re.MULTILINE | re.DOTALL)
_MAY_HAVE_VARIABLES = re.compile(
    r"^ *static (?!inline\b|const\b)[^()]*?[;{=]|^static \w+ \w+ __attribute__|^\} [a-z_]+;", re.MULTILINE
)


_TABLES_IN_RAM = ("src/hash/", "src/guard/", "src/store/", "src/main.c")
"""Where AVR's compiler keeps constants in RAM; what is constant elsewhere it folds into the code."""


class _Sources(Preprocessor):  # type: ignore[misc]  # the package has no types
    """A preprocessor that finds our headers in memory, and takes those of the system for empty."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__()
        self._headers = headers
        self.line_directive = None

    def on_file_open(self, is_system_include: bool, includepath: str) -> io.StringIO:
        """The text of a header."""
        name = includepath.rsplit("/", 1)[-1]
        return io.StringIO("" if is_system_include else _FUNCTIONS.sub("", self._headers[name]))


def _parse(text: str, headers: Mapping[str, str]) -> Any:
    # What is static in a function is a variable like any other.
    kept = "".join(f"static {found}\n" for found in _LOCAL_STATICS.findall(text))
    kept += "".join(f"static {found};\n" for found in _LOCAL_CONSTANTS.findall(text))
    plain = _FUNCTIONS.sub("", _ROM_TABLES.sub("", text))
    preprocessor = _Sources(headers)
    preprocessor.parse(f"{_MACROS}{_LIMITS}{plain}{kept}", "source.c")
    output = io.StringIO()
    preprocessor.write(output)
    lines = (line for line in output.getvalue().splitlines() if not line.startswith("#"))
    return CParser().parse(_PRELUDE + "\n".join(lines), "source.c")


@dataclass(frozen=True)
class Variable:
    """A variable of the firmware that lives in RAM."""

    name: str
    bytes: int
    alignment: int


def ram_variables(files: Mapping[str, str], toolchain: ToolchainName) -> dict[str, list[Variable]]:
    """Variables of each C source of a rendered firmware, {path: text}, in the order of their definitions.

    Constants are in flash, but for tables of AVR that are not marked NRL_ROM: those are read from RAM.
    """
    headers = {path.rsplit("/", 1)[-1]: text for path, text in files.items() if path.endswith(".h")}
    found = {}
    for path, text in files.items():
        constants = toolchain == "avr" and path.startswith(_TABLES_IN_RAM)
        if path.endswith(".c") and (constants or _MAY_HAVE_VARIABLES.search(text)):
            found[path] = Layouts(text, headers, ABIS[toolchain]).variables(constants=constants)
    return found


@dataclass
class Layouts:
    """Sizes of the types and variables of a C source, whose headers are {name: text}."""

    source: str
    headers: Mapping[str, str]
    abi: Abi
    _types: dict[str, Any] = field(default_factory=dict, init=False)
    _tags: dict[str, Any] = field(default_factory=dict, init=False)
    _constants: dict[str, int] = field(default_factory=dict, init=False)
    _tree: Any = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._tree = _parse(self.source, self.headers)
        for item in self._tree.ext:
            if isinstance(item, c_ast.Typedef):
                self._types[item.name] = item.type
            self._note_tags(getattr(item, "type", None))

    def _note_tags(self, node: Any) -> None:
        """Remember struct, union and enum by their tags, wherever they are first written."""
        while isinstance(node, c_ast.TypeDecl | c_ast.ArrayDecl):
            node = node.type
        if isinstance(node, c_ast.Struct | c_ast.Union) and node.decls:
            self._tags[node.name] = node
        elif isinstance(node, c_ast.Enum) and node.values:
            self._tags[node.name] = node
            value = 0
            for item in node.values.enumerators:
                value = value if item.value is None else self._value(item.value)
                self._constants[item.name] = value
                value += 1

    def bytes_of(self, type_name: str) -> int:
        """Bytes of a type by its typedef's name. Raises KeyError where no header has it."""
        return self._layout(self._types[type_name])[0]

    def variables(self, *, constants: bool) -> list[Variable]:
        """Those that the source defines; with `constants` also those that never change."""
        return [
            Variable(item.name, *self._layout(item.type))
            for item in self._tree.ext
            if isinstance(item, c_ast.Decl)
            and item.name
            and not isinstance(item.type, c_ast.FuncDecl)
            and "extern" not in item.storage
            and (constants or "const" not in item.quals)
        ]

    def _aligned(self, size: int) -> tuple[int, int]:
        return size, min(size, self.abi.largest_alignment)

    def _layout(self, node: Any) -> tuple[int, int]:
        """Size and alignment of a type."""
        if isinstance(node, c_ast.PtrDecl):
            return self._aligned(self.abi.pointer_bytes)
        if isinstance(node, c_ast.ArrayDecl):
            size, alignment = self._layout(node.type)
            return size * (0 if node.dim is None else self._value(node.dim)), alignment
        if isinstance(node, c_ast.TypeDecl | c_ast.Typename):
            return self._layout(node.type)
        if isinstance(node, c_ast.IdentifierType):
            return self._named(node.names)
        if isinstance(node, c_ast.Enum):
            return self._enum(node)
        if isinstance(node, c_ast.Struct | c_ast.Union):
            return self._record(node)
        raise TypeError(f"a type that budgets do not know: {type(node).__name__}")

    def _named(self, names: list[str]) -> tuple[int, int]:
        name = names[-1]
        if name in _FIXED_BYTES:
            return self._aligned(_FIXED_BYTES[name])
        if name in ("size_t", "uintptr_t"):
            return self._aligned(self.abi.pointer_bytes)
        if set(names) <= {"int", "unsigned", "signed"}:
            return self._aligned(self.abi.int_bytes)
        return self._layout(self._types[name])

    def _enum(self, node: Any) -> tuple[int, int]:
        values = [self._constants[item.name] for item in (node.values or self._tags[node.name].values).enumerators]
        if not self.abi.short_enums:
            return self._aligned(self.abi.int_bytes)
        bits = 8
        while max(values) >= 1 << bits or min(values) < -(1 << (bits - 1)):
            bits *= 2
        return self._aligned(bits // 8)

    def _record(self, node: Any) -> tuple[int, int]:
        record = node if node.decls else self._tags[node.name]
        size, alignment = 0, 1
        for member in record.decls:
            member_size, member_alignment = self._layout(member.type)
            alignment = max(alignment, member_alignment)
            if isinstance(node, c_ast.Union):
                size = max(size, member_size)
            else:
                size = -(-size // member_alignment) * member_alignment + member_size
        return -(-size // alignment) * alignment, alignment

    def _value(self, node: Any) -> int:
        """A constant expression."""
        if isinstance(node, c_ast.Constant):
            return int(node.value.rstrip("uUlL"), 0)
        if isinstance(node, c_ast.ID):
            return self._constants[node.name]
        if isinstance(node, c_ast.Cast):
            return self._value(node.expr)
        if isinstance(node, c_ast.TernaryOp):
            return self._value(node.iftrue if self._value(node.cond) else node.iffalse)
        if isinstance(node, c_ast.UnaryOp):
            if node.op == "sizeof":
                return self._layout(node.expr)[0]
            value = self._value(node.expr)
            return {"-": -value, "+": value, "~": ~value, "!": int(not value)}[node.op]
        if isinstance(node, c_ast.BinaryOp):
            return int(_OPERATIONS[node.op](self._value(node.left), self._value(node.right)))
        raise TypeError(f"an expression that budgets do not know: {type(node).__name__}")


_OPERATIONS: dict[str, Any] = {
    **{"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a // b},
    **{"%": lambda a, b: a % b, "<<": lambda a, b: a << b, ">>": lambda a, b: a >> b, "&": lambda a, b: a & b},
    **{"|": lambda a, b: a | b, "<": lambda a, b: int(a < b), ">": lambda a, b: int(a > b)},
    **{"<=": lambda a, b: int(a <= b), ">=": lambda a, b: int(a >= b), "==": lambda a, b: int(a == b)},
    **{"!=": lambda a, b: int(a != b), "&&": lambda a, b: int(bool(a and b)), "||": lambda a, b: int(bool(a or b))},
}
