"""That workers are there: each launch says so with its heartbeat, and says good-bye when it ends in good order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import Row

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
    dialect_insert = sqlite_insert if tx.connection.dialect.name == "sqlite" else postgresql_insert
    changes = {name: value for name, value in values.items() if name != "id"}
    tx.execute(
        dialect_insert(Worker)
        .values(**values, seen_at=now())
        .on_conflict_do_update(index_elements=[Worker.id], set_={**changes, "seen_at": now()})
    )


def depart(store: Store, worker_id: UUID) -> None:
    """Notes that the worker ended in good order."""
    with store.transaction() as tx:
        tx.execute(update(Worker).where(Worker.id == worker_id).values(ended_at=now()))


def workers_present(connection: Connection, presence: float) -> Sequence[Row[Any]]:
    """The workers that were heard of lately and did not leave; `presence` is the interval of their word in seconds."""
    since = now() - round(presence * ABSENT_AFTER * MICROSECONDS)
    return connection.execute(
        select(*Worker.__table__.columns).where(Worker.ended_at.is_(None), Worker.seen_at >= since)
    ).all()
