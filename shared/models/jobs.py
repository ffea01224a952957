"""Jobs: the request, where it stands, who holds it, and what was asked of its holder."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Float, ForeignKey, Index, Integer, LargeBinary, String, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.lifecycle import Flag, PauseMode, State
from shared.models.declarative import Table, one_of
from shared.models.types import Instant, Json, Serial, now


class Job(Table):
    """One durable request and its present truth. Its state is written by `store.advance` alone."""

    __tablename__ = "job"

    number: Mapped[int] = mapped_column(Serial, primary_key=True, doc="order of acceptance; the age in claim order")
    id: Mapped[UUID] = mapped_column(Uuid, unique=True, doc="public name, a UUIDv7")
    owner_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("user_account.id"), doc="the user whose job it is")
    type: Mapped[str] = mapped_column(String(100), doc="name of its job type")
    type_version: Mapped[str] = mapped_column(String(50), doc="version of its job type")
    revision: Mapped[str] = mapped_column(String(64), doc="hash of the declaration it was submitted under")
    kind: Mapped[str] = mapped_column(String(20), doc="how it is run: python or command")

    title: Mapped[str] = mapped_column(String(500), default="", doc="for people")
    labels: Mapped[list[str]] = mapped_column(Json, default=list, doc="sorted words of its owner, for finding it")
    args: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, doc="its input, valid by the revision's schema")
    inputs: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, doc="input name -> file id or list of file ids")
    extra: Mapped[dict[str, Any] | None] = mapped_column(Json, doc="free-form data of the client, kept untouched")
    queue: Mapped[str] = mapped_column(String(100), doc="which workers may take it")
    priority: Mapped[int] = mapped_column(Integer, default=100, doc="lower is more urgent")
    not_before: Mapped[int | None] = mapped_column(
        Instant, doc="not claimed earlier: a wish, or the back-off of a retry"
    )
    timeout: Mapped[float | None] = mapped_column(Float, doc="seconds an execution may run, suspension not counted")
    max_attempts: Mapped[int] = mapped_column(Integer, default=1, doc="how many attempts may be burnt")
    backoff: Mapped[dict[str, Any]] = mapped_column(
        Json, default=dict, doc="first, factor, max: seconds between attempts"
    )
    pause_at: Mapped[str | None] = mapped_column(String(200), doc="stage at whose start the job pauses itself, once")
    expires_after: Mapped[float | None] = mapped_column(
        Float, doc="seconds it is kept after its end; NULL: the setting"
    )

    state: Mapped[str] = mapped_column(String(12), doc="see shared.lifecycle.State")
    state_at: Mapped[int] = mapped_column(Instant, default=now(), doc="when it entered that state")
    held: Mapped[bool] = mapped_column(default=False, doc="paused with a good outcome that resume makes final")
    flag: Mapped[str | None] = mapped_column(String(8), doc="asked and not yet acknowledged: pause or cancel")
    flag_mode: Mapped[str | None] = mapped_column(String(8), doc="how to pause: park or suspend")
    flag_at: Mapped[int | None] = mapped_column(Instant, doc="when the last pause or cancel was asked")
    flag_by: Mapped[str | None] = mapped_column(String(200), doc="who asked for the last pause or cancel")
    flag_reason: Mapped[str | None] = mapped_column(String(2000), doc="why, in their words")

    attempt: Mapped[int] = mapped_column(Integer, default=0, doc="the fence: +1 at every claim, never reset")
    burnt: Mapped[int] = mapped_column(Integer, default=0, doc="attempts failed or lost since the last rerun")
    rerun: Mapped[int] = mapped_column(Integer, default=0, doc="how often it was run again from a final state")
    holder: Mapped[UUID | None] = mapped_column(Uuid, doc="the worker launch that holds the lease")
    lease_until: Mapped[int | None] = mapped_column(Instant, doc="when the lease ends, by lease_now()")
    lease_boot: Mapped[str | None] = mapped_column(String(36), doc="boot of the machine the lease counts in")
    wakeups: Mapped[int] = mapped_column(Integer, default=0, doc="wake-ups published in its name; numbers their ids")

    stage: Mapped[str | None] = mapped_column(String(200), doc="step named by the job's code")
    progress: Mapped[float] = mapped_column(Float, default=0.0, doc="fraction done, 0..1")
    done: Mapped[float | None] = mapped_column(Float, doc="how many of total are done, in the job's own unit")
    total: Mapped[float | None] = mapped_column(Float, doc="how many there are, in the job's own unit")
    message: Mapped[str] = mapped_column(String(2000), default="", doc="last word of the job's code for people")
    error: Mapped[dict[str, Any] | None] = mapped_column(Json, doc="name, title, category, message, details")
    result: Mapped[Any | None] = mapped_column(Json, doc="what the job returned")

    created_at: Mapped[int] = mapped_column(Instant, default=now(), doc="when it was accepted")
    updated_at: Mapped[int] = mapped_column(
        Instant, default=now(), doc="time of its last status record; never goes back"
    )
    started_at: Mapped[int | None] = mapped_column(Instant, doc="first claim since the last rerun")
    finished_at: Mapped[int | None] = mapped_column(Instant, doc="when it became final")
    expires_at: Mapped[int | None] = mapped_column(Instant, doc="when the pruner may remove it; set when final")
    seq: Mapped[int] = mapped_column(Integer, default=1, doc="number of its last status record; gapless")
    version: Mapped[int] = mapped_column(Integer, default=1, doc="+1 with every visible change; the ETag")

    __table_args__ = (
        CheckConstraint(one_of("state", State), name="state"),
        CheckConstraint(one_of("flag", Flag), name="flag"),
        CheckConstraint(one_of("flag_mode", PauseMode), name="flag_mode"),
        CheckConstraint(
            "flag IS NULL OR state = 'running' OR (state = 'paused' AND holder IS NOT NULL AND flag = 'cancel')",
            name="flag_needs_holder",
        ),
        CheckConstraint("holder IS NULL OR state IN ('running', 'paused')", name="holder_state"),
        CheckConstraint("state <> 'running' OR holder IS NOT NULL", name="running_is_held"),
        CheckConstraint("holder IS NULL OR lease_until IS NOT NULL", name="holder_has_lease"),
        CheckConstraint("NOT held OR state = 'paused'", name="held_is_paused"),
        CheckConstraint("burnt >= 0 AND burnt <= max_attempts AND burnt <= attempt", name="burnt"),
        CheckConstraint("progress >= 0 AND progress <= 1", name="progress"),
        CheckConstraint("max_attempts >= 1", name="max_attempts"),
        Index(
            "ix_job_claim",
            "queue",
            "priority",
            "number",
            postgresql_where=text("state = 'queued'"),
            sqlite_where=text("state = 'queued'"),
        ),
        Index(
            "ix_job_holder",
            "holder",
            postgresql_where=text("holder IS NOT NULL"),
            sqlite_where=text("holder IS NOT NULL"),
        ),
        Index(
            "ix_job_not_before",
            "not_before",
            postgresql_where=text("not_before IS NOT NULL"),
            sqlite_where=text("not_before IS NOT NULL"),
        ),
        Index("ix_job_owner_number", "owner_id", "number"),
        Index("ix_job_state_number", "state", "number"),
        Index("ix_job_type_number", "type", "number"),
        Index(
            "ix_job_expires",
            "expires_at",
            postgresql_where=text("expires_at IS NOT NULL"),
            sqlite_where=text("expires_at IS NOT NULL"),
        ),
        {"sqlite_autoincrement": True},
    )


class JobLabel(Table):
    """One label of one job, so that jobs are found by label through an index. Written with the job."""

    __tablename__ = "job_label"

    label: Mapped[str] = mapped_column(String(255), primary_key=True, doc="the word")
    job_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("job.id", ondelete="CASCADE"), primary_key=True, index=True)


class Checkpoint(Table):
    """What the job's code last saved to go on from; at most one for each job."""

    __tablename__ = "checkpoint"

    job_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer, doc="the execution that saved it")
    at: Mapped[int] = mapped_column(Instant, default=now(), doc="when")
    state: Mapped[Any | None] = mapped_column(Json, doc="the job code's own JSON")
    files: Mapped[list[dict[str, Any]]] = mapped_column(
        Json, default=list, doc="name, path in the file store, size, sha256"
    )


class IdempotencyKey(Table):
    """That a submission was made under a key, kept for days whatever becomes of its jobs."""

    __tablename__ = "idempotency_key"

    owner_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    body_sha256: Mapped[bytes] = mapped_column(LargeBinary(32), doc="so that another body under the key is refused")
    numbers: Mapped[list[list[int]]] = mapped_column(
        Json, default=list, doc="numbers of the jobs accepted under it, as [first, last] ranges in order"
    )
    created_at: Mapped[int] = mapped_column(Instant, default=now(), index=True)
