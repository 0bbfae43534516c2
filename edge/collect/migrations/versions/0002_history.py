"""When an episode happened by a clock that can be believed, and what was driven in which minute.

Frozen as it was written; it does not follow ``tables.py``.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add both; alerts that are there already get their time."""
    op.add_column(
        "alerts",
        sa.Column("happened", _TIME, comment="the same by a clock that can be believed: else when it was received"),
    )
    alerts = sa.table(
        "alerts",
        sa.column("clock_synced", sa.Boolean),
        *(sa.column(name, _TIME) for name in ("started", "received", "happened")),
    )
    believed = sa.and_(alerts.c.clock_synced, alerts.c.started <= alerts.c.received)
    op.execute(sa.update(alerts).values(happened=sa.case((believed, alerts.c.started), else_=alerts.c.received)))
    op.create_index("alerts_happened", "alerts", ["happened"])
    op.create_index("alerts_episode", "alerts", ["episode"])
    op.create_table(
        "hours",
        sa.Column("prefix", sa.String(64), primary_key=True),
        sa.Column("device", sa.String(64), primary_key=True),
        sa.Column("hour", _TIME, primary_key=True, comment="its beginning, by the collector's clock"),
        *(
            sa.Column(name, sa.BigInteger, nullable=False, comment=f"bit m: in minute m of the hour {said}")
            for name, said in (
                ("watched", "somebody was looked at"),
                ("known", "it was known whether the vehicle moved"),
                ("driven", "the vehicle moved"),
                ("due", "a break was due"),
            )
        ),
    )
