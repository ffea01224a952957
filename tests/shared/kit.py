"""What tests of the verbs start from: users, a job type, an offer, and jobs that stand where they are wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, insert, select, update

from shared import catalog, control, execute, persist
from shared.lifecycle import Event, PauseMode
from shared.models import Execution, Job, StatusRecord, User
from shared.models.types import lease_now
from shared.persist import Order
from shared.principal import USER_SCOPES, Principal, Scope
from shared.store import Store

DECLARATION: Mapping[str, Any] = {
    "kind": "python",
    "name": "count",
    "version": "1",
    "args": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}}},
    "stages": ["first", "second"],
    "max_attempts": 3,
    "backoff": {"first": 0, "factor": 1, "max": 0},
    "pause": ["park", "suspend"],
}


class Kit:
    """One store with a user `alice`, the job type `count`, and a worker that offers it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        revisions = catalog.declare(store, [DECLARATION], "worker-1")
        self.alice = self.user("alice")
        self.bob = self.user("bob")
        self.admin = self.user("root", frozenset(Scope))
        self.offer = execute.Offer(
            uuid4(), "worker-1", "node-1", 4711, "default", frozenset(revisions.values()), lease=30.0
        )

    def user(self, name: str, scopes: frozenset[Scope] = USER_SCOPES) -> Principal:
        principal = Principal(uuid4(), f"{name}-{uuid4().hex[:6]}", scopes)
        with self.store.transaction() as tx:
            row = {"id": principal.user_id, "name": principal.name, "scopes": [scope.value for scope in scopes]}
            tx.execute(insert(User).values(row))
        return principal

    def queued(self, **order: Any) -> Row[Any]:
        return persist.submit(self.store, self.alice, Order(type="count", **order)).jobs[0]

    def claim(self) -> execute.Claimed:
        claimed = execute.claim(self.store, self.offer)
        assert claimed is not None, "no job was due"
        return claimed

    def running(self, **order: Any) -> execute.Claimed:
        job = self.queued(**order)
        claimed = self.claim()
        assert claimed.lease.job_id == job.id
        return claimed

    def act(
        self, event: Event, job_id: UUID, reason: str | None = None, mode: PauseMode | None = None
    ) -> control.Answer:
        return control.act(self.store, self.alice, event, job_id, reason=reason, mode=mode)

    def finish(self, lease: execute.Lease, end: execute.End) -> execute.Ended:
        return execute.finish(self.store, lease, end, by="worker-1")

    def expire(self, lease: execute.Lease) -> None:
        """Lets the lease run out."""
        with self.store.transaction() as tx:
            tx.execute(update(Job).where(Job.id == lease.job_id).values(lease_until=lease_now() - 1))

    def job(self, job_id: UUID) -> Row[Any]:
        with self.store.reading() as connection:
            return connection.execute(select(*Job.__table__.columns).where(Job.id == job_id)).one()

    def records(self, job_id: UUID) -> Sequence[Row[Any]]:
        query = select(*StatusRecord.__table__.columns).where(StatusRecord.job_id == job_id).order_by(StatusRecord.seq)
        with self.store.reading() as connection:
            return connection.execute(query).all()

    def events(self, job_id: UUID) -> list[str]:
        return [record.event for record in self.records(job_id)]

    def executions(self, job_id: UUID) -> Sequence[Row[Any]]:
        query = select(*Execution.__table__.columns).where(Execution.job_id == job_id).order_by(Execution.attempt)
        with self.store.reading() as connection:
            return connection.execute(query).all()
