"""Job types, the revisions of their declarations, and queues."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.declarative import Table
from shared.models.types import Instant, Json, now


class JobType(Table):
    """A named, versioned kind of work; its present declaration is a revision."""

    __tablename__ = "job_type"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    version: Mapped[str] = mapped_column(String(50), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), doc="python: declared by workers; command: declared over the API")
    revision: Mapped[str] = mapped_column(String(64), doc="hash of the declaration that new jobs are submitted under")
    paused: Mapped[bool] = mapped_column(default=False, doc="its jobs are accepted but not claimed")
    pause_reason: Mapped[str | None] = mapped_column(String(2000))
    is_active: Mapped[bool] = mapped_column(default=True, doc="new jobs are accepted")
    created_at: Mapped[int] = mapped_column(Instant, default=now())
    updated_at: Mapped[int] = mapped_column(Instant, default=now())


class Revision(Table):
    """One declaration of a job type, kept for as long as the type; jobs are run as they were submitted."""

    __tablename__ = "revision"

    hash: Mapped[str] = mapped_column(String(64), primary_key=True, doc="SHA-256 of the canonical declaration")
    name: Mapped[str] = mapped_column(String(100))
    version: Mapped[str] = mapped_column(String(50))
    interface: Mapped[str] = mapped_column(
        String(64),
        doc="SHA-256 of what job code relies on (args, inputs, stages); a worker offers every revision of "
        "its own types with its own interface",
    )
    declaration: Mapped[dict[str, Any]] = mapped_column(Json)
    created_at: Mapped[int] = mapped_column(Instant, default=now())
    created_by: Mapped[str | None] = mapped_column(String(200))

    __table_args__ = (
        ForeignKeyConstraint(["name", "version"], ["job_type.name", "job_type.version"], ondelete="CASCADE"),
        Index("ix_revision_name_version", "name", "version"),
    )


class Queue(Table):
    """What is set for a queue; a queue without a row is simply not paused."""

    __tablename__ = "queue"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    paused: Mapped[bool] = mapped_column(default=False)
    pause_reason: Mapped[str | None] = mapped_column(String(2000))
    updated_at: Mapped[int] = mapped_column(Instant, default=now())
