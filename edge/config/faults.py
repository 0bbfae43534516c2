"""What is wrong with a value, in the words of the file that it stands in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pydantic_core import ErrorDetails

from edge.config.secrets import redact
from edge.config.toml import toml_value

SHOWN = 80
"""Characters of a value that are shown at most."""

_TABLE, _LIST = "expected a table", "expected a list in brackets"
_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "model_type": _TABLE,
        "model_attributes_type": _TABLE,
        "dict_type": _TABLE,
        "list_type": _LIST,
        "tuple_type": _LIST,
        "missing": "expected one more value",
        "too_long": "expected {max_length} values at most, found {actual_length}",
        "int_type": "expected a whole number",
        "int_from_float": "expected a whole number",
        "float_type": "expected a number",
        "bool_type": "expected true or false",
        "string_type": "expected text",
        "path_type": "expected text",
        "string_too_short": "expected text that is not empty",
        "string_pattern_mismatch": "expected text of the pattern {pattern}",
        "finite_number": "expected a finite number",
        "literal_error": "expected {expected}",
        "greater_than": "expected more than {gt}",
        "greater_than_equal": "expected {ge} or more",
        "less_than": "expected less than {lt}",
        "less_than_equal": "expected {le} or less",
    }
)


def reason(fault: ErrorDetails) -> str:
    """Why a value is refused."""
    words = _WORDS.get(fault["type"])
    if words is None:
        return fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return words.format(**{name: _limit(value) for name, value in fault.get("ctx", {}).items()})


def _limit(value: object) -> object:
    """As whoever writes a file would write it: 60, not 60.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def shown(value: object) -> str:
    """A value as the file may write it, in one line of bounded length and without secrets."""
    return cut(redact(printable(toml_value(value))))


def cut(text: str) -> str:
    """As much of ``text`` as is shown."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def printable(text: str) -> str:
    """``text`` with what would move a terminal's cursor or colour it written out."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
