"""Resource: job types and their revisions, and the pausing of types and queues.

Workers declare the python types they offer when they start; administrators define command types over the API. Each
declaration is a revision, and a job is run under the revision that it was submitted with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, and_, delete, exists, false, select, update
from sqlalchemy.engine import Row
from sqlalchemy.sql.elements import ColumnElement

from shared import json_schema
from shared.access import require
from shared.audit import audit, checked_reason
from shared.declaration import completed, interface_hash, revision_hash
from shared.errors import AlreadyExists, FieldProblem, InvalidInput, NotFound, NotPossible
from shared.json_values import is_fit_text
from shared.lifecycle import State
from shared.models import Job, JobType, Queue, Revision
from shared.models.types import greatest, now
from shared.principal import Principal, Scope
from shared.query import Page, keyset_page
from shared.store import Store, Transaction

__all__ = [
    "current", "declaration_of", "declare", "define", "find", "interfaces", "list_types", "offered", "pause_queue",
    "pause_type", "remove", "resume_queue", "resume_type", "retire", "revise", "revision", "revisions", "validate_args",
    "with_interfaces",
]  # fmt: skip

QUEUE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


# ------------------------------------------------------------------------------------------------- workers


def declare(store: Store, declarations: Sequence[Mapping[str, Any]], by: str) -> dict[tuple[str, str], str]:
    """Put the job types of a worker that starts on record and return the revision of each by (name, version).

    What is declared last is what new jobs are submitted under. Raises AlreadyExists when a name and version is taken
    by a type of another kind, and InvalidInput for a declaration that is not valid.
    """
    complete = sorted((completed(each) for each in declarations), key=_key)
    with store.transaction() as tx:
        return {_key(each): _put(tx, each, by) for each in complete}


def offered(store: Store, declarations: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """All revisions that the code behind `declarations` can run: those of the same type with the same interface."""
    return with_interfaces(store, interfaces(declarations))


def interfaces(declarations: Sequence[Mapping[str, Any]]) -> list[str]:
    """The hash of what each declaration promises to job code; dear enough to be kept by who asks often."""
    return [interface_hash(completed(each)) for each in declarations]


def with_interfaces(store: Store, wanted: Sequence[str]) -> frozenset[str]:
    """All revisions that have one of these interfaces at present."""
    with store.reading() as connection:
        return frozenset(connection.scalars(select(Revision.hash).where(Revision.interface.in_(wanted))))


def _key(declaration: Mapping[str, Any]) -> tuple[str, str]:
    return declaration["name"], declaration["version"]


def _put(tx: Transaction, declaration: Mapping[str, Any], by: str) -> str:
    """Make `declaration` the present one of its type, which need not exist yet."""
    digest = revision_hash(declaration)
    row = {"name": declaration["name"], "version": declaration["version"], "kind": declaration["kind"]}
    upsert = tx.insert(JobType).values(**row, revision=digest)
    changed = upsert.on_conflict_do_update(
        index_elements=["name", "version"],
        set_={"revision": digest, "updated_at": greatest(now(), JobType.updated_at)},
        where=(JobType.kind == declaration["kind"]) & (JobType.revision != digest),
    )
    tx.execute(changed)
    known = tx.execute(select(JobType.kind).where(_is(*_key(declaration)))).one()
    if known.kind != declaration["kind"]:
        raise AlreadyExists(
            f"{declaration['name']} {declaration['version']} is a {known.kind} job type; use another version."
        )
    _add_revision(tx, declaration, digest, by)
    return digest


def _add_revision(tx: Transaction, declaration: Mapping[str, Any], digest: str, by: str) -> None:
    row = {
        "hash": digest, "name": declaration["name"], "version": declaration["version"],
        "interface": interface_hash(declaration), "declaration": declaration, "created_by": by,
    }  # fmt: skip
    tx.execute(tx.insert(Revision).values(**row).on_conflict_do_nothing())


# -------------------------------------------------------------------------------------------------- submit


def current(connection: Connection, name: str, version: str | None = None) -> tuple[Row[Any], dict[str, Any]]:
    """The job type that a new job of `name` gets, and its declaration; without a version, the highest active one.

    Raises InvalidInput on field `type` or `version` when there is none.
    """
    which = _is(name, version) if version is not None else _called(name)
    rows = connection.execute(_types().where(which)).all()
    active = [row for row in rows if row.is_active]
    if not active:
        raise _unknown(connection, name, version, retired=bool(rows))
    row = max(active, key=lambda each: _natural(each.version))
    return row, row.declaration


_declarations: dict[str, Mapping[str, Any]] = {}
_MOST_DECLARATIONS = 1000


def declaration_of(connection: Connection, revision: str) -> Mapping[str, Any]:
    """The declaration that a revision names: always the same one, so that it is read once."""
    found = _declarations.get(revision)
    if found is None:
        found = connection.execute(select(Revision.declaration).where(Revision.hash == revision)).scalar_one()
        if len(_declarations) >= _MOST_DECLARATIONS:
            _declarations.clear()
        _declarations[revision] = found
    return found


def validate_args(declaration: Mapping[str, Any], args: Any) -> list[FieldProblem]:
    """What in `args` the declaration does not allow; empty when a job may be submitted with them."""
    if not isinstance(args, Mapping):
        return [FieldProblem("args", "is of the wrong type", "object")]
    return json_schema.problems(declaration.get("args") or {}, dict(args), "args")


@cache
def _types() -> Select[Any]:
    return select(*JobType.__table__.columns, Revision.declaration).join(Revision, Revision.hash == JobType.revision)


def _is(name: str, version: str) -> ColumnElement[bool]:
    return and_(_called(name), JobType.version == version if is_fit_text(version) else false())


def _called(name: str) -> ColumnElement[bool]:
    return JobType.name == name if is_fit_text(name) else false()


def _natural(version: str) -> list[tuple[int, int, str]]:
    """Order in which 1.10 comes after 1.9, and a pre-release letter before a number."""
    parts = re.findall(r"\d+|[^\d.]+", version)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]


def _unknown(connection: Connection, name: str, version: str | None, *, retired: bool) -> InvalidInput:
    if retired:
        problem = FieldProblem("type", f"{_shown(name, version)} accepts no new jobs", "an active job type")
        return InvalidInput(f"The job type {_shown(name, version)} is retired.", problems=[problem])
    names, versions = select(JobType.name).distinct(), select(JobType.version).where(_called(name))
    known = connection.scalars(names if version is None else versions).all()
    field, given = ("version", version) if version is not None and known else ("type", name)
    expected = "one of: " + ", ".join(sorted(known)[:20]) if known else "a job type that a worker or an admin declared"
    return InvalidInput(
        f"There is no job type {_shown(name, version)}.",
        problems=[FieldProblem(field, f"{given!r} is not known", expected)],
    )


def _shown(name: str, version: str | None) -> str:
    return name if version is None else f"{name} {version}"


# ------------------------------------------------------------------------------------------ administration


def define(store: Store, principal: Principal, declaration: Mapping[str, Any]) -> Row[Any]:
    """Make a command job type; raises AlreadyExists if its name and version are taken."""
    require(principal, Scope.ADMIN)
    complete = _command(declaration)
    with store.transaction() as tx:
        if tx.execute(select(JobType.name).where(_is(*_key(complete)))).first():
            raise AlreadyExists(f"There is a job type {_shown(*_key(complete))} already.")
        digest = _put(tx, complete, principal.name)
        audit(tx, principal.name, "job-type.define", _target(*_key(complete)), None, {"revision": digest})
        return _found(tx.connection, *_key(complete))


def revise(store: Store, principal: Principal, name: str, version: str, changes: Mapping[str, Any]) -> Row[Any]:
    """Give a command job type a new revision: its declaration with `changes` to top-level fields.

    Jobs submitted before run under the revision they were submitted with.
    """
    require(principal, Scope.ADMIN)
    with store.transaction() as tx:
        before = _found(tx.connection, name, version)
        if before.kind != "command":
            raise NotPossible(f"{_shown(name, version)} is declared by its workers and changes with their code.")
        complete = _command({**before.declaration, **changes})
        if _key(complete) != (name, version):
            raise InvalidInput(problems=[FieldProblem("name", "cannot be changed", "define another job type")])
        digest = _put(tx, complete, principal.name)
        audit(tx, principal.name, "job-type.revise", _target(name, version), None, {"revision": digest})
        return _found(tx.connection, name, version)


def retire(store: Store, principal: Principal, name: str, version: str, *, active: bool) -> Row[Any]:
    """Accept no new jobs of the type, or (`active`) accept them again; jobs there are run in either case."""
    require(principal, Scope.ADMIN)
    action = "job-type.activate" if active else "job-type.retire"
    return _change(store, principal, name, version, action, {"is_active": active})


def remove(store: Store, principal: Principal, name: str, version: str) -> None:
    """Remove a type with its revisions; raises NotPossible while there is any job of it."""
    require(principal, Scope.ADMIN)
    with store.transaction() as tx:
        _found(tx.connection, name, version)
        mine = Revision.name == name, Revision.version == version
        tx.execute(select(Revision.hash).where(*mine).with_for_update())  # jobs on their way in are seen from here on
        has_jobs = exists().where(Job.type == JobType.name, Job.type_version == JobType.version)
        if tx.execute(delete(JobType).where(_is(name, version), ~has_jobs)).rowcount == 0:
            raise NotPossible(f"There are jobs of type {_shown(name, version)}; retire it instead.")
        audit(tx, principal.name, "job-type.remove", _target(name, version))


def pause_type(store: Store, principal: Principal, name: str, version: str, reason: str | None = None) -> Row[Any]:
    """Accept the type's jobs without starting them; jobs that run go on."""
    require(principal, Scope.WORKERS)
    changes = {"paused": True, "pause_reason": checked_reason(reason)}
    return _change(store, principal, name, version, "job-type.pause", changes, reason)


