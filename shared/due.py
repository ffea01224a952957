"""Due: may be claimed now. One expression, used by the claim, the relay and the answer to "why is it waiting?"."""

from __future__ import annotations

from sqlalchemy import BigInteger, and_, case, cast, exists, func, literal_column, or_
from sqlalchemy.sql.elements import ColumnElement

from shared.lifecycle import State
from shared.models import Job, JobType, Queue
from shared.models.types import MICROSECONDS, now

_QUEUED: ColumnElement[str] = literal_column(f"'{State.QUEUED.value}'")
"""As text, not as a parameter: a prepared statement must know that the index of queued jobs will do, whatever comes."""

MAX_EXPONENT = 30
"""After this many failures the pause between attempts grows no more, so that no power overflows."""


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


def due_again() -> ColumnElement[int]:
    """When the next attempt is due: `first` seconds after the first failure, `factor` times longer after each more."""
    exponent = case((Job.burnt > MAX_EXPONENT, MAX_EXPONENT), else_=Job.burnt)
    seconds = _number("first", 1.0) * func.power(_number("factor", 2.0), exponent)
    longest = _number("max", 300.0)
    return now() + cast(case((seconds > longest, longest), else_=seconds) * MICROSECONDS, BigInteger)


def _number(key: str, default: float) -> ColumnElement[float]:
    value = Job.backoff[key].as_float()
    return case((value.is_(None), default), else_=value)
