"""What ``evenkeel collect --check`` shows: each device, what is stored of it, what is missing and what is lost."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from sqlalchemy import URL, Connection, Engine, and_, func, select

from edge.collect.database import SQLITE, check_form, open_database, reported, where
from edge.collect.gaps import OpenStream
from edge.collect.missing import look_for_gaps
from edge.collect.ranges import Range, count, without
from edge.collect.store import UNKNOWN
from edge.collect.tables import alerts, devices, losses, refusals, streams
from edge.errors import UnavailableError
from edge.mqtt.messages import rfc3339
from edge.tables import print_table


@dataclass(frozen=True, slots=True)
class Missing:
    """A range that is asked for."""

    epoch: int
    ranges: tuple[Range, ...]
    tail: bool


@dataclass(frozen=True, slots=True)
class DeviceView:
    """One device. ``newest`` is (epoch, sequence); ``lost`` counts by reason; ``unknown_ends`` counts epochs."""

    prefix: str
    device: str
    availability: str | None
    last_seen: datetime | None
    state: str | None
    newest: tuple[int, int] | None
    stored: int
    missing: tuple[Missing, ...]
    lost: dict[str, int]
    unknown_ends: int


@dataclass(frozen=True, slots=True)
class Refusals:
    """How many messages were refused for one reason, and the newest of them."""

    reason: str
    count: int
    newest: datetime
    topic: str
    detail: str


@dataclass(frozen=True, slots=True)
class CollectView:
    """All of it."""

    database: str
    devices: tuple[DeviceView, ...]
    refusals: tuple[Refusals, ...]


def look(url: URL) -> CollectView:
    """Read the database as it is at one moment; nothing is changed.

    Raises:
        ConfigError: it is no collector's database, or of another version.
        UnavailableError: it is not there.
    """
    with reported(url), open_existing(url, writing=False).begin() as connection:
        gaps = look_for_gaps(connection)
        return CollectView(where(url), tuple(_devices(connection, gaps)), tuple(_refusals(connection)))


def open_existing(url: URL, *, writing: bool) -> Engine:
    """An engine for a database that is there and has the form known here.

    Raises:
        ConfigError, UnavailableError: as ``look``.
    """
    if url.get_backend_name() == SQLITE and not Path(str(url.database)).exists():
        raise UnavailableError(
            f"database {where(url)}: no such database; give the collector's configuration with --config"
        )
    engine = open_database(url, writing=writing)
    with reported(url):
        check_form(engine)
    return engine


def print_view(view: CollectView, console: Console, now: datetime) -> None:
    """A table of devices, and what is worth a word below it."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("device", overflow="fold")
    for name in ("now", "seen", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("newest", "stored", "missing", "lost"):
        table.add_column(name, no_wrap=True, justify="right")
    for one in view.devices:
        table.add_row(
            f"{one.prefix}/{one.device}",
            one.availability or "?",
            _ago(now - one.last_seen) if one.last_seen else "never",
            one.state or "?",
            str(one.newest[1]) if one.newest else "-",
            str(one.stored),
            _number(sum(count(part.ranges) for part in one.missing), more=any(part.tail for part in one.missing)),
            _number(sum(one.lost.values()), more=one.unknown_ends > 0),
        )
    print_table(console, table)
    for one in view.devices:
        for line in _remarks(one):
            console.print(f"{one.prefix}/{one.device}: {line}", soft_wrap=True, highlight=False)
    for refused in view.refusals:
        console.print(
            f"refused ({refused.reason}): {refused.count}, last at {rfc3339(refused.newest)} on {refused.topic}: "
            f"{refused.detail}",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )


def view_json(view: CollectView) -> str:
    """The same for programs."""
    return json.dumps(
        {
            "database": view.database,
            "devices": [_device_json(one) for one in view.devices],
            "refused": [
                {
                    "reason": one.reason,
                    "count": one.count,
                    "newest": rfc3339(one.newest),
                    "topic": one.topic,
                    "detail": one.detail,
                }
                for one in view.refusals
            ],
        },
        indent=2,
    )


def _device_json(one: DeviceView) -> dict[str, Any]:
    return {
        "prefix": one.prefix,
        "device": one.device,
        "availability": one.availability,
        "last_seen": rfc3339(one.last_seen) if one.last_seen else None,
        "state": one.state,
        "newest": {"epoch": one.newest[0], "sequence": one.newest[1]} if one.newest else None,
        "stored": one.stored,
        "missing": [
            {"epoch": part.epoch, "from": span.first, "to": span.last} for part in one.missing for span in part.ranges
        ],
        "lost": one.lost,
        "ends_not_known": one.unknown_ends,
    }


def _remarks(one: DeviceView) -> list[str]:
    lines = [
        f"missing of epoch {part.epoch}: "
        + ", ".join(_span(span) for span in part.ranges)
        + (" and what came after" if part.tail and part.ranges else "what came at its end" if part.tail else "")
        for part in one.missing
    ]
    if one.lost:
        lines.append("lost: " + ", ".join(f"{number} ({reason})" for reason, number in sorted(one.lost.items())))
    if one.unknown_ends:
        lines.append(f"the end of {one.unknown_ends} epoch(s) is not known to the device any more")
    return lines


def _ago(age: timedelta) -> str:
    seconds = max(age.total_seconds(), 0.0)
    for unit_s, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit_s:
            return f"{seconds / unit_s:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def _span(one: Range) -> str:
    return str(one.first) if one.first == one.last else f"{one.first}-{one.last}"


def _number(number: int, *, more: bool) -> str:
    return f"{number}+" if more else str(number)


def _devices(connection: Connection, gaps: list[OpenStream]) -> list[DeviceView]:
    stored = {
        (prefix, device): number
        for prefix, device, number in connection.execute(
            select(alerts.c.prefix, alerts.c.device, func.count()).group_by(alerts.c.prefix, alerts.c.device)
        )
    }
    newest: dict[tuple[str, str], tuple[int, int]] = {}
    unknown: Counter[tuple[str, str]] = Counter()
    for row in connection.execute(select(streams).order_by(streams.c.epoch)):
        newest[row.prefix, row.device] = (row.epoch, row.newest)
        unknown[row.prefix, row.device] += row.ended == UNKNOWN
    lost = _lost(connection)
    known = connection.execute(select(devices).order_by(devices.c.prefix, devices.c.device)).all()
    return [
        DeviceView(
            row.prefix,
            row.device,
            row.availability,
            row.last_seen,
            json.loads(row.state)["state"] if row.state else None,
            newest.get((row.prefix, row.device)),
            stored.get((row.prefix, row.device), 0),
            tuple(
                Missing(gap.key.epoch, gap.missing, gap.tail)
                for gap in gaps
                if (gap.key.prefix, gap.key.device) == (row.prefix, row.device)
            ),
            lost.get((row.prefix, row.device), {}),
            unknown[row.prefix, row.device],
        )
        for row in known
    ]


def _lost(connection: Connection) -> dict[tuple[str, str], dict[str, int]]:
    """What was told to be gone and has not come all the same, by device and reason."""
    came = and_(
        alerts.c.prefix == losses.c.prefix,
        alerts.c.device == losses.c.device,
        alerts.c.epoch == losses.c.epoch,
        alerts.c.sequence.between(losses.c.first, losses.c.last),
    )
    query = select(losses, alerts.c.sequence).join(alerts, came, isouter=True)
    told: dict[tuple[str, str, int, int, int, str], list[Range]] = {}
    for row in connection.execute(query):
        key = (row.prefix, row.device, row.epoch, row.first, row.last, row.reason)
        there = told.setdefault(key, [])
        if row.sequence is not None:
            there.append(Range(row.sequence, row.sequence))
    lost: dict[tuple[str, str], dict[str, int]] = {}
    for (prefix, device, _, first, last, reason), there in told.items():
        number = count(without([Range(first, last)], there))
        if number:
            reasons = lost.setdefault((prefix, device), {})
            reasons[reason] = reasons.get(reason, 0) + number
    return lost


def _refusals(connection: Connection) -> list[Refusals]:
    rows = connection.execute(select(refusals).order_by(refusals.c.reason)).mappings()
    return [Refusals(row["reason"], row["count"], row["newest"], row["topic"], row["detail"]) for row in rows]
