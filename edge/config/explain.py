"""What a configuration comes to, key by key, and where each value comes from. No secret is in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from edge.config.load import Loaded, all_keys, load_with_origins
from edge.config.schema import Config
from edge.config.secrets import redact, shown
from edge.config.toml import toml_value
from edge.decision.judge import JudgeSettings
from edge.section import Layer, Section

_SECRET_FILES = ("password_file", "source_file")
_TABLE = re.compile(r"^\s*\[\s*([\w.\s-]+?)\s*\]\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*([\w.\s-]+?)\s*=")


Lines = Mapping[tuple[str, ...], int]

DEFAULT = "default"
"""The origin of what nobody set."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One key with its value as it may be shown (None: not set) and the words for where that comes from."""

    path: tuple[str, ...]
    value: str | None
    origin: str
    layer: Layer

    @property
    def is_default(self) -> bool:
        """Whether nobody set it."""
        return self.origin == DEFAULT

    @property
    def is_basic(self) -> bool:
        """Whether it is for whoever installs a device."""
        return self.layer is Layer.BASIC


def explain(path: Path | None, environ: Mapping[str, str]) -> list[Setting]:
    """Every key of the device's configuration.

    Raises:
        ConfigError: with one line per fault.
    """
    loaded = load_with_origins(Config, path, environ)
    lines = {} if path is None else _lines(path.read_text(encoding="utf-8-sig"))
    return [_setting(loaded, section, keys, path, lines) for section, keys in all_keys(Config)]


def as_lines(settings: Sequence[Setting], columns: int) -> Iterator[str]:
    """The settings as TOML, with the origin of each in a comment behind it, above it where ``columns`` are too few."""
    for table, keys in groupby(settings, key=lambda each: each.path[:-1]):
        rows = list(keys)
        widest = min(max(len(_assigned(row)) for row in rows), columns // 2)
        yield f"\n[{'.'.join(table)}]"
        for row in rows:
            line = f"{_assigned(row):{widest}}  # {row.origin}"
            yield line if len(line) <= columns else f"# {row.origin}:\n{_assigned(row)}"


def _assigned(setting: Setting) -> str:
    name = setting.path[-1]
    return f"#{name} is not set" if setting.value is None else f"{name} = {setting.value}"


def _setting(
    loaded: Loaded[Config], section: type[Section], keys: tuple[str, ...], path: Path | None, lines: Lines
) -> Setting:
    origin = _origin(loaded, section, keys, path, lines)
    return Setting(keys, _value(keys[-1], _at(loaded.config.model_dump(), keys)), origin, section.layer_of(keys[-1]))


def _value(name: str, value: object) -> str | None:
    """As it may be shown; None where nothing is set."""
    if value is None:
        return None
    if isinstance(value, Path):
        return toml_value(shown(value) if name.endswith(_SECRET_FILES) else redact(str(value)))
    return toml_value(redact(value) if isinstance(value, str) else value)


def _origin(
    loaded: Loaded[Config], section: type[Section], keys: tuple[str, ...], path: Path | None, lines: Lines
) -> str:
    variable = next((name for at, name in loaded.overrides.items() if _is_part(at, keys)), None)
    if variable is not None:
        return variable
    if path is not None and _is_in(loaded.data, keys):
        below = (number for at, number in lines.items() if at[: len(keys)] == keys)
        above = (keys[:length] for length in range(len(keys) - 1, 0, -1))  # a table in one line stands where it begins
        line = min(below, default=next((lines[each] for each in above if each in lines), None))
        return f"{path.name}:{line}" if line else path.name
    return _derived(loaded.config, section, keys[-1], keys) or DEFAULT


def _is_part(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether one of two paths leads to the other."""
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def _derived(config: Config, section: type[Section], name: str, keys: tuple[str, ...]) -> str | None:
    """What a key of a kind's follows from where it is not set itself."""
    if not issubclass(section, JudgeSettings) or config.alerts.of(keys[1]).sensitivity == "normal":
        return None
    level = config.alerts.of(keys[1]).sensitivity
    if name == "sensitivity":
        return "alerts.sensitivity"
    return f"preset {level}" if name in section.presets.get(level, {}) else None


def _at(table: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        table = table[key]
    return table


def _is_in(table: Any, keys: tuple[str, ...]) -> bool:
    for key in keys:
        if not isinstance(table, dict) or key not in table:
            return False
        table = table[key]
    return True


def _lines(text: str) -> Lines:
    """The line that each key begins in, counted from 1; for keys without quotes, which all of ours are."""
    table: tuple[str, ...] = ()
    found: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.match(line):
            table = _parts(header[1])
        elif key := _KEY.match(line):
            found.setdefault((*table, *_parts(key[1])), number)
    return found


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in dotted.split("."))
