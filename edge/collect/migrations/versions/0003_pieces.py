"""The numbers around alerts, in the pieces in which they come.

Frozen as it was written; it does not follow ``tables.py``.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "pieces",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("prefix", sa.String(64), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False, comment="of the alert that began the episode"),
        sa.Column("sequence", sa.BigInteger, nullable=False, comment="its number"),
        sa.Column("first", sa.Integer, nullable=False, comment="number of the first sample in here"),
        sa.Column("count", sa.Integer, nullable=False, comment="how many samples are in here"),
        sa.Column("total", sa.Integer, nullable=False, comment="how many there are in all pieces"),
        sa.Column("episode", sa.String(36), nullable=False),
        sa.Column("received", sa.DateTime(timezone=True), nullable=False, comment="the collector's clock"),
        sa.Column("received_synced", sa.Boolean, nullable=False, comment="whether 'received' can be believed"),
        sa.Column("payload", sa.Text, nullable=False, comment="the JSON text as it came"),
        sa.UniqueConstraint("prefix", "device", "epoch", "sequence", "first", name="pieces_once"),
        sqlite_autoincrement=True,
    )
    op.create_index("pieces_received", "pieces", ["received"])
    op.create_index("pieces_episode", "pieces", ["episode"])
