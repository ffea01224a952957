"""Runs migrations on the connection that was handed in; settings and environment are somebody else's business."""

from __future__ import annotations

from alembic import context

from shared.models import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    transactional_ddl=True,
    render_as_batch=True,
)

with context.begin_transaction():
    context.run_migrations()
