"""Verb: see where jobs stand. Nothing here changes anything.

Whose jobs a principal sees is part of every query; a job of somebody else is not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Connection, func, literal, select
from sqlalchemy.engine import Row

from shared.errors import NotFound
from shared.feed import cursor_at, feed, feed_end, feed_stall, has_ended_before, position, position_in
from shared.fleet import PRESENCE, QueueView, queues, worker, workers
from shared.job_log import read_log
from shared.lifecycle import State
from shared.models import Execution, Job, StatusRecord
from shared.principal import Principal
from shared.query import Filters, Page, check_limit, conditions, keyset_page, order_keys
from shared.store import Store
from shared.visibility import job_with_owner, visible
from shared.why import Why, explain

__all__ = [
    "Page", "QueueView", "Why", "counts", "cursor_at", "executions", "feed", "feed_end", "feed_stall", "get",
    "has_ended_before", "list_jobs", "position", "position_in", "queues", "read_log", "records", "why",
    "worker", "workers",
]  # fmt: skip


def get(store: Store, principal: Principal, job_id: UUID) -> Row[Any]:
    """All columns of a job and its `owner`; NotFound for one that is not there for the principal."""
    with store.reading() as connection:
        return _job(connection, principal, job_id)


def _job(connection: Connection, principal: Principal, job_id: UUID) -> Row[Any]:
    row = connection.execute(job_with_owner().where(Job.id == job_id, visible(principal))).one_or_none()
    if row is None:
        raise NotFound(f"There is no job {job_id}.")
    return row


def list_jobs(
    store: Store,
    principal: Principal,
    filters: Filters = Filters(),  # noqa: B008 - frozen
    *,
    order: str = "-created",
    limit: int = 50,
    cursor: str | None = None,
    with_total: bool = False,
) -> Page:
    """A page of the principal's jobs that pass `filters`.

    Jobs that come in meanwhile neither double nor hide any; in an order by what changes (`updated`, `priority`,
    `state`), a job that moves is where it is when its page is read.
    """
    keys, descending = order_keys(order)
    query = job_with_owner().where(visible(principal), *conditions(filters))
    with store.reading() as connection:
        return keyset_page(
            connection, query, keys, limit, cursor, newest_first=descending, name=order, with_total=with_total,
            narrow=Job.number,
        )  # fmt: skip


def counts(store: Store, principal: Principal, filters: Filters = Filters()) -> Mapping[str, int]:  # noqa: B008 - frozen
    """How many of the principal's jobs are in each state; states without jobs are 0."""
    query = select(Job.state, func.count().label("number")).group_by(Job.state)
    query = query.where(visible(principal), *conditions(filters))
    with store.reading() as connection:
        found = {row.state: row.number for row in connection.execute(query)}
    return {state.value: found.get(state.value, 0) for state in State}


def records(store: Store, principal: Principal, job_id: UUID, after: int = 0, limit: int = 50) -> Sequence[Row[Any]]:
    """The job's status records with a higher `seq` than `after`, oldest first."""
    check_limit(limit)
    query = select(*StatusRecord.__table__.columns).where(
        StatusRecord.job_id == job_id, StatusRecord.seq > literal(after, BigInteger())
    )
    with store.reading() as connection:
        _job(connection, principal, job_id)
        return connection.execute(query.order_by(StatusRecord.seq).limit(limit)).all()


def executions(store: Store, principal: Principal, job_id: UUID) -> Sequence[Row[Any]]:
    """The job's executions, oldest first; an execution's token sees its own only."""
    query = select(*Execution.__table__.columns).where(Execution.job_id == job_id)
    if principal.execution is not None:
        query = query.where(Execution.attempt == principal.execution[1])
    with store.reading() as connection:
        _job(connection, principal, job_id)
        return connection.execute(query.order_by(Execution.attempt)).all()


def why(store: Store, principal: Principal, job_id: UUID, *, presence: float = PRESENCE) -> Why:
    """Why the job does not run now, or that it does; `presence` is how often workers say that they are there."""
    with store.reading() as connection:
        return explain(connection, _job(connection, principal, job_id), presence)