def resume_type(store: Store, principal: Principal, name: str, version: str, reason: str | None = None) -> Row[Any]:
    """Start the type's jobs again."""
    require(principal, Scope.WORKERS)
    changes = {"paused": False, "pause_reason": None}
    return _change(store, principal, name, version, "job-type.resume", changes, reason)


def _change(
    store: Store,
    principal: Principal,
    name: str,
    version: str,
    action: str,
    changes: Mapping[str, Any],
    reason: str | None = None,
) -> Row[Any]:
    with store.transaction() as tx:
        values = {**changes, "updated_at": greatest(now(), JobType.updated_at)}
        if tx.execute(update(JobType).where(_is(name, version)).values(values)).rowcount == 0:
            raise _missing(name, version)
        audit(tx, principal.name, action, _target(name, version), reason)
        _wake(tx, (Job.type == name) & (Job.type_version == version))
        return _found(tx.connection, name, version)


def _wake(tx: Transaction, which: ColumnElement[bool]) -> None:
    queues = select(Job.queue).distinct().where(Job.state == State.QUEUED.value, which)
    tx.effects.wake.update(tx.connection.scalars(queues))


def _command(declaration: Mapping[str, Any]) -> dict[str, Any]:
    if declaration.get("kind", "command") != "command":
        problem = FieldProblem(
            "kind", "only commands are defined here; python types come with their workers", "command"
        )
        raise InvalidInput(problems=[problem])
    return completed({"kind": "command", **declaration})


