"""``evenkeel dashboard --set-password``: a password's hash into the configuration file, and nothing else changed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from edge.board.whole import write_whole
from edge.compat import tomllib
from edge.dashboard.doors import LEAST_LENGTH, LONGEST, Role, hasher
from edge.errors import ConfigError, UsageError

_TABLE = re.compile(r"^\s*\[dashboard\]\s*(#.*)?$")
_ANY_TABLE = re.compile(r"^\s*\[")


def hashed(password: str) -> str:
    """What the configuration keeps of a password.

    Raises:
        UsageError: it is too short or too long.
    """
    if not LEAST_LENGTH <= len(password) <= LONGEST:
        raise UsageError(f"a password has {LEAST_LENGTH} to {LONGEST} characters; this one has {len(password)}")
    return hasher().hash(password)


def line_of(role: Role, kept: str) -> str:
    """The line below ``[dashboard]``."""
    return f'{role}_password = "{kept}"'


def with_password(text: str, role: Role, kept: str) -> str:
    """A configuration's text with this line, in place of one of that name; comments and order stay.

    Raises:
        ConfigError: the table is written in a way in which a line cannot be put safely.
    """
    key = re.compile(rf"^\s*{role}_password\s*=")
    lines, line = text.splitlines(), line_of(role, kept)
    start = next((number for number, each in enumerate(lines) if _TABLE.match(each)), None)
    if start is None:
        lines += [*([""] if lines and lines[-1].strip() else []), "[dashboard]", line]
    else:
        rest = range(start + 1, len(lines))
        end = next((number for number in rest if _ANY_TABLE.match(lines[number])), len(lines))
        old = next((number for number in range(start + 1, end) if key.match(lines[number])), None)
        if old is None:
            lines.insert(start + 1, line)
        else:
            lines[old] = line
    made = "\n".join(lines) + "\n"
    if _read(made) != _wanted(text, role, kept):
        raise ConfigError(f"[dashboard] is not written as a table of its own; add this line to it by hand: {line}")
    return made


def set_password(path: Path, role: Role, kept: str) -> None:
    """Write it into the file, whole or not at all; its mode and owner stay.

    Raises:
        ConfigError: the file is no TOML, or as in ``with_password``.
        OSError: it cannot be read or written.
    """
    text = path.read_text(encoding="utf-8-sig")
    try:
        made = with_password(text, role, kept)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    write_whole(path, made)


def _read(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _wanted(text: str, role: Role, kept: str) -> dict[str, Any]:
    data = tomllib.loads(text)
    table = data.setdefault("dashboard", {})
    if isinstance(table, dict):
        table[f"{role}_password"] = kept
    return data
