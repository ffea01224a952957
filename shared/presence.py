"""That workers are there: each launch says so with its heartbeat, and says good-bye when it ends in good order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, and_, select, update
from sqlalchemy.engine import Row
from sqlalchemy.sql.elements import ColumnElement

from shared.models import Worker
from shared.models.types import MICROSECONDS, now
from shared.store import Store, Transaction

ABSENT_AFTER = 3.0
"""How many presence intervals without a word make a worker absent."""


@dataclass(frozen=True)
class WorkerCard:
    """What a worker says of itself."""

    id: UUID
    name: str
    node: str
    pid: int
    slots: int
    queues: Sequence[str]
    offers: Sequence[str]
    versions: Mapping[str, Any] = field(default_factory=dict)
    draining: bool = False


def present(store: Store, card: WorkerCard) -> None:
    """Writes or refreshes the worker's row."""
    with store.transaction() as tx:
        _upsert(tx, card)


def _upsert(tx: Transaction, card: WorkerCard) -> None:
    values = {**asdict(card), "queues": list(card.queues), "offers": list(card.offers), "ended_at": None}
    changes = {name: value for name, value in values.items() if name != "id"}
    tx.execute(
        tx.insert(Worker)
        .values(**values, seen_at=now())
        .on_conflict_do_update(index_elements=[Worker.id], set_={**changes, "seen_at": now()})
    )


def depart(store: Store, worker_id: UUID) -> None:
    """Notes that the worker ended in good order."""
    with store.transaction() as tx:
        tx.execute(update(Worker).where(Worker.id == worker_id).values(ended_at=now()))


def is_present(presence: float) -> ColumnElement[bool]:
    """Whether a worker was heard of lately and did not say good-bye; `presence` is the interval of its word, in s."""
    return and_(Worker.ended_at.is_(None), Worker.seen_at >= now() - round(presence * ABSENT_AFTER * MICROSECONDS))


def workers_present(connection: Connection, presence: float) -> Sequence[Row[Any]]:
    """The workers that are present."""
    return connection.execute(select(*Worker.__table__.columns).where(is_present(presence))).all()
