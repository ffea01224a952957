"""Due: may be claimed now. One expression, used by the claim, the relay and the answer to "why is it waiting?"."""

from __future__ import annotations

from sqlalchemy import and_, exists, literal_column, or_
from sqlalchemy.sql.elements import ColumnElement

from shared.lifecycle import State
from shared.models import Job, JobType, Queue
from shared.models.types import now

_QUEUED: ColumnElement[str] = literal_column(f"'{State.QUEUED.value}'")
"""As text, not as a parameter: a prepared statement must know that the index of queued jobs will do, whatever comes."""


def time_has_come() -> ColumnElement[bool]:
    """Whether the job's wish or back-off lets it run now."""
    return or_(Job.not_before.is_(None), Job.not_before <= now())


def queue_is_open() -> ColumnElement[bool]:
    """Whether the job's queue is not paused."""
    return ~exists().where(Queue.name == Job.queue, Queue.paused.is_(True)).correlate(Job)


def type_is_open() -> ColumnElement[bool]:
    """Whether the job's type is not paused."""
    return ~exists().where(
        JobType.name == Job.type, JobType.version == Job.type_version, JobType.paused.is_(True)
    ).correlate(Job)


def is_due() -> ColumnElement[bool]:
    """Whether the job may be claimed now by a worker of its queue that offers its revision."""
    return and_(Job.state == _QUEUED, time_has_come(), queue_is_open(), type_is_open())
