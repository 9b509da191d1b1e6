"""Reads TOML files strictly: one helpful ConfigurationError for whatever is wrong, and writes values back as TOML.

Every message has the form `file: section.key = value: what is allowed`, so that a user can go straight to the line.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from nrl_edge.errors import ConfigurationError

Choice = TypeVar("Choice", bound=str)

INT64_MIN, INT64_MAX = -(1 << 63), (1 << 63) - 1
MAX_NESTING = 16
_SHOWN_CHARACTERS = 80
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_POWER_OF_TWO = re.compile(r"2\^([+-]?\d{1,4})")


def show(value: object) -> str:
    """A TOML value for a message: one line, never longer than a glance."""
    try:
        text = format_value(value)
    except (ConfigurationError, ValueError, RecursionError):
        # Python refuses to write integers of thousands of digits, and nested tables have no end.
        text = f"<{type_name(value)} that is too large to show>"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."


def type_name(value: object) -> str:
    """The TOML name of a value's type."""
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "table"}
    return names.get(type(value), "date or time")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence: `; did you mean X?`, or a full stop where no known name is close."""
    by_lower_case = {other.lower(): other for other in known}
    close = difflib.get_close_matches(name.lower()[:_SHOWN_CHARACTERS], by_lower_case, n=1, cutoff=0.6)
    return f"; did you mean {by_lower_case[close[0]]}?" if close else "."


def read_text(path: Path, what: str) -> str:
    """The text of a UTF-8 file (a byte order mark is dropped). `what` names its kind in messages."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: there is no such {what}; check the path") from None
    except IsADirectoryError:
        raise ConfigurationError(f"{path} is a folder: name the {what} inside it") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path}: byte {error.start} is not UTF-8 text; save the {what} as a TOML text file in UTF-8"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{str(path)!r}: this {what} cannot be read: {error}") from error


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """The tables of a TOML text. Raises ConfigurationError with line and column where it is no TOML."""
    try:
        # With a line after it, an error in the last line is reported by line and column, not as "end of document".
        return tomllib.loads(f"{text}\n#")
    except RecursionError:
        raise ConfigurationError(f"{name}: not TOML that can be read: values are nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, or an integer of thousands of digits
        raise ConfigurationError(
            f"{name}: not valid TOML: {error}. Strings need quotes, tables need [brackets]"
        ) from None


class Table:
    """One table of a TOML file whose keys are checked when it is made, and whose values when they are read."""

    def __init__(self, values: Mapping[str, Any], file: str, section: str, keys: Sequence[str]) -> None:
        self._values = values
        self.file = file
        """What messages call the file."""
        self._section = section
        for key in values:
            if key not in keys:
                kind, where = ("key", f"keys of [{section}]") if section else ("section", "sections and keys")
                raise ConfigurationError(
                    f"{file}: {self._path(show_key(key))} = {show(values[key])}: unknown {kind}"
                    f"{did_you_mean(key, keys)} Allowed {where} are {', '.join(keys)}"
                )

    def has(self, key: str) -> bool:
        """True where the file gives the key."""
        return key in self._values

    def value(self, key: str) -> Any:
        """The raw value of a key that the file gives."""
        return self._values[key]

    def fail(self, key: str, allowed: str) -> NoReturn:
        """Raise the error of a key: its value, and what is allowed."""
        name = self._path(key)
        if key in self._values:
            raise ConfigurationError(f"{self.file}: {name} = {show(self._values[key])}: {allowed}")
        raise ConfigurationError(f"{self.file}: {name} is missing: {allowed}")

    def text(
        self, key: str, default: str | None = None, *, allowed: str = "a string that is not empty is needed"
    ) -> str:
        """A non-empty string of printable characters."""
        value = self._get(key, default, allowed)
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            self.fail(key, allowed)
        return value

    def choice(self, key: str, choices: Sequence[Choice], default: Choice | None = None) -> Choice:
        """One of some strings."""
        allowed = f"allowed are {', '.join(show(choice) for choice in choices)}"
        value = self._get(key, default, allowed)
        for choice in choices:
            if value == choice:
                return choice
        self.fail(key, allowed + (did_you_mean(value, choices) if isinstance(value, str) else ""))

    def integer(self, key: str, low: int, high: int, default: int | None = None, *, high_text: str = "") -> int:
        """A whole number from `low` to `high`; `high_text` writes a large limit as a person would."""
        allowed = f"a whole number from {low} to {high_text or high} is needed"
        value = self._get(key, default, allowed)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.fail(key, allowed)
        return value

    def boolean(self, key: str) -> bool:
        """true or false."""
        value = self._get(key, None, "true or false is needed")
        if not isinstance(value, bool):
            self.fail(key, "true or false is needed")
        return value

    def number(self, key: str, *, above: float | None = None, default: float | None = None) -> float:
        """A finite number, above a limit where one is given."""
        allowed = "a finite number is needed" if above is None else f"a finite number above {above:g} is needed"
        value = finite_number(self._get(key, default, allowed))
        if value is None or (above is not None and value <= above):
            self.fail(key, allowed)
        return value

    def table(self, key: str, keys: Sequence[str]) -> Table:
        """A sub-table with the keys that it may have; an empty one where the file has none."""
        value = self._get(key, {}, "")
        if not isinstance(value, dict):
            self.fail(key, f"[{self._path(key)}] has to be a table (a section of its own)")
        return Table(value, self.file, self._path(key), keys)

    def tables(self, key: str, keys: Sequence[str]) -> list[Table]:
        """An array of tables ([[key]]), each with the keys that it may have; an empty one where the file has none."""
        value = self._get(key, [], "")
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.fail(key, f"this has to be an array of tables: write [[{self._path(key)}]] above each")
        return [Table(item, self.file, f"{self._path(key)}[{index}]", keys) for index, item in enumerate(value, 1)]

    def strings(self, key: str) -> tuple[str, ...]:
        """An array of strings; an empty one where the file has none."""
        allowed = 'an array of strings such as ["-Os"] is needed'
        value = self._get(key, [], allowed)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.fail(key, allowed)
        return tuple(value)

    def _get(self, key: str, default: object, allowed: str) -> Any:
        if key in self._values:
            return self._values[key]
        if default is None:
            self.fail(key, allowed)
        return default

    def _path(self, key: str) -> str:
        return f"{self._section}.{key}" if self._section else key


def finite_number(value: object) -> float | None:
    """An integer or a float as a finite float; None for all else (a boolean is no number)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def power_of_two_exponent(value: object) -> int | None:
    """E where a value is 2^E, written as a number (0.25) or as text ("2^-2"); None where it is not."""
    if isinstance(value, str):
        match = _POWER_OF_TWO.fullmatch(value.strip())
        return int(match[1]) if match else None
    number = finite_number(value)
    if number is None or number <= 0:
        return None
    mantissa, exponent = math.frexp(number)
    return exponent - 1 if mantissa == 0.5 else None


def show_key(key: str) -> str:
    """A key as TOML writes it: bare where that is possible, else quoted."""
    return key if _BARE_KEY.fullmatch(key) else format_value(key)


def plain_value(value: object, depth: int = 0) -> bool:
    """True for strings, booleans, 64-bit integers, finite numbers, and arrays and tables of them."""
    if depth > MAX_NESTING:
        return False
    if isinstance(value, bool | str):
        return True
    if isinstance(value, int):
        return INT64_MIN <= value <= INT64_MAX
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list):
        return all(plain_value(item, depth + 1) for item in value)
    return isinstance(value, dict) and all(plain_value(item, depth + 1) for item in value.values())


def format_value(value: object) -> str:
    """A value as TOML on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(format_value(item) for item in value)}]"
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{show_key(str(key))} = {format_value(item)}" for key, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    return str(value)
