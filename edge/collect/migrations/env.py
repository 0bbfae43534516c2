"""Alembic runs this file: it applies the steps on the connection that ``edge.collect.database`` hands over."""

from __future__ import annotations

from alembic import context

from edge.collect.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=context.config.attributes["version_table"],
)
with context.begin_transaction():
    context.run_migrations()
