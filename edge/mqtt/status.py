"""The outbox as ``evenkeel outbox`` shows and sends it, beside a service that may be running."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from edge.config import Config
from edge.errors import UnavailableError
from edge.mqtt.claim import claim_outbox, hold
from edge.mqtt.errand import flush_outbox
from edge.mqtt.messages import AlertMessage, Stamp, rfc3339
from edge.mqtt.outbox import Outbox, outbox_path, read_contents
from edge.tables import print_table

ROWS = 20
SENDS_ITSELF = "a service that runs sends its alerts itself; its log and its health tell why they wait"


@dataclass(frozen=True, slots=True)
class OutboxView:
    """What waits in an outbox, and whether a service that uses it is running."""

    path: Path
    alerts: tuple[AlertMessage, ...]
    size: int
    in_use: bool


def look_into_outbox(config: Config, environ: Mapping[str, str]) -> OutboxView:
    """What waits now; nothing is changed.

    Raises:
        UnavailableError: the file cannot be read.
    """
    path = outbox_path(config.outbox, environ)
    waiting = read_contents(path).waiting
    alerts = tuple(AlertMessage.model_validate_json(one.payload) for one in waiting)
    return OutboxView(path, alerts, sum(len(one.payload) for one in waiting), in_use=path.exists() and _in_use(path))


def flush_waiting(config: Config, environ: Mapping[str, str], now: Stamp) -> int:
    """Send what waits; return how many alerts the broker took.

    Raises:
        ConfigError: credentials or certificates cannot be used.
        UnavailableError: the service is running, the file cannot be read or written, or the broker does not take them.
    """
    path = outbox_path(config.outbox, environ)
    if not read_contents(path).waiting:
        return 0
    with (
        hold(config, path, remedy=SENDS_ITSELF),
        contextlib.closing(Outbox.from_config(config, environ, now)) as outbox,
    ):
        if outbox.problem is not None:
            raise UnavailableError(outbox.problem)
        return flush_outbox(config, environ, outbox)


def print_outbox(view: OutboxView) -> None:
    """Say how much waits and list the oldest alerts."""
    console = Console()
    running = "; the service is running and sends them itself" if view.in_use else ""
    console.print(f"{view.path}: {len(view.alerts)} alerts wait ({view.size} bytes){running}", soft_wrap=True)
    if not view.alerts:
        return
    table = Table("sequence", "time", "kind", "phase", "level", "reason")
    for alert in view.alerts[:ROWS]:
        when = rfc3339(alert.time) + ("" if alert.clock_synced else " (clock not set)")
        table.add_row(str(alert.sequence), when, alert.kind, alert.phase, alert.level, alert.reason)
    print_table(console, table)
    if len(view.alerts) > ROWS:
        console.print(f"and {len(view.alerts) - ROWS} more; --json prints all")


def _in_use(path: Path) -> bool:
    with claim_outbox(path) as holder:
        return holder is not None
