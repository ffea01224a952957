"""What happened: status records, executions and their log. Rows here are added, never changed behind history's back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Float, ForeignKey, Index, Integer, LargeBinary, String, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.lifecycle import Flag, State
from shared.models.declarative import Table, one_of
from shared.models.types import Instant, Json, Serial, current_xact, now

_FINAL_RECORD = text("state IN ('completed', 'failed', 'cancelled') AND ends")


class StatusRecord(Table):
    """Append-only history of a job, and the feed of all changes.

    It has no foreign key to its job: when a job is removed its records go with it, and one last record, the tombstone
    (event `remove`), stays for readers of the feed. Triggers refuse every UPDATE, and a DELETE while the job exists.
    """

    __tablename__ = "status_record"

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    xid: Mapped[int] = mapped_column(Serial, default=current_xact(), doc="transaction that wrote it; orders the feed")
    job_id: Mapped[UUID] = mapped_column(Uuid)
    owner_id: Mapped[UUID] = mapped_column(Uuid, doc="owner of the job, so that feeds can be cut without a join")
    seq: Mapped[int] = mapped_column(Integer, doc="1, 2, 3 .. within its job")
    event: Mapped[str] = mapped_column(String(20), doc="lifecycle event, or report, edit, remove")
    state: Mapped[str] = mapped_column(String(12), doc="state of the job after it")
    ends: Mapped[bool] = mapped_column(default=False, doc="whether it made the job final")
    flag: Mapped[str | None] = mapped_column(String(8), doc="control flag in force after it")
    attempt: Mapped[int] = mapped_column(Integer)
    rerun: Mapped[int] = mapped_column(Integer)
    stage: Mapped[str | None] = mapped_column(String(200))
    progress: Mapped[float] = mapped_column(Float, default=0.0)
    done: Mapped[float | None] = mapped_column(Float)
    total: Mapped[float | None] = mapped_column(Float)
    message: Mapped[str] = mapped_column(String(2000), default="")
    error: Mapped[dict[str, Any] | None] = mapped_column(Json)
    by: Mapped[str | None] = mapped_column(String(200), doc="who caused it: a user's name or a worker's")
    reason: Mapped[str | None] = mapped_column(String(2000), doc="why, in their words")
    at: Mapped[int] = mapped_column(Instant, doc="the later of the database's clock and the job's previous record")

    __table_args__ = (
        CheckConstraint(one_of("state", State), name="state"),
        CheckConstraint(one_of("flag", Flag), name="flag"),
        Index("uq_status_record_job_id_seq", "job_id", "seq", unique=True),
        Index(
            "uq_status_record_final",
            "job_id",
            "rerun",
            unique=True,
            postgresql_where=_FINAL_RECORD,
            sqlite_where=_FINAL_RECORD,
        ),
        Index("ix_status_record_feed", "xid", "id"),
        {"sqlite_autoincrement": True},
    )


class Execution(Table):
    """One run of a job on one worker; (job, attempt) is its name."""

    __tablename__ = "execution"

    number: Mapped[int] = mapped_column(Serial, primary_key=True)
    job_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("job.id", ondelete="CASCADE"))
    attempt: Mapped[int] = mapped_column(Integer)
    worker_id: Mapped[UUID] = mapped_column(Uuid, doc="the launch that runs it")
    node: Mapped[str] = mapped_column(String(255), doc="host name")
    pid: Mapped[int] = mapped_column(Integer, doc="pool child that runs it")
    token_sha256: Mapped[bytes | None] = mapped_column(
        LargeBinary(32), index=True, doc="its own credential, if it has one"
    )
    claimed_at: Mapped[int] = mapped_column(Instant, default=now())
    ended_at: Mapped[int | None] = mapped_column(Instant)
    outcome: Mapped[str | None] = mapped_column(String(20), doc="the event that ended it; NULL while it lives")
    exit_code: Mapped[int | None] = mapped_column(Integer)
    signal: Mapped[int | None] = mapped_column(Integer, doc="signal that ended its process")
    error: Mapped[dict[str, Any] | None] = mapped_column(Json)

    __table_args__ = (
        Index("uq_execution_job_id_attempt", "job_id", "attempt", unique=True),
        {"sqlite_autoincrement": True},
    )


class LogChunk(Table):
    """A piece of what an execution wrote, in the order it wrote it; the oldest pieces go when the limit is passed."""

    __tablename__ = "log_chunk"

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    job_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("job.id", ondelete="CASCADE"))
    attempt: Mapped[int] = mapped_column(Integer)
    stream: Mapped[str] = mapped_column(String(8), doc="stdout, stderr, or log (job.log)")
    start: Mapped[int] = mapped_column(Serial, doc="offset of its first byte within the stream of the attempt")
    data: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[int] = mapped_column(Instant, default=now())

    __table_args__ = (
        Index("ix_log_chunk_read", "job_id", "attempt", "stream", "start", unique=True),
        {"sqlite_autoincrement": True},
    )
