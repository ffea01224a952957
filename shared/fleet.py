"""Workers and queues as people want to see them: who is there, who is busy, and what waits for how long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, select

from shared.due import time_has_come
from shared.errors import NotFound
from shared.lifecycle import State
from shared.models import Job, JobType, Queue, Worker
from shared.paging import Page, keyset_page
from shared.presence import is_present, workers_present
from shared.store import Store

PRESENCE = 15.0
"""Seconds between two words of an idle worker, unless a setting says otherwise."""


def workers(
    store: Store,
    *,
    presence: float = PRESENCE,
    absent: bool = False,
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """Workers with `present` and how many jobs they hold (`holds`), newest first; with `absent` also those gone."""
    query = _workers(presence)
    with store.reading() as connection:
        shown = query if absent else query.where(is_present(presence))
        return keyset_page(connection, shown, [Worker.started_at, Worker.id], limit, cursor, newest_first=True)


def worker(store: Store, worker_id: UUID, *, presence: float = PRESENCE) -> Row[Any]:
    """One worker, as in `workers`."""
    with store.reading() as connection:
        row = connection.execute(_workers(presence).where(Worker.id == worker_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no worker {worker_id}.")
    return row


def _workers(presence: float) -> Any:
    holds = select(func.count()).where(Job.holder == Worker.id).correlate(Worker).scalar_subquery()
    return select(*Worker.__table__.columns, is_present(presence).label("present"), holds.label("holds"))


@dataclass(frozen=True)
class QueueView:
    """A queue: what waits in it, what runs, and who serves it."""

    name: str
    paused: bool
    pause_reason: str | None
    queued: int
    """jobs that wait in it, for whatever reason"""
    due: int
    """jobs that could start now"""
    running: int
    oldest_at: int | None
    """since when the oldest job that could start now has been waiting; microseconds since 1970 UTC"""
    workers: int
    """workers that serve it and take new jobs"""
    slots: int
    """how many jobs those run at once"""


def queues(store: Store, *, presence: float = PRESENCE) -> list[QueueView]:
    """All queues that are set, served, or have unfinished jobs, by name."""
    with store.reading() as connection:
        settings = {row.name: row for row in connection.execute(select(*Queue.__table__.columns))}
        counts, due = _counts(connection), _due(connection)
        serving = [row for row in workers_present(connection, presence) if not row.draining]
    names = {*settings, *(name for name, _ in counts), *(name for row in serving for name in row.queues)}
    return [_view(name, settings.get(name), counts, due.get(name), serving) for name in sorted(names)]


def _counts(connection: Connection) -> Counter[tuple[str, str]]:
    unfinished = [State.QUEUED.value, State.RUNNING.value]
    query = select(Job.queue, Job.state, func.count()).where(Job.state.in_(unfinished)).group_by(Job.queue, Job.state)
    return Counter({(name, state): number for name, state, number in connection.execute(query)})


def _due(connection: Connection) -> Mapping[str, tuple[int, int]]:
    """By queue, how many jobs could start now, and since when the oldest has been waiting.

    Grouped before it is asked what is paused, so that this is asked once for each queue and type, not for each job.
    """
    query = (
        select(
            Job.queue,
            Job.type,
            Job.type_version,
            func.count().label("number"),
            func.min(Job.state_at).label("oldest"),
        )
        .where(Job.state == State.QUEUED.value, time_has_come())
        .group_by(Job.queue, Job.type, Job.type_version)
    )
    paused_queues = set(connection.scalars(select(Queue.name).where(Queue.paused.is_(True))))
    paused_types = connection.execute(select(JobType.name, JobType.version).where(JobType.paused.is_(True)))
    paused = {(row.name, row.version) for row in paused_types}
    due: dict[str, tuple[int, int]] = {}
    for row in connection.execute(query):
        if row.queue not in paused_queues and (row.type, row.type_version) not in paused:
            number, oldest = due.get(row.queue, (0, row.oldest))
            due[row.queue] = number + row.number, min(oldest, row.oldest)
    return due


def _view(
    name: str,
    setting: Row[Any] | None,
    counts: Counter[tuple[str, str]],
    due: tuple[int, int] | None,
    serving: Sequence[Row[Any]],
) -> QueueView:
    mine = [row for row in serving if name in row.queues]
    return QueueView(
        name=name,
        paused=setting is not None and setting.paused,
        pause_reason=setting.pause_reason if setting else None,
        queued=counts[name, State.QUEUED.value],
        due=due[0] if due else 0,
        running=counts[name, State.RUNNING.value],
        oldest_at=due[1] if due else None,
        workers=len(mine),
        slots=sum(row.slots for row in mine),
    )
