"""Workers and the leadership of upkeep."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Integer, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.declarative import Table
from shared.models.types import Instant, Json, now


class Worker(Table):
    """One launch of a worker: an agent and the Celery worker beside it."""

    __tablename__ = "worker"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, doc="new at every launch")
    name: Mapped[str] = mapped_column(String(255), doc="Celery's name for it")
    node: Mapped[str] = mapped_column(String(255), doc="host name")
    pid: Mapped[int] = mapped_column(Integer, doc="the agent's process")
    slots: Mapped[int] = mapped_column(Integer, doc="how many jobs it runs at once")
    queues: Mapped[list[str]] = mapped_column(Json, doc="which queues it serves")
    offers: Mapped[list[str]] = mapped_column(Json, doc="revisions of python job types it can run")
    versions: Mapped[dict[str, Any]] = mapped_column(Json, doc="longshore, celery, python")
    draining: Mapped[bool] = mapped_column(default=False, doc="takes no new jobs")
    started_at: Mapped[int] = mapped_column(Instant, default=now())
    seen_at: Mapped[int] = mapped_column(Instant, default=now(), index=True, doc="last heartbeat")
    ended_at: Mapped[int | None] = mapped_column(Instant, doc="when it said good-bye")


class Leadership(Table):
    """Who does a kind of upkeep now; only thrift, every statement of upkeep is harmless when two do it."""

    __tablename__ = "leadership"

    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    holder: Mapped[UUID] = mapped_column(Uuid)
    since: Mapped[int] = mapped_column(Instant, default=now())
    lease_until: Mapped[int] = mapped_column(Instant)
    lease_boot: Mapped[str] = mapped_column(String(36), default="")