def _target(name: str, version: str) -> str:
    return f"job-type/{name}/{version}"


# ------------------------------------------------------------------------------------------------- reading


def find(store: Store, name: str, version: str) -> Row[Any]:
    """The columns of a job type and its `declaration`."""
    with store.reading() as connection:
        return _found(connection, name, version)


def list_types(store: Store, *, limit: int = 50, cursor: str | None = None) -> Page:
    """Job types with their present declarations, by name and version."""
    with store.reading() as connection:
        return keyset_page(connection, _types(), [JobType.name, JobType.version], limit, cursor)


def revisions(store: Store, name: str, version: str, *, limit: int = 50, cursor: str | None = None) -> Page:
    """The revisions of a type, newest first."""
    with store.reading() as connection:
        _found(connection, name, version)
        query = select(*Revision.__table__.columns).where(Revision.name == name, Revision.version == version)
        return keyset_page(connection, query, [Revision.created_at, Revision.hash], limit, cursor, newest_first=True)


def revision(store: Store, digest: str) -> Row[Any]:
    """One revision by its hash."""
    with store.reading() as connection:
        row = connection.execute(select(*Revision.__table__.columns).where(Revision.hash == digest)).one_or_none()
    if row is None:
        raise NotFound(f"There is no revision {digest}.")
    return row


def _found(connection: Connection, name: str, version: str) -> Row[Any]:
    row = connection.execute(_types().where(_is(name, version))).one_or_none()
    if row is None:
        raise _missing(name, version)
    return row


def _missing(name: str, version: str) -> NotFound:
    return NotFound(f"There is no job type {_shown(name, version)}.")


# -------------------------------------------------------------------------------------------------- queues


def pause_queue(store: Store, principal: Principal, name: str, reason: str | None = None) -> None:
    """Accept the queue's jobs without starting them; jobs that run go on."""
    _set_queue(store, principal, name, paused=True, reason=reason)


def resume_queue(store: Store, principal: Principal, name: str, reason: str | None = None) -> None:
    """Start the queue's jobs again."""
    _set_queue(store, principal, name, paused=False, reason=reason)


def _set_queue(store: Store, principal: Principal, name: str, *, paused: bool, reason: str | None) -> None:
    require(principal, Scope.WORKERS)
    if not QUEUE_NAME.fullmatch(name):
        raise NotFound(f"There is no queue {name!r}.")
    values = {"paused": paused, "pause_reason": checked_reason(reason) if paused else None, "updated_at": now()}
    with store.transaction() as tx:
        statement = tx.insert(Queue).values(name=name, **values)
        tx.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))
        audit(tx, principal.name, "queue.pause" if paused else "queue.resume", f"queue/{name}", reason)
        _wake(tx, Job.queue == name)
