"""TOML in, a validated configuration out, or one line for each fault.

``EVENKEEL_<SECTION>__<KEY>`` environment variables override the file (``EVENKEEL_MQTT__HOST=broker``); nested sections
add another ``__``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Generic, TypeVar, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticSerializationError, to_json

from edge.config.faults import cut, printable, reason, shown
from edge.config.schema import Config
from edge.config.secrets import HIDDEN, redact
from edge.config.toml import read_toml, toml_value
from edge.errors import ConfigError
from edge.section import Section

ENV_PREFIX = "EVENKEEL_"

_PLACE = re.compile(r"\(at line (\d+),")
_SECRET = re.compile("pass|pw|secret|token|source|key", re.IGNORECASE)
_BARE = re.compile(r"=\s*[^\s\"'\[{#\d+-]")

MEANT_AT_MOST = 3
"""So many tables at most are named for a key that stands in the wrong one."""

Root = TypeVar("Root", bound=Section)


def load_config(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """The device's configuration; see ``load_as``."""
    return load_as(Config, path, environ)


def load_as(root: type[Root], path: Path | None, environ: Mapping[str, str] | None = None) -> Root:
    """Read ``path`` (or nothing), apply the environment's overrides and validate the whole as ``root``.

    Raises:
        ConfigError: with one line per fault that names the file or variable, the key, the value and what is allowed.
    """
    return load_with_origins(root, path, os.environ if environ is None else environ).config


@dataclass(frozen=True, slots=True)
class Loaded(Generic[Root]):
    """A configuration, what the file and the environment said, and which variable set which key."""

    config: Root
    data: Mapping[str, Any]
    overrides: Mapping[tuple[str, ...], str]


def load_with_origins(root: type[Root], path: Path | None, environ: Mapping[str, str]) -> Loaded[Root]:
    """As ``load_as``, with where each value comes from."""
    data = {} if path is None else _read_toml(path)
    # as JSON they would be text, so that `id = 2024-01-01` would name a device
    if moments := [f"{'.'.join(keys)} = {_told(keys, each)}" for keys, each in _moments(data)]:
        raise ConfigError("\n".join(f"{path}: {moment}: text stands in quotes" for moment in sorted(moments)))
    overrides = _apply_environment(root, data, environ)
    try:
        # as JSON, where a list is a tuple and a string a path, but nothing else is taken for what it is not
        config = root.model_validate_json(_as_json(data, path), strict=True)
    except ValidationError as error:
        lines = [_describe(root, fault, path, overrides) for fault in error.errors(include_url=False)]
        raise ConfigError("\n".join(lines)) from None
    return Loaded(config, data, overrides)


def _moments(data: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], date | time]]:
    """Dates and times that stand without quotes: no key takes one. However deep the file is nested, in no order."""
    left: list[tuple[tuple[str, ...], Any]] = [((), data)]
    while left:
        keys, value = left.pop()
        if isinstance(value, date | time):
            yield keys, value
        elif isinstance(value, dict):
            left.extend(((*keys, printable(name)), each) for name, each in value.items())
        elif isinstance(value, list):
            left.extend((keys, each) for each in value)


def _told(keys: tuple[str, ...], value: object) -> str:
    return HIDDEN if _SECRET.search(keys[-1]) else toml_value(value)


def _as_json(data: Mapping[str, Any], path: Path | None) -> bytes:
    try:
        return to_json(data, inf_nan_mode="constants")
    except PydanticSerializationError:
        raise ConfigError(f"{path or 'environment'}: nested too deep") from None


def schema_json() -> str:
    """The JSON Schema of the configuration, for editors."""
    return json.dumps(Config.model_json_schema(), indent=2)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; give an existing one with --config") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except PermissionError:
        raise ConfigError(f"{path}: permission denied; use sudo, or join the file's group") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    try:
        return read_toml(text)
    except ValueError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}{_line_of(text, str(error))}") from None


def _line_of(text: str, error: str) -> str:
    """The line that an error's words name, as it may be shown; nothing where they name none."""
    place = _PLACE.search(error)
    lines = text.splitlines()
    if place is None or int(place[1]) > len(lines):
        return ""
    line = lines[int(place[1]) - 1].strip()
    hint = "; text stands in quotes" if error.startswith("Invalid value") and _BARE.search(line) else ""
    key, equals, _ = line.partition("=")
    line = f"{key}= {HIDDEN}" if equals and _SECRET.search(key) else line
    return f": {cut(redact(printable(line)))}{hint}"


