"""Verb: accept jobs, change them before they run, and remove them when they are done.

What is answered with success here is in the database, with its first status record, and is never lost again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Connection, and_, bindparam, delete, insert, or_, select, update
from sqlalchemy.engine import Row
from sqlalchemy.sql.elements import ColumnElement
from uuid_utils.compat import uuid7

from shared.admission import Desk, Order, hold_revisions, refuse_misfit, tidy_labels
from shared.audit import audit_all
from shared.catalog import declaration_of
from shared.errors import EditConflict, FieldProblem, InvalidInput, KeyReused, NotFound, NotPossible, Unavailable
from shared.lifecycle import FINAL, Event, State
from shared.models import IdempotencyKey, Job, JobLabel, StatusRecord
from shared.principal import Principal
from shared.store import RECORDED, Store, Transaction, append, first_records, in_order
from shared.visibility import job_with_owner, steerable

__all__ = ["Order", "Submitted", "edit", "remove", "submit", "submit_batch"]

MAX_KEY = 255
MAX_PROBLEMS = 100
"""How many problems of a batch are named at the most."""
EDITABLE = frozenset(
    {"title", "labels", "args", "inputs", "priority", "queue", "not_before", "timeout", "max_attempts", "backoff",
     "pause_at", "expires_after", "extra"}
)  # fmt: skip
"""What may be changed before a job runs."""


@dataclass(frozen=True)
class Submitted:
    """The jobs accepted; `created` is False when they had been accepted under the same key before."""

    jobs: Sequence[Row[Any]]
    created: bool


def submit(store: Store, principal: Principal, order: Order, *, key: str | None = None, body: bytes = b"") -> Submitted:
    """Accepts one job; under an idempotency key, once for however many tries with the same `body`."""
    return _submit(store, principal, lambda desk: [desk.admit(order)], key, body)


def submit_batch(
    store: Store, principal: Principal, orders: Sequence[Order], *, key: str | None = None, body: bytes = b""
) -> Submitted:
    """Accepts all of `orders` or none of them; of those that do not fit, the first few are named with their places."""
    return _submit(store, principal, lambda desk: _admit_all(desk, orders), key, body)


def _admit_all(desk: Desk, orders: Sequence[Order]) -> list[dict[str, Any]]:
    admitted: list[dict[str, Any]] = []
    problems: list[FieldProblem] = []
    for index, order in enumerate(orders):
        try:
            admitted.append(desk.admit(order))
        except InvalidInput as error:
            problems += [replace(problem, field=f"jobs.{index}.{problem.field}") for problem in error.problems]
        if len(problems) >= MAX_PROBLEMS:
            break
    if problems:
        raise InvalidInput("Not all jobs fit their job types; none was accepted.", problems=problems)
    return admitted


def _submit(
    store: Store,
    principal: Principal,
    admit: Callable[[Desk], Sequence[dict[str, Any]]],
    key: str | None,
    body: bytes,
) -> Submitted:
    if key is not None and not 0 < len(key) <= MAX_KEY:
        raise InvalidInput(problems=[FieldProblem("Idempotency-Key", "is not valid", f"1 to {MAX_KEY} characters")])
    if key is not None and (before := _accepted_before(store, principal, key, body)):
        return before
    with store.reading() as connection:  # before it is our turn to write, for which others wait
        jobs = [{"id": uuid7(), "owner_id": principal.user_id, **job} for job in admit(Desk(connection, principal))]
    done = _accept(store, principal, jobs, key, body) or _accepted_before(store, principal, key or "", body)
    if done is None:
        raise Unavailable("Another request with this Idempotency-Key was undone meanwhile; send yours again.")
    return done


def _accept(
    store: Store, principal: Principal, jobs: Sequence[dict[str, Any]], key: str | None, body: bytes
) -> Submitted | None:
    """Stores the jobs; None if somebody else has just used the key."""
    with store.transaction() as tx:
        if key is not None and not _take_key(tx, principal, key, body):
            return None
        hold_revisions(tx.connection, {job["revision"] for job in jobs})
        numbers = _insert(tx, principal, jobs)
        if key is not None:
            _note_numbers(tx, principal, key, numbers)
        return Submitted(_by_numbers(tx.connection, _ranges(numbers)), created=True)


_ADD_JOB = insert(Job).returning(*RECORDED)
_ADD_JOBS = insert(Job)
_BY_IDS = select(*RECORDED).where(Job.id.in_(bindparam("ids", expanding=True))).order_by(Job.number)
_AT_ONCE = 1000


def _insert(tx: Transaction, principal: Principal, jobs: Sequence[dict[str, Any]]) -> list[int]:
    rows = tx.execute(_ADD_JOB, jobs[0]).all() if len(jobs) == 1 else _inserted(tx, jobs)
    first_records(tx, rows, Event.SUBMIT, principal.name)
    labels = [{"job_id": job["id"], "label": label} for job in jobs for label in job["labels"]]
    if labels:
        tx.execute(insert(JobLabel), labels)
    return [row.number for row in rows]


def _inserted(tx: Transaction, jobs: Sequence[dict[str, Any]]) -> list[Row[Any]]:
    """Many jobs, one by one: an INSERT of a thousand rows that returns them takes PostgreSQL five times as long."""
    tx.execute(_ADD_JOBS, list(jobs))
    ids = [job["id"] for job in jobs]
    chunks = (ids[begin : begin + _AT_ONCE] for begin in range(0, len(ids), _AT_ONCE))
    return [row for chunk in chunks for row in tx.execute(_BY_IDS, {"ids": chunk})]


def _take_key(tx: Transaction, principal: Principal, key: str, body: bytes) -> bool:
    """Whether the key is new. A second request with it waits here until the first is committed or gone."""
    row = {"owner_id": principal.user_id, "key": key, "body_sha256": hashlib.sha256(body).digest()}
    taken = tx.insert(IdempotencyKey).values(row).on_conflict_do_nothing().returning(IdempotencyKey.key)
    return tx.execute(taken).first() is not None


def _note_numbers(tx: Transaction, principal: Principal, key: str, numbers: Sequence[int]) -> None:
    which = and_(IdempotencyKey.owner_id == principal.user_id, IdempotencyKey.key == key)
    tx.execute(update(IdempotencyKey).where(which).values(numbers=_ranges(numbers)))


def _accepted_before(store: Store, principal: Principal, key: str, body: bytes) -> Submitted | None:
    """What was accepted under the key; None if nothing was."""
    which = and_(IdempotencyKey.owner_id == principal.user_id, IdempotencyKey.key == key)
    with store.reading() as connection:
        query = select(IdempotencyKey.body_sha256, IdempotencyKey.numbers).where(which)
        row = connection.execute(query).one_or_none()
        if row is None:
            return None
        if row.body_sha256 != hashlib.sha256(body).digest():
            raise KeyReused
        jobs = _by_numbers(connection, row.numbers)
    if not jobs:
        raise NotFound("What was accepted under this Idempotency-Key has been removed since.")
    return Submitted(jobs, created=False)


def _ranges(numbers: Sequence[int]) -> list[list[int]]:
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ranges


_BETWEEN = (
    job_with_owner()
    .where(Job.number >= bindparam("first", type_=BigInteger), Job.number <= bindparam("last", type_=BigInteger))
    .order_by(Job.number)
)


def _by_numbers(connection: Connection, ranges: Sequence[Sequence[int]]) -> Sequence[Row[Any]]:
    found: list[Row[Any]] = []
    for first, last in ranges:
        found += connection.execute(_BETWEEN, {"first": first, "last": last}).all()
    return found


def edit(
    store: Store, principal: Principal, job_id: UUID, changes: Mapping[str, Any], *, version: int | None = None
) -> Row[Any]:
    """Changes a job that no worker has yet: a draft, or one that is queued, pending or parked.

    `version` is the version of the job that the changes were made for; another one is an `EditConflict`.
    """
    with store.transaction() as tx:
        job = _steered(tx.connection, principal, job_id)
        if version is not None and job.version != version:
            raise EditConflict
        values = _edited(tx, principal, job, changes)
        if not append(tx, Job.id == job_id, _is_editable(job.version), event="edit", by=principal.name, sets=values):
            raise _not_editable(tx.connection, job)
        if "labels" in values:
            _relabel(tx, job_id, values["labels"])
        if job.state == State.QUEUED:
            tx.effects.wake.add(values.get("queue", job.queue))
        return _steered(tx.connection, principal, job_id)


def _edited(tx: Transaction, principal: Principal, job: Row[Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that change; the job is still run under the revision that it was submitted with."""
    problems = [
        FieldProblem(name, "cannot be changed", ", ".join(sorted(EDITABLE))) for name in changes.keys() - EDITABLE
    ]
    if changes.get("max_attempts", job.max_attempts) <= job.burnt:
        problems.append(FieldProblem("max_attempts", "is used up", f"more than the {job.burnt} attempts burnt"))
    if problems:
        raise InvalidInput(problems=problems)
    present = {name: getattr(job, name) for name in EDITABLE}
    order = Order(type=job.type, version=job.type_version, draft=job.state == State.DRAFT, **{**present, **changes})
    refuse_misfit(tx.connection, principal, order, declaration_of(tx.connection, job.revision))
    values = dict(changes)
    if "labels" in values:
        values["labels"] = tidy_labels(values["labels"])
    return values


