"""The first form: alerts, devices, and what is known of what is missing.

Frozen as it was written; it does not follow ``tables.py``.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "alerts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("prefix", sa.String(64), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("time", _TIME, nullable=False, comment="the device's clock at the decision"),
        sa.Column("clock_synced", sa.Boolean, nullable=False, comment="whether 'time' can be believed"),
        sa.Column("episode", sa.String(36), nullable=False, comment="the same in start, escalate and end"),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("phase", sa.String(16), nullable=False),
        sa.Column("level", sa.String(16), nullable=False),
        sa.Column("started", _TIME, nullable=False, comment="when the episode began"),
        sa.Column("resent", sa.Boolean, nullable=False, comment="it came because it was asked for"),
        sa.Column("received", _TIME, nullable=False, comment="the collector's clock"),
        sa.Column("received_synced", sa.Boolean, nullable=False, comment="whether 'received' can be believed"),
        sa.Column("payload", sa.Text, nullable=False, comment="the JSON text as it came"),
        sa.UniqueConstraint("prefix", "device", "epoch", "sequence", name="alerts_once"),
        sqlite_autoincrement=True,
    )
    op.create_index("alerts_received", "alerts", ["received"])
    op.create_index("alerts_time", "alerts", ["prefix", "device", "time"])
    op.create_table(
        "devices",
        *_key(),
        sa.Column("first_seen", _TIME, nullable=False),
        sa.Column("last_seen", _TIME, comment="null: only what the broker had kept"),
        sa.Column("seen_synced", sa.Boolean, nullable=False, comment="whether 'last_seen' can be believed"),
        sa.Column("availability", sa.String(8)),
        sa.Column("state_time", _TIME),
        sa.Column("state", sa.Text, comment="the newest state's JSON text"),
        sa.Column("health_time", _TIME),
        sa.Column("health", sa.Text, comment="the newest health's JSON text"),
    )
    op.create_table(
        "streams",
        *_key(),
        sa.Column("epoch", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("newest", sa.BigInteger, nullable=False, comment="highest number heard of"),
        sa.Column("settled", sa.BigInteger, nullable=False, comment="up to here each is stored, or known to be lost"),
        sa.Column(
            "ended", sa.String(8), comment="null: may go on; known: 'newest' is the last; unknown: it cannot be told"
        ),
    )
    op.create_table(
        "losses",
        *_key(),
        sa.Column("epoch", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("first", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("noted", _TIME, nullable=False),
    )
    op.create_table(
        "erasures",
        *_key(),
        sa.Column("epoch", sa.BigInteger, nullable=False, comment="up to here nothing is taken again"),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("erased", _TIME, nullable=False),
    )
    op.create_table(
        "refusals",
        sa.Column("reason", sa.String(32), primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("newest", _TIME, nullable=False),
        sa.Column("topic", sa.Text, nullable=False, comment="the newest one's"),
        sa.Column("detail", sa.Text, nullable=False),
    )


def _key() -> list[sa.Column[str]]:
    return [
        sa.Column("prefix", sa.String(64), primary_key=True),
        sa.Column("device", sa.String(64), primary_key=True),
    ]
