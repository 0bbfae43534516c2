"""What the database knows to be missing: what numbers tell, less what is stored and what is lost."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, and_, func, or_, select, update

from edge.collect.gaps import OpenStream, StreamKey, still_missing
from edge.collect.ranges import Range
from edge.collect.statements import of_stream
from edge.collect.tables import alerts, devices, losses, streams


def look_for_gaps(connection: Connection, limit: int | None = None) -> list[OpenStream]:
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
        .limit(limit)
    )
    found: list[OpenStream] = []
    for row in connection.execute(query).all():
        key = StreamKey(row.prefix, row.device, row.epoch)
        settled, missing = missing_of(connection, key, row.settled, row.newest)
        online = row.availability != "offline"
        found.append(OpenStream(key, settled, row.newest, missing, bool(row.tail), online))
    return found


def missing_of(
    connection: Connection, key: StreamKey, settled: int, newest: int, deleted: Iterable[Range] = ()
) -> tuple[int, tuple[Range, ...]]:
    """Up to where nothing is missing of a stream, and what is missing from there to ``newest``."""
    island = (alerts.c.sequence - func.row_number().over(order_by=alerts.c.sequence)).label("island")
    numbered = select(alerts.c.sequence, island).where(of_stream(alerts, key), alerts.c.sequence > settled).subquery()
    islands = select(func.min(numbered.c.sequence), func.max(numbered.c.sequence)).group_by(numbered.c.island)
    lost = select(losses.c.first, losses.c.last).where(of_stream(losses, key), losses.c.last > settled)
    stored = [Range(first, last) for first, last in connection.execute(islands)]
    given_up = [Range(first, last) for first, last in connection.execute(lost)]
    return still_missing(settled, newest, [*stored, *deleted], given_up)


def note_settled(connection: Connection, key: StreamKey, reached: int) -> None:
    """Up to there nothing is missing."""
    connection.execute(
        update(streams).where(of_stream(streams, key), streams.c.settled < reached).values(settled=reached)
    )
