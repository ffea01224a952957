"""Verb: steer jobs. Submit a draft, pause, resume, cancel, run again; for one job or for all that match a filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, func, literal, null, select
from sqlalchemy.engine import Row
from sqlalchemy.sql.elements import ColumnElement

from shared.admission import fitness
from shared.audit import audit, checked_reason
from shared.catalog import declaration_of
from shared.errors import FieldProblem, InvalidInput, NotFound, NotPossible
from shared.lifecycle import Event, Flag, PauseMode, State, already, before
from shared.models import Checkpoint, Job, Revision, User
from shared.models.types import now
from shared.principal import Principal
from shared.store import Store, Transaction, advance, in_order
from shared.visibility import job_with_owner, steerable

CHUNK = 1000
"""How many jobs a bulk action moves in one transaction."""

STEERING = (Event.SUBMIT, Event.PAUSE, Event.RESUME, Event.CANCEL, Event.RERUN)
"""What people and programs may ask of a job."""


@dataclass(frozen=True)
class Answer:
    """The job after an action; `in_effect` is False while a worker has yet to acknowledge it."""

    job: Row[Any]
    in_effect: bool


@dataclass(frozen=True)
class Counts:
    """What a bulk action did: jobs `matched`, `changed` at once, `flagged` for their workers, and `refused`.

    Refused are those whose state does not allow the action, or for which it holds already.
    """

    matched: int
    changed: int = 0
    flagged: int = 0
    refused: int = 0


def act(
    store: Store,
    principal: Principal,
    event: Event,
    job_id: UUID,
    *,
    reason: str | None = None,
    mode: PauseMode | None = None,
) -> Answer:
    """Lets `event` happen to one job of the principal's; asking for what holds already changes nothing.

    Raises `NotFound` for a job the principal may not steer, and `NotPossible` where the job's state forbids it.
    """
    checked_reason(reason)
    with store.transaction() as tx:
        _check(tx.connection, principal, event, job_id, mode)
        rows = _advance(tx, principal, event, [Job.id == job_id, steerable(principal)], reason, mode)
        job = _job(tx.connection, principal, job_id)
        if not rows and not already(event, State(job.state), _flag(job)):
            raise NotPossible(_refusal(event, job))
        if rows:
            audit(tx, principal.name, f"job.{event.value}", f"job/{job_id}", reason, None)
        return Answer(job, in_effect=job.flag is None)


def act_on_all(
    store: Store,
    principal: Principal,
    event: Event,
    where: ColumnElement[bool],
    *,
    reason: str | None = None,
    dry_run: bool = False,
) -> Counts:
    """Lets `event` happen to every job of the principal's that matches `where`, in chunks, oldest first."""
    checked_reason(reason)
    with store.reading() as connection:
        query = select(func.count()).select_from(Job).join(User, User.id == Job.owner_id)
        counts = Counts(matched=connection.execute(query.where(where, steerable(principal))).scalar_one())
    last: int | None = 0
    while last is not None and not dry_run:
        with store.transaction() as tx:
            ids, last = _next_chunk(tx.connection, principal, where, last)
            rows = _advance(tx, principal, event, [in_order(Job.id.in_(ids), steerable(principal))], reason, None)
            flagged = sum(row.flag is not None for row in rows)
            counts = replace(
                counts,
                changed=counts.changed + len(rows) - flagged,
                flagged=counts.flagged + flagged,
                refused=counts.refused + len(ids) - len(rows),
            )
            if rows:
                detail = {"jobs": len(rows)}
                audit(tx, principal.name, f"job.{event.value}", "jobs", reason, detail)
    return counts


def _next_chunk(
    connection: Connection, principal: Principal, where: ColumnElement[bool], after: int
) -> tuple[Sequence[UUID], int | None]:
    query = select(Job.id, Job.number).join(User, User.id == Job.owner_id).where(where, steerable(principal))
    rows = connection.execute(query.where(Job.number > after).order_by(Job.number).limit(CHUNK)).all()
    return [row.id for row in rows], rows[-1].number if len(rows) == CHUNK else None


def _advance(
    tx: Transaction,
    principal: Principal,
    event: Event,
    where: Sequence[ColumnElement[bool]],
    reason: str | None,
    mode: PauseMode | None,
) -> Sequence[Row[Any]]:
    sets = _sets(event, principal, reason, mode)
    rows = advance(tx, event, *where, by=principal.name, reason=reason, sets=sets)
    if event is Event.RERUN and rows:
        tx.execute(delete(Checkpoint).where(Checkpoint.job_id.in_([row.id for row in rows])))
    return rows


def _sets(event: Event, principal: Principal, reason: str | None, mode: PauseMode | None) -> Mapping[str, Any]:
    if event in {Event.PAUSE, Event.CANCEL}:
        asked = {"flag_at": now(), "flag_by": principal.name, "flag_reason": reason}
        return (
            {**asked, "flag_mode": literal(mode.value) if mode else _default_mode()} if event is Event.PAUSE else asked
        )
    if event is Event.RERUN:
        return {
            **dict.fromkeys(
                ("result", "error", "stage", "done", "total", "started_at", "finished_at", "expires_at", "not_before"),
                null(),
            ),
            "burnt": 0,
            "rerun": Job.rerun + 1,
            "progress": 0.0,
            "message": "",
        }
    return {}


def _default_mode() -> Any:
    """The first pause mode that the job's declaration names."""
    return (
        select(Revision.declaration["pause"][0].as_string())
        .where(Revision.hash == Job.revision)
        .correlate(Job)
        .scalar_subquery()
    )


def _check(connection: Connection, principal: Principal, event: Event, job_id: UUID, mode: PauseMode | None) -> None:
    """Refuses a pause mode that the job type does not know, and a draft that is not fit to be run."""
    if event is not Event.SUBMIT and mode is None:
        return
    job = _job(connection, principal, job_id)
    declaration = declaration_of(connection, job.revision)
    modes = declaration.get("pause") or [PauseMode.PARK.value]
    if mode is not None and mode.value not in modes:
        problem = FieldProblem("mode", "is not a pause mode of this job type", " or ".join(modes))
        raise InvalidInput(problems=[problem])
    if event is Event.SUBMIT and job.state == State.DRAFT:
        problems = fitness(connection, _in_the_name_of(principal, job), declaration, job.args, job.inputs)
        if problems:
            raise InvalidInput("The draft does not fit its job type.", problems=problems)


def _in_the_name_of(principal: Principal, job: Row[Any]) -> Principal:
    """An admin who submits somebody's draft lends them no sight of files that are not theirs."""
    return principal if principal.user_id == job.owner_id else Principal(job.owner_id, job.owner)


def _job(connection: Connection, principal: Principal, job_id: UUID) -> Row[Any]:
    job = connection.execute(job_with_owner().where(Job.id == job_id, steerable(principal))).one_or_none()
    if job is None:
        raise NotFound(f"There is no job {job_id}.")
    return job


def _flag(job: Row[Any]) -> Flag | None:
    return Flag(job.flag) if job.flag else None


def _refusal(event: Event, job: Row[Any]) -> str:
    possible = ", ".join(sorted(before(event)))
    asked = f" and a {job.flag} of it is recorded" if job.flag else ""
    return f"This job is {job.state}{asked}; {event.value} is possible from: {possible}."
