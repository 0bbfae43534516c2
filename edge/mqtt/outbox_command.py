"""The outbox as ``evenkeel outbox`` shows and sends it, beside a service that may be running."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from edge.compat import StrEnum
from edge.config import Config
from edge.domain import Stamp
from edge.errors import UnavailableError
from edge.mqtt.exclusive import claim_outbox, hold
from edge.mqtt.messages import Topics
from edge.mqtt.one_shot import flush_outbox
from edge.mqtt.outbox import Contents, Outbox, Row, outbox_path, read_contents
from edge.tables import print_table

ROWS = 20
SENDS_ITSELF = "a service that runs sends its alerts itself; its log and its health tell why they wait"


@dataclass(frozen=True, slots=True)
class OutboxView:
    """What an outbox holds, and whether a service that uses it is running."""

    path: Path
    contents: Contents
    in_use: bool


class Part(StrEnum):
    """Which alerts of an outbox are listed."""

    WAITING = "waiting"
    HISTORY = "history"
    ASIDE = "set aside"


def rows_of(view: OutboxView, part: Part) -> tuple[Row, ...]:
    """The alerts of one part, in order."""
    contents = view.contents
    return {Part.WAITING: contents.waiting, Part.HISTORY: contents.history, Part.ASIDE: contents.aside}[part]


def look_into_outbox(config: Config, environ: Mapping[str, str]) -> OutboxView:
    """What is in it now; nothing is changed.

    Raises:
        UnavailableError: the file cannot be read.
    """
    path = outbox_path(config.outbox, environ)
    contents = read_contents(path, Topics(config.mqtt.prefix, config.device.id))
    return OutboxView(path, contents, in_use=path.exists() and _in_use(path))


def flush_waiting(config: Config, environ: Mapping[str, str], now: Stamp) -> int:
    """Send what waits; return how many alerts the broker took.

    Raises:
        ConfigError: credentials or certificates cannot be used.
        UnavailableError: the service is running, the file cannot be read or written, or the broker does not take them.
    """
    path = outbox_path(config.outbox, environ)
    if not read_contents(path, Topics(config.mqtt.prefix, config.device.id)).waiting:
        return 0
    with (
        hold(config, path, remedy=SENDS_ITSELF),
        contextlib.closing(Outbox.from_config(config, environ, now)) as outbox,
    ):
        if outbox.problem is not None:
            raise UnavailableError(outbox.problem)
        return flush_outbox(config, environ, outbox)


def print_outbox(view: OutboxView, part: Part = Part.WAITING) -> None:
    """Say how much is in it and list the oldest alerts of one part."""
    console = Console()
    contents = view.contents
    size = sum(len(row.payload) for row in contents.waiting)
    running = "; the service is running and sends them itself" if view.in_use else ""
    console.print(f"{view.path}: {len(contents.waiting)} alerts wait ({size} bytes){running}", soft_wrap=True)
    if contents.history or contents.aside:
        kept = f"{len(contents.history)} acknowledged (--history), {len(contents.aside)} set aside (--set-aside)"
        console.print(f"kept besides: {kept}", soft_wrap=True)
    rows = rows_of(view, part)
    if not rows:
        return
    print_table(console, _table(rows[:ROWS], part))
    if len(rows) > ROWS:
        console.print(f"and {len(rows) - ROWS} more; --json prints all")


def _table(rows: Sequence[Row], part: Part) -> Table:
    epochs = len({row.epoch for row in rows}) > 1
    last = "set aside because" if part is Part.ASIDE else "reason"
    table = Table(*(["epoch"] if epochs else []), "sequence", "time", "kind", "phase", "level", last)
    for row in rows:
        alert = _told(row.payload)
        when = alert.get("time", "?") + ("" if alert.get("clock_synced") else " (clock not set)")
        words = (alert.get(key, "?") for key in ("kind", "phase", "level"))
        why = row.note if part is Part.ASIDE else alert.get("reason", "")
        cells = [str(row.sequence), when, *words, why]
        table.add_row(*([str(row.epoch)] if epochs else []), *(Text(cell) for cell in cells))
    return table


def _told(payload: bytes) -> dict[str, Any]:
    """What an alert says; nothing where it is set aside because it says nothing that can be read."""
    try:
        told = json.loads(payload)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _in_use(path: Path) -> bool:
    with claim_outbox(path) as holder:
        return holder is not None