def _apply_environment(
    root: type[Section], data: dict[str, Any], environ: Mapping[str, str]
) -> dict[tuple[str, ...], str]:
    """Put each override into ``data``; return which variable set which key, for error messages."""
    origin: dict[tuple[str, ...], str] = {}
    for name in sorted(environ):
        if not name.startswith(ENV_PREFIX):
            continue
        if not _is_utf8(name + environ[name]):
            raise ConfigError(f"{printable(name)}: not UTF-8 text")
        if "__" not in name:
            raise ConfigError(f"{name}: no key is named; write {ENV_PREFIX}<SECTION>__<KEY>, as {ENV_PREFIX}MQTT__HOST")
        keys = tuple(name.removeprefix(ENV_PREFIX).lower().split("__"))
        table = data
        for depth, key in enumerate(keys[:-1], 1):
            table = table.setdefault(key, {})
            if not isinstance(table, dict) or not _may_hold_keys(root, keys[:depth]):
                raise ConfigError(f"{name}: {'.'.join(keys[:depth])} is not a section")
        table[keys[-1]] = _parse_value(root, environ[name], keys)
        origin[keys] = name
    return origin


def _parse_value(root: type[Section], text: str, keys: tuple[str, ...]) -> Any:
    """The text itself for a key that takes text, else a TOML value where it is one (number, true, array, table)."""
    field = _field_at(root, keys)
    if field is not None and _takes_text(field.annotation):
        return text
    try:
        read = read_toml(f"v = {text}")
    except ValueError:
        return text
    return read["v"] if len(read) == 1 else text


def _describe(
    root: type[Section], fault: ErrorDetails, path: Path | None, overrides: dict[tuple[str, ...], str]
) -> str:
    keys = tuple(str(part) for part in fault["loc"])
    origin = next((name for at, name in overrides.items() if at[: len(keys)] == keys), None)
    where = origin or (str(path) if path else "defaults")
    key = printable(".".join(keys))
    if fault["type"] == "extra_forbidden":
        return f"{where}: {key}: {_unknown(root, keys)}"
    if fault["type"] == "missing":
        keys, key = keys[:-1], key.rpartition(".")[0]
    if isinstance(fault["input"], dict):
        return f"{where}: {key}: {reason(fault)}"
    field = _field_description(root, keys)
    return f"{where}: {key} = {shown(fault['input'])}: {reason(fault)}{f' ({field})' if field else ''}"


def _section_at(root: type[Section], keys: tuple[str, ...]) -> type[Section] | None:
    section: type[Section] | None = root
    for key in keys:
        section = None if section is None else section.tables().get(key)
    return section


def _unknown(root: type[Section], keys: tuple[str, ...]) -> str:
    """What to write instead of a key that there is not: its new name, a similar one, or that of another table."""
    section, name = _section_at(root, keys[:-1]), keys[-1]
    if section is not None and name in section.renamed:
        return section.renamed[name]
    known = section.keys() if section else []
    similar = (
        get_close_matches(name, known, n=1)
        or [".".join(path) for _, path in all_keys(root) if path[-1] == name][:MEANT_AT_MOST]
    )
    hint = f"did you mean {' or '.join(similar)}? " if similar else ""
    return f"unknown key; {hint}known here: {', '.join(known)}"


def all_keys(root: type[Section]) -> Iterator[tuple[type[Section], tuple[str, ...]]]:
    """Every key that is no table: the table that it belongs to, and its path; in the order of the classes."""
    tables = root.tables()
    known = set(root.keys())
    own = [name for name in root.model_fields if name in known and name not in tables]
    yield from ((root, (name,)) for name in own)
    for name, table in tables.items():
        yield from ((section, (name, *path)) for section, path in all_keys(table))


def _is_utf8(text: str) -> bool:
    """False for bytes that Python took from the environment as they were."""
    return not any("\ud800" <= each <= "\udfff" for each in text)


def _may_hold_keys(root: type[Section], keys: tuple[str, ...]) -> bool:
    """Whether further keys may follow: a table's do, and any of what is unknown altogether."""
    return _field_at(root, keys) is None or _section_at(root, keys) is not None


def _takes_text(annotation: Any) -> bool:
    """Whether a field is a string, a path or a choice of strings, perhaps optional."""
    if get_origin(annotation) is dict:  # its keys are text
        return False
    choices = get_args(annotation) or (annotation,)
    return any(choice in (str, Path) or isinstance(choice, str) for choice in choices)


def _field_at(root: type[Section], keys: tuple[str, ...]) -> FieldInfo | None:
    section = _section_at(root, keys[:-1]) if keys else None
    return section.model_fields.get(keys[-1]) if section else None


def _field_description(root: type[Section], keys: tuple[str, ...]) -> str:
    field = _field_at(root, keys)
    return (field.description or "").rstrip(".") if field else ""
