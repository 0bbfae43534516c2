"""The collector's tables. A change here needs a revision in ``migrations/versions``; a test holds the two together.

``prefix`` and ``device`` stand in every row as they are, so that whoever reads the tables needs no other.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

from edge.compat import UTC

metadata = MetaData()


class UtcTime(TypeDecorator[datetime]):
    """An aware time; SQLite, which knows no time zones, has it in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database."""
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _key(*more: Column[Any]) -> list[Column[Any]]:
    return [Column("prefix", String(64), primary_key=True), Column("device", String(64), primary_key=True), *more]


alerts = Table(
    "alerts",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("prefix", String(64), nullable=False),
    Column("device", String(64), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("time", UtcTime, nullable=False, comment="the device's clock at the decision"),
    Column("clock_synced", Boolean, nullable=False, comment="whether 'time' can be believed"),
    Column("episode", String(36), nullable=False, comment="the same in start, escalate and end"),
    Column("kind", String(32), nullable=False),
    Column("phase", String(16), nullable=False),
    Column("level", String(16), nullable=False),
    Column("started", UtcTime, nullable=False, comment="when the episode began"),
    Column("happened", UtcTime, comment="the same by a clock that can be believed: else when it was received"),
    Column("resent", Boolean, nullable=False, comment="it came because it was asked for"),
    Column("received", UtcTime, nullable=False, comment="the collector's clock"),
    Column("received_synced", Boolean, nullable=False, comment="whether 'received' can be believed"),
    Column("payload", Text, nullable=False, comment="the JSON text as it came"),
    UniqueConstraint("prefix", "device", "epoch", "sequence", name="alerts_once"),
    Index("alerts_received", "received"),
    Index("alerts_time", "prefix", "device", "time"),
    Index("alerts_happened", "happened"),
    Index("alerts_episode", "episode"),
    sqlite_autoincrement=True,
)

devices = Table(
    "devices",
    metadata,
    *_key(
        Column("first_seen", UtcTime, nullable=False),
        Column("last_seen", UtcTime, comment="null: only what the broker had kept"),
        Column("seen_synced", Boolean, nullable=False, comment="whether 'last_seen' can be believed"),
        Column("availability", String(8)),
        Column("state_time", UtcTime),
        Column("state", Text, comment="the newest state's JSON text"),
        Column("health_time", UtcTime),
        Column("health", Text, comment="the newest health's JSON text"),
    ),
)

streams = Table(
    "streams",
    metadata,
    *_key(
        Column("epoch", BigInteger, primary_key=True, autoincrement=False),
        Column("newest", BigInteger, nullable=False, comment="highest number heard of"),
        Column("settled", BigInteger, nullable=False, comment="up to here each is stored, or known to be lost"),
        Column("ended", String(8), comment="null: may go on; known: 'newest' is the last; unknown: it cannot be told"),
    ),
)

losses = Table(
    "losses",
    metadata,
    *_key(
        Column("epoch", BigInteger, primary_key=True, autoincrement=False),
        Column("first", BigInteger, primary_key=True, autoincrement=False),
        Column("last", BigInteger, nullable=False),
        Column("reason", String(64), nullable=False),
        Column("noted", UtcTime, nullable=False),
    ),
)

pieces = Table(
    "pieces",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("prefix", String(64), nullable=False),
    Column("device", String(64), nullable=False),
    Column("epoch", BigInteger, nullable=False, comment="of the alert that began the episode"),
    Column("sequence", BigInteger, nullable=False, comment="its number"),
    Column("first", Integer, nullable=False, comment="number of the first sample in here"),
    Column("count", Integer, nullable=False, comment="how many samples are in here"),
    Column("total", Integer, nullable=False, comment="how many there are in all pieces"),
    Column("episode", String(36), nullable=False),
    Column("received", UtcTime, nullable=False, comment="the collector's clock"),
    Column("received_synced", Boolean, nullable=False, comment="whether 'received' can be believed"),
    Column("payload", Text, nullable=False, comment="the JSON text as it came"),
    UniqueConstraint("prefix", "device", "epoch", "sequence", "first", name="pieces_once"),
    Index("pieces_received", "received"),
    Index("pieces_episode", "episode"),
    sqlite_autoincrement=True,
)

hours = Table(
    "hours",
    metadata,
    *_key(
        Column("hour", UtcTime, primary_key=True, comment="its beginning, by the collector's clock"),
        *(
            Column(name, BigInteger, nullable=False, comment=f"bit m: in minute m of the hour {said}")
            for name, said in (
                ("watched", "somebody was looked at"),
                ("known", "it was known whether the vehicle moved"),
                ("driven", "the vehicle moved"),
                ("due", "a break was due"),
            )
        ),
    ),
)

erasures = Table(
    "erasures",
    metadata,
    *_key(
        Column("epoch", BigInteger, nullable=False, comment="up to here nothing is taken again"),
        Column("sequence", BigInteger, nullable=False),
        Column("erased", UtcTime, nullable=False),
    ),
)

OF_A_DEVICE = (alerts, devices, streams, losses, hours, pieces)
"""All that is kept of a device; ``erasures`` holds what must stay when it is gone."""

refusals = Table(
    "refusals",
    metadata,
    Column("reason", String(32), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("newest", UtcTime, nullable=False),
    Column("topic", Text, nullable=False, comment="the newest one's"),
    Column("detail", Text, nullable=False),
)
