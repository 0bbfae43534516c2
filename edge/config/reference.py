"""The configuration as people read it, made from its schema: example file, table of keys, reference."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from textwrap import fill
from typing import Any

from edge.config.load import all_keys
from edge.config.toml import toml_value
from edge.section import Layer, Section

COLUMNS = 120
_AT_LEAST = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}

Key = tuple[type[Section], tuple[str, ...]]


def keys_of(root: type[Section], *layers: Layer) -> list[Key]:
    """Every key of these layers (none named: of all): its table and its path."""
    return [key for key in all_keys(root) if not layers or key[0].layer_of(key[1][-1]) in layers]


def example(root: type[Section], head: str) -> str:
    """A TOML file with every basic key at its default, each in a comment, below the lines of ``head``."""
    lines = [f"# {line}".rstrip() for line in head.splitlines()]
    for table, keys in groupby(keys_of(root, Layer.BASIC), key=lambda key: key[1][:-1]):
        lines += ["", f"[{'.'.join(table)}]"]
        for section, path in keys:
            lines.append(fill(_what(section, path[-1]), COLUMNS, initial_indent="# ", subsequent_indent="# "))
            lines.append(f"#{path[-1]} = {toml_value(_shown(section, path[-1]))}")
    return "\n".join(lines) + "\n"


def short_table(root: type[Section]) -> str:
    """The basic keys as a table in Markdown."""
    rows = [
        f"| `{'.'.join(path)}` | {_default(section, path[-1])} | {_cell(_what(section, path[-1]))} |"
        for section, path in keys_of(root, Layer.BASIC)
    ]
    return "\n".join(["| key | default | what |", "|---|---|---|", *rows])


def reference(root: type[Section]) -> str:
    """Every key with its default, what is allowed, whom it is for and what it does, in Markdown."""
    return "\n\n".join(_part(path, list(keys)) for path, keys in groupby(keys_of(root), key=lambda key: key[1][:-1]))


MEASURED = {
    "found_percent": "episodes found",
    "delay_s": "median delay",
    "plain_false_per_hour": "false alarms an hour without episodes",
    "false_per_hour": "with many",
}
"""What is measured of a sensitivity, and how its column is called."""


def presets_table(figures: Mapping[str, Any]) -> str:
    """What each sensitivity sets, and what it came to on simulated drives, in Markdown."""
    first = next(iter(figures["presets"].values()))
    names = [name for name in first if name not in MEASURED]
    head = [*(f"`{name}`" for name in names), *MEASURED.values()]
    lines = [f"| sensitivity | {' | '.join(head)} |", "|---|" + "---|" * len(head)]
    for level, row in figures["presets"].items():
        rates = f"{row['plain_false_per_hour']:.2f}", f"{row['false_per_hour']:.2f}"
        delay = "none" if row["delay_s"] is None else f"{row['delay_s']:.2f} s"
        cells = [*(f"{row[name]:g}" for name in names), f"{row['found_percent']} %", delay, *rates]
        lines.append(f"| {level} | {' | '.join(cells)} |")
    drives = f"{figures['drives']} simulated drives ({figures['hours']} h, {figures['episodes']} episodes)"
    return "\n".join([*lines, "", f"Measured on {drives} that no threshold was chosen on (`make presets`)."])


def _part(path: tuple[str, ...], keys: list[Key]) -> str:
    section = keys[0][0]
    intro = " ".join((section.__doc__ or "").split("\n\n")[0].split()).replace("``", "`")
    lines = [
        f"## [{'.'.join(path)}]",
        "",
        intro,
        "",
        "| key | default | allowed | for | what |",
        "|---|---|---|---|---|",
    ]
    for _, (*_, name) in keys:
        cells = (
            f"`{name}`",
            _default(section, name),
            _cell(_allowed(_schema(section, name))),
            section.layer_of(name),
            _cell(section.model_fields[name].description or ""),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _what(section: type[Section], name: str) -> str:
    """The description with what is allowed, where that is not plain from it."""
    description, allowed = section.model_fields[name].description or "", _allowed(_schema(section, name))
    return f"{description.removesuffix('.')} ({allowed})." if allowed else description


def _schema(section: type[Section], name: str) -> Mapping[str, Any]:
    described: Mapping[str, Any] = section.model_json_schema()["properties"][name]
    return next((each for each in described.get("anyOf", ()) if each.get("type") != "null"), described)


def _allowed(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(map(toml_value, schema["enum"]))
    return ", ".join(f"{words} {schema[limit]:g}" for limit, words in _AT_LEAST.items() if limit in schema)


def _shown(section: type[Section], name: str) -> object:
    """An example where the key has one (its default is nothing, or the machine's), else its default."""
    field = section.model_fields[name]
    return field.examples[0] if field.examples else field.default


def _default(section: type[Section], name: str) -> str:
    field = section.model_fields[name]
    return "" if field.examples or field.default is None or field.default_factory else f"`{toml_value(field.default)}`"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def replaced(text: str, parts: Mapping[str, str]) -> str:
    """``text`` with each generated part, which stands between two marks, made anew.

    Raises:
        ValueError: a part's marks are missing.
    """
    for name, part in parts.items():
        before, mark, rest = text.partition(f"<!-- generated: {name} -->\n")
        _, end, after = rest.partition(f"<!-- end: {name} -->")
        if not mark or not end:
            raise ValueError(f"the marks of the generated part {name!r} are missing")
        text = f"{before}{mark}\n{part}\n\n{end}{after}"
    return text
