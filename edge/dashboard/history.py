"""What was collected, as the page *History* shows it: episodes, time driven, and the devices that there are.

Reads the collector's tables and changes nothing. A payload is somebody's text: what cannot be read of it is not known.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from pydantic import ValidationError
from sqlalchemy import ColumnElement, Connection, Row, and_, desc, func, select, true

from edge.collect.reading import ReadEpisode
from edge.collect.statements import of_device
from edge.collect.tables import OF_A_DEVICE, alerts, devices, hours, pieces
from edge.compat import UTC
from edge.domain import Phase

MOST_EPISODES = 1000
"""So many are told at once; who wants older ones asks for fewer days."""
MOST_DEVICES = 10_000
MOST_HOURS = 40_000
"""Of all devices together; where there are more, the page says that time driven is not whole."""
BREAK_MIN = 15
"""Minutes between two drives that are worth telling."""
_CHUNK = 500
_LISTS = ("t_s", "open_left_percent", "open_right_percent", "perclos_percent", "weight_percent", "speed_kmh")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which episodes: begun from ``since`` to ``until``, of ``device`` (prefix and id) and ``kind`` where given."""

    since: datetime
    until: datetime
    device: tuple[str, str] | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """One episode, from its alerts. None is not known; ``ended`` is None where no end has come.

    ``believed``: ``began`` is by the device's clock, which was set; else it is when the first alert was received.
    """

    prefix: str
    device: str
    episode: str
    kind: str
    level: str
    began: datetime
    believed: bool
    ended: bool
    duration_s: float | None
    peak: float | None
    expression: str | None
    cause: str | None
    reason_code: str | None
    reason: str | None
    acknowledged: bool
    speed_kmh: float | None
    epoch: int
    sequence: int

    def as_json(self) -> dict[str, Any]:
        """For a browser; times are milliseconds since 1970."""
        return {
            "device": f"{self.prefix}/{self.device}",
            "episode": self.episode,
            "kind": self.kind,
            "level": self.level,
            "at": _milliseconds(self.began),
            "believed": self.believed,
            "ended": self.ended,
            "duration_s": self.duration_s,
            "peak": self.peak,
            "expression": self.expression,
            "cause": self.cause,
            "reason_code": self.reason_code,
            "reason": self.reason,
            "acknowledged": self.acknowledged,
            "speed_kmh": self.speed_kmh,
        }


def episodes(connection: Connection, wanted: Wanted, most: int = MOST_EPISODES) -> tuple[list[Told], bool]:
    """The newest episodes first, and whether there are more than ``most``."""
    began = func.min(alerts.c.happened).label("began")
    keys = (alerts.c.prefix, alerts.c.device, alerts.c.episode)
    query = select(*keys, began).where(_matching(wanted)).group_by(*keys).order_by(desc(began), alerts.c.episode)
    found = [tuple(row)[:3] for row in connection.execute(query.limit(most + 1))]
    rows = _rows_of(connection, found[:most])
    return [_told(rows[key]) for key in found[:most] if key in rows], len(found) > most


def episode(connection: Connection, device: tuple[str, str], name: str) -> tuple[Told, list[Row[Any]]] | None:
    """One of them with its alerts; None where there is none of that name."""
    key = (*device, name)
    rows = _rows_of(connection, [key]).get(key)
    return None if rows is None else (_told(rows), rows)


def detail(connection: Connection, device: tuple[str, str], name: str) -> dict[str, Any] | None:
    """One episode with its alerts and the numbers around it; None where there is none of that name."""
    found = episode(connection, device, name)
    if found is None:
        return None
    told, rows = found
    steps = [
        {"phase": row.phase, "level": row.level, "at_s": _number(payload_of(row).get("duration_s"))} for row in rows
    ]
    return {"episode": told.as_json(), "alerts": steps, "numbers": _numbers(connection, told)}


