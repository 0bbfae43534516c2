"""What the database knows to be missing: what numbers tell, less what is stored and what is lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, Table, and_, func, or_, select

from edge.collect.gaps import OpenStream, StreamKey, still_missing
from edge.collect.ranges import Range
from edge.collect.statements import of_stream
from edge.collect.tables import alerts, devices, losses, streams


@dataclass(slots=True)
class _Known:
    """What is known of a stream above what is settled."""

    stored: list[Range] = field(default_factory=list)
    lost: list[Range] = field(default_factory=list)


def look_for_gaps(connection: Connection) -> list[OpenStream]:
    """The streams of which something is missing, or whose settling has not been noted; nothing is changed."""
    latest = (
        select(streams.c.prefix, streams.c.device, func.max(streams.c.epoch).label("epoch"))
        .group_by(streams.c.prefix, streams.c.device)
        .subquery()
    )
    tail = and_(streams.c.ended.is_(None), streams.c.epoch < latest.c.epoch)
    query = (
        select(streams, tail.label("tail"), devices.c.availability)
        .join(latest, and_(latest.c.prefix == streams.c.prefix, latest.c.device == streams.c.device))
        .join(devices, and_(devices.c.prefix == streams.c.prefix, devices.c.device == streams.c.device), isouter=True)
        .where(or_(streams.c.settled < streams.c.newest, tail))
        .order_by(streams.c.prefix, streams.c.device, streams.c.epoch)
    )
    rows = connection.execute(query).all()
    known = _known(connection, streams.c.settled < streams.c.newest) if rows else {}
    found: list[OpenStream] = []
    for row in rows:
        key = StreamKey(row.prefix, row.device, row.epoch)
        above = known.get(key, _Known())
        settled, missing = still_missing(row.settled, row.newest, above.stored, above.lost)
        online = row.availability in {None, "online"}
        found.append(OpenStream(key, settled, row.newest, missing, bool(row.tail), online))
    return found


def missing_of(
    connection: Connection, key: StreamKey, settled: int, newest: int, deleted: Iterable[Range] = ()
) -> tuple[int, tuple[Range, ...]]:
    """Up to where nothing is missing of one stream, and what is missing from there to ``newest``."""
    above = _known(connection, of_stream(streams, key)).get(key, _Known())
    return still_missing(settled, newest, [*above.stored, *deleted], above.lost)


def _known(connection: Connection, which: ColumnElement[bool]) -> dict[StreamKey, _Known]:
    """What is stored and what is lost of the streams ``which``, in two queries however many they are."""
    known: dict[StreamKey, _Known] = defaultdict(_Known)
    names = (alerts.c.prefix, alerts.c.device, alerts.c.epoch)
    place = func.row_number().over(partition_by=names, order_by=alerts.c.sequence)
    numbered = (
        select(*names, alerts.c.sequence, (alerts.c.sequence - place).label("island"))
        .join(streams, and_(_same(alerts), alerts.c.sequence > streams.c.settled))
        .where(which)
        .subquery()
    )
    keys = (numbered.c.prefix, numbered.c.device, numbered.c.epoch)
    islands = select(*keys, func.min(numbered.c.sequence), func.max(numbered.c.sequence)).group_by(
        *keys, numbered.c.island
    )
    for prefix, device, epoch, first, last in connection.execute(islands):
        known[StreamKey(prefix, device, epoch)].stored.append(Range(first, last))
    lost = select(losses).join(streams, and_(_same(losses), losses.c.last > streams.c.settled)).where(which)
    for row in connection.execute(lost):
        known[StreamKey(row.prefix, row.device, row.epoch)].lost.append(Range(row.first, row.last))
    return known


def _same(table: Table) -> ColumnElement[bool]:
    return and_(
        table.c.prefix == streams.c.prefix, table.c.device == streams.c.device, table.c.epoch == streams.c.epoch
    )