def _is_editable(version: int) -> ColumnElement[bool]:
    waiting = Job.state.in_([State.DRAFT.value, State.QUEUED.value, State.PENDING.value])
    parked = and_(Job.state == State.PAUSED.value, Job.holder.is_(None), Job.held.is_(False))
    return and_(or_(waiting, parked), Job.flag.is_(None), Job.version == version)


def _not_editable(connection: Connection, job: Row[Any]) -> Exception:
    row = connection.execute(select(Job.state, Job.version).where(Job.id == job.id)).one()
    if row.version != job.version:
        return EditConflict()
    return NotPossible(f"A job that is {row.state} cannot be changed; it is draft, queued, pending or parked.")


def _relabel(tx: Transaction, job_id: UUID, labels: Sequence[str]) -> None:
    tx.execute(delete(JobLabel).where(JobLabel.job_id == job_id))
    if labels:
        tx.execute(insert(JobLabel), [{"job_id": job_id, "label": label} for label in labels])


def _steered(connection: Connection, principal: Principal, job_id: UUID) -> Row[Any]:
    row = connection.execute(job_with_owner().where(Job.id == job_id, steerable(principal))).one_or_none()
    if row is None:
        raise NotFound(f"There is no job {job_id}.")
    return row


def remove(store: Store, principal: Principal, job_id: UUID) -> None:
    """Removes a finished job with its whole history; a tombstone stays in the feed and in the audit trail."""
    with store.transaction() as tx:
        job = _steered(tx.connection, principal, job_id)
        if remove_rows(tx, [job_id], principal.name) == 0:
            raise NotPossible(f"A job that is {job.state} cannot be removed; cancel it first.")


def remove_rows(tx: Transaction, job_ids: Sequence[UUID], by: str) -> int:
    """Removes those of `job_ids` that are final or drafts, with all that belongs to them; returns how many."""
    final = [state.value for state in [*FINAL, State.DRAFT]]
    gone = tx.execute(
        delete(Job)
        .where(in_order(Job.id.in_(job_ids), Job.state.in_(final), Job.holder.is_(None)), Job.state.in_(final))
        .returning(*RECORDED)
    ).all()
    if gone:
        tx.execute(delete(StatusRecord).where(StatusRecord.job_id.in_([row.id for row in gone])))
        tx.execute(insert(StatusRecord), [_tombstone(row, by) for row in gone])
        audit_all(tx, by, "job.remove", {f"job/{row.id}": {"number": row.number, "state": row.state} for row in gone})
    return len(gone)


def _tombstone(row: Row[Any], by: str) -> dict[str, Any]:
    return {
        "job_id": row.id, "owner_id": row.owner_id, "seq": row.seq + 1, "event": "remove", "state": row.state,
        "attempt": row.attempt, "rerun": row.rerun, "by": by, "at": row.updated_at,
    }  # fmt: skip