def overview(connection: Connection, wanted: Wanted, most_hours: int = MOST_HOURS) -> dict[str, Any]:
    """What the page shows of it: devices, episodes, time driven and breaks; whether there is more than that."""
    told, more = episodes(connection, wanted)
    driven, driven_more = _driven(connection, wanted, most_hours)
    return {
        "devices": _devices(connection),
        "episodes": [one.as_json() for one in told],
        "more": more,
        "newest": _newest(connection, wanted),
        "driven": driven,
        "driven_more": driven_more,
    }


def is_known(connection: Connection, prefix: str, device: str) -> bool:
    """Whether anything is kept of a device."""
    queries = (select(table.c.device).where(of_device(table, prefix, device)).limit(1) for table in OF_A_DEVICE)
    return any(connection.scalar(query) is not None for query in queries)


def _matching(wanted: Wanted) -> ColumnElement[bool]:
    kind = true() if wanted.kind is None else alerts.c.kind == wanted.kind
    return and_(alerts.c.happened.between(wanted.since, wanted.until), kind, _of(alerts, wanted.device))


def _of(table: Any, device: tuple[str, str] | None) -> ColumnElement[bool]:
    return true() if device is None else of_device(table, *device)


def _rows_of(
    connection: Connection, keys: Sequence[tuple[str, str, str]]
) -> dict[tuple[str, str, str], list[Row[Any]]]:
    rows: dict[tuple[str, str, str], list[Row[Any]]] = defaultdict(list)
    for first in range(0, len(keys), _CHUNK):
        names = [name for _, _, name in keys[first : first + _CHUNK]]
        query = select(alerts).where(alerts.c.episode.in_(names)).order_by(alerts.c.epoch, alerts.c.sequence)
        for row in connection.execute(query):
            rows[row.prefix, row.device, row.episode].append(row)
    return rows


def _told(rows: Sequence[Row[Any]]) -> Told:
    first, last = rows[0], rows[-1]
    begin, end = payload_of(first), payload_of(last)
    ended = last.phase == Phase.END
    strongest = [_number(payload_of(row).get("peak")) for row in rows]
    causes = [_text(payload_of(row).get("cause")) for row in rows]
    context = begin.get("context")
    return Told(
        prefix=first.prefix,
        device=first.device,
        episode=first.episode,
        kind=first.kind,
        level="urgent" if any(row.level == "urgent" for row in rows) else first.level,
        began=min(row.happened or row.received for row in rows),
        believed=bool(first.clock_synced) and first.happened == first.started,
        ended=ended,
        duration_s=_number(end.get("duration_s")) if ended else None,
        peak=max((value for value in strongest if value is not None), default=None),
        expression=_text(end.get("expression")),
        cause=next((cause for cause in reversed(causes) if cause), None),
        reason_code=_text(end.get("reason_code")) if ended else None,
        reason=_text(end.get("reason")) if ended else None,
        acknowledged=any(payload_of(row).get("acknowledged") is True for row in rows),
        speed_kmh=_number(context.get("speed_kmh")) if isinstance(context, dict) else None,
        epoch=first.epoch,
        sequence=first.sequence,
    )


def payload_of(row: Row[Any]) -> dict[str, Any]:
    """What a row's text says; nothing where it is none."""
    try:
        said = json.loads(row.payload)
    except (ValueError, RecursionError, TypeError):
        return {}
    return said if isinstance(said, dict) else {}


def _devices(connection: Connection) -> list[dict[str, Any]]:
    query = select(devices.c.prefix, devices.c.device, devices.c.availability, devices.c.last_seen)
    rows = connection.execute(query.order_by(devices.c.prefix, devices.c.device).limit(MOST_DEVICES))
    return [
        {
            "device": f"{row.prefix}/{row.device}",
            "availability": row.availability,
            "seen": None if row.last_seen is None else _milliseconds(row.last_seen),
        }
        for row in rows
    ]


def _newest(connection: Connection, wanted: Wanted) -> int | None:
    """When the newest episode began, whatever days are asked for, so that a page without any can say where to look."""
    found: datetime | None = connection.scalar(select(func.max(alerts.c.happened)).where(_of(alerts, wanted.device)))
    return None if found is None else _milliseconds(found)


