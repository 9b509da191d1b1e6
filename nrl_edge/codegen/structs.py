"""Sizes of the firmware's variables, laid out from its own headers by the rules of a board's ABI, without a compiler.

The headers are preprocessed (pcpp) and parsed (pycparser) as they are compiled, so there is no second description of a
struct that could go out of date. A test compares the sizes with those in linked images, for every toolchain.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
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
_MACROS = "".join(
    f"#define {sign}INT{bits}_C(value) value{suffix}\n"
    for sign, bits, suffix in (("U", 8, ""), ("U", 16, ""), ("U", 32, ""), ("", 16, ""), ("", 32, ""))
)
_LIMITS = "#define UINT8_MAX 255\n#define UINT16_MAX 65535\n#define UINT32_MAX 4294967295\n"
_FUNCTIONS = re.compile(r"^static inline [^;{]*?\n\{.*?^\}\n", re.MULTILINE | re.DOTALL)


class _Headers(Preprocessor):  # type: ignore[misc]  # the package has no types
    """A preprocessor that finds our headers in memory, and takes those of the system for empty."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__()
        self._headers = headers
        self.line_directive = None

    def on_file_open(self, is_system_include: bool, includepath: str) -> io.StringIO:
        """The text of a header."""
        name = includepath.rsplit("/", 1)[-1]
        return io.StringIO("" if is_system_include else _FUNCTIONS.sub("", self._headers[name]))

    def on_include_not_found(self, is_malformed: bool, is_system_include: bool, curdir: str, includepath: str) -> None:
        """Never: on_file_open answers for all."""
        raise FileNotFoundError(includepath)


@lru_cache(maxsize=64)
def _parse(headers: tuple[tuple[str, str], ...], root: tuple[str, ...]) -> Any:
    preprocessor = _Headers(dict(headers))
    text = _MACROS + _LIMITS + "".join(f'#include "{name}"\n' for name in root)
    preprocessor.parse(text, "root.c")
    output = io.StringIO()
    preprocessor.write(output)
    lines = (line for line in output.getvalue().splitlines() if not line.startswith("#"))
    return CParser().parse(_PRELUDE + "\n".join(lines), "root.c")


@dataclass
class Layouts:
    """Sizes of the types of some headers, {name: text}, of which `root` are included."""

    headers: Mapping[str, str]
    root: tuple[str, ...]
    abi: Abi
    _types: dict[str, Any] = field(default_factory=dict, init=False)
    _tags: dict[str, Any] = field(default_factory=dict, init=False)
    _constants: dict[str, int] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        tree = _parse(tuple(sorted(self.headers.items())), self.root)
        for item in tree.ext:
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

    def _aligned(self, size: int) -> tuple[int, int]:
        return size, min(size, self.abi.largest_alignment)

    def _layout(self, node: Any) -> tuple[int, int]:
        """Size and alignment of a type."""
        if isinstance(node, c_ast.PtrDecl):
            return self._aligned(self.abi.pointer_bytes)
        if isinstance(node, c_ast.ArrayDecl):
            size, alignment = self._layout(node.type)
            return size * self._value(node.dim), alignment
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
