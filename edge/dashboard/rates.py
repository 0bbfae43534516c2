"""What a collector's database knows of each device of a fleet: when it was heard, its alerts, and the time driven."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from edge.collect.tables import alerts, devices, hours
from edge.dashboard.fleet import Collected
from edge.domain import Phase

DAYS = 7
"""The rates are of the last days, so many."""
MINUTE_S = 60.0


def collected(connection: Connection, prefix: str, now: datetime) -> dict[str, Collected]:
    """By the device's id. A minute counts in which somebody was looked at and the vehicle not known to stand."""
    since = now - timedelta(days=DAYS)
    began = func.coalesce(alerts.c.happened, alerts.c.received)
    starts = (
        select(alerts.c.device, func.count())
        .where(alerts.c.prefix == prefix, alerts.c.phase == str(Phase.START), began >= since)
        .group_by(alerts.c.device)
    )
    counted: dict[str, int] = {device: count for device, count in connection.execute(starts)}  # noqa: C416 - rows
    driven_min: defaultdict[str, int] = defaultdict(int)
    asked = select(hours.c.device, hours.c.watched, hours.c.known, hours.c.driven)
    for row in connection.execute(asked.where(hours.c.prefix == prefix, hours.c.hour >= since)):
        driven_min[row.device] += (row.watched & (row.driven | ~row.known)).bit_count()
    seen = connection.execute(
        select(devices.c.device, devices.c.last_seen, devices.c.seen_synced, devices.c.availability).where(
            devices.c.prefix == prefix
        )
    )
    return {
        row.device: Collected(
            max(0.0, (now - row.last_seen).total_seconds()) if row.last_seen and row.seen_synced else None,
            counted.get(row.device, 0),
            MINUTE_S * driven_min[row.device],
        )
        for row in seen
        if row.availability != "retired"
    }