def _driven(connection: Connection, wanted: Wanted, most: int) -> tuple[list[dict[str, Any]], bool]:
    """Of each device and hour the minutes driven, known and watched; and breaks. Whether there are more hours."""
    since = wanted.since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    query = (
        select(hours)
        .where(hours.c.hour.between(since, wanted.until), _of(hours, wanted.device))
        .order_by(hours.c.prefix, hours.c.device, hours.c.hour)
        .limit(most + 1)
    )
    found = connection.execute(query).all()
    told = []
    for (prefix, device), rows in groupby(found[:most], key=lambda row: (row.prefix, row.device)):
        each = list(rows)
        told.append(
            {
                "device": f"{prefix}/{device}",
                "hours": [
                    [_milliseconds(row.hour), row.driven.bit_count(), row.known.bit_count(), row.watched.bit_count()]
                    for row in each
                ],
                "breaks": list(_breaks(each)),
            }
        )
    return told, len(found) > most


def _breaks(rows: Sequence[Row[Any]]) -> Iterator[tuple[int, int, int]]:
    """Where the vehicle was not driven for BREAK_MIN and more between two drives: milliseconds, minutes, minutes known.

    In the others nothing was heard: a device without power says nothing, and one without a network neither.
    """
    last: int | None = None  # the last minute driven
    stood = 0
    for row in rows:
        start = _milliseconds(row.hour) // 60_000
        for minute in range(60):
            if row.driven >> minute & 1:
                length = 0 if last is None else start + minute - last - 1
                if last is not None and length >= BREAK_MIN:
                    yield (last + 1) * 60_000, length, stood
                last, stood = start + minute, 0
            else:
                stood += row.known >> minute & 1


def _numbers(connection: Connection, told: Told) -> dict[str, Any] | None:
    """All samples around an alert, each once, null where a piece is missing; None where not one has come."""
    query = select(pieces.c.payload).where(
        of_device(pieces, told.prefix, told.device),
        pieces.c.epoch == told.epoch,
        pieces.c.sequence == told.sequence,
        pieces.c.episode == told.episode,
    )
    read = [_piece(text) for text in connection.scalars(query.order_by(pieces.c.first))]
    found = [piece for piece in read if piece is not None]
    if not found:
        return None
    total = found[0].total
    kinds = list(dict.fromkeys(kind for piece in found for kind in piece.signal_percent))
    expressions = list(dict.fromkeys(name for piece in found for name in piece.expression_percent))
    columns: dict[str, list[Any]] = defaultdict(lambda: [None] * total)
    tables: dict[str, dict[str, list[Any]]] = {
        "signals": {kind: [None] * total for kind in kinds},
        "levels": {kind: [None] * total for kind in kinds},
        "expressions": {name: [None] * total for name in expressions},
    }
    for piece in found:
        place = slice(piece.first, piece.first + len(piece.t_s))
        count = len(piece.t_s)
        for name in _LISTS:
            columns[name][place] = getattr(piece, name)
        for name, runs in (("states", piece.states), ("reason_codes", piece.reason_codes), ("sights", piece.sights)):
            columns[name][place] = _spread(runs, count)
        for kind, values in piece.signal_percent.items():
            tables["signals"][kind][place] = values
        for kind, runs in piece.levels.items():
            if kind in tables["levels"]:
                tables["levels"][kind][place] = _spread(runs, count)
        for name, values in piece.expression_percent.items():
            tables["expressions"][name][place] = values
    thresholds = {kind: value for piece in found for kind, value in piece.threshold_percent.items()}
    missing = sum(t is None for t in columns["t_s"])
    return dict(columns) | tables | {"thresholds": thresholds, "total": total, "missing": missing}


def _piece(text: str) -> ReadEpisode | None:
    try:
        return ReadEpisode.model_validate_json(text)
    except ValidationError:
        return None


def _spread(runs: Sequence[tuple[int, str | None]], count: int) -> list[str | None]:
    """From runs to a value for each sample."""
    told: list[str | None] = [None] * count
    for place, value in runs:
        told[place:] = [value] * (count - place)
    return told


def _milliseconds(time: datetime) -> int:
    return int(time.timestamp() * 1000)


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
