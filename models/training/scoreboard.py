"""Tables of measured figures beside what is wanted of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Want:
    """A bound: ``at_least`` or at most ``limit``; ``floor`` is what must hold in any case, where it differs."""

    limit: float
    at_least: bool
    floor: float | None = None

    def verdict(self, value: float) -> Literal["yes", "no", "below the floor"]:
        """Whether ``value`` is within the bound, or not even at the floor."""
        if _within(value, self.limit, at_least=self.at_least):
            return "yes"
        if self.floor is not None and not _within(value, self.floor, at_least=self.at_least):
            return "below the floor"
        return "no"


def _within(value: float, bound: float, *, at_least: bool) -> bool:
    return value >= bound if at_least else value <= bound


@dataclass(frozen=True)
class Row:
    """One figure: its key, its words, how it is printed (times ``factor``, with ``digits``), and what is wanted."""

    key: str
    label: str
    factor: float = 1
    digits: int = 3
    want: Want | None = None

    def text(self, value: float | None) -> str:
        """``value`` as it stands in a table, a dash where there is none."""
        return "-" if value is None else f"{value * self.factor:.{self.digits}f}"

    def wanted(self) -> str:
        """The bound as it stands in a table."""
        if self.want is None:
            return ""
        floor = "" if self.want.floor is None else f", floor {self.text(self.want.floor)}"
        return f"{'≥' if self.want.at_least else '≤'} {self.text(self.want.limit)}{floor}"

    def verdict(self, value: float | None) -> str:
        """Whether what is wanted is reached; nothing where nothing is wanted or measured."""
        return "" if self.want is None or value is None else self.want.verdict(value)


def percent(key: str, label: str, want: Want | None = None) -> Row:
    """A row of a share that is printed as a percentage."""
    return Row(key, label, 100, 1, want)


def show(title: str, rows: Sequence[Row], columns: Mapping[str, Figures], console: Console, ours: str) -> None:
    """Print one column for each model; wanted bounds are held against the column ``ours``."""
    table = Table(title=title)
    for name in ("figure", "want", "reached"):
        table.add_column(name)
    for name in columns:
        table.add_column(name, justify="right")
    for row in rows:
        cells = [row.text(figures.get(row.key)) for figures in columns.values()]
        table.add_row(row.label, row.wanted(), row.verdict(columns[ours].get(row.key)), *cells)
    console.print(table)


def show_list(title: str, rows: Sequence[Row], models: Mapping[str, Figures], console: Console) -> None:
    """Print one line for each model."""
    table = Table(title=title)
    table.add_column("model")
    for row in rows:
        table.add_column(row.label, justify="right")
    for name, figures in models.items():
        table.add_row(name, *(row.text(figures.get(row.key)) for row in rows))
    console.print(table)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write figures for people and for the model card: five digits, one figure a line."""
    path.write_text(json.dumps(_rounded(content), indent=1) + "\n", encoding="utf-8")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, Mapping):
        return {key: _rounded(part) for key, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, list | tuple) else value


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    rule = ["---"] * len(header)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *lines))
