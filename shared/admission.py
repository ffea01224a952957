"""What must hold for a job to be accepted: its type is known and open, and all it says fits its type's declaration."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.engine import Row

from shared import catalog, json_schema
from shared.declaration import BACKOFF
from shared.errors import FieldProblem, InvalidInput
from shared.json_values import is_fit_text, unfit
from shared.lifecycle import State
from shared.models import Revision, StoredFile
from shared.principal import Principal

MAX_LABELS = 50
MAX_LABEL = 255
MAX_TITLE = 500
MAX_STAGE = 200
MAX_SECONDS = 100 * 365 * 86_400.0
"""No time that is asked for is longer."""
LAST_INSTANT = 2**62
MAX_ATTEMPTS = 1000
PRIORITIES = range(-1_000_000, 1_000_001)


@dataclass(frozen=True)
class Order:
    """What a client asks for; None means "as the job type says"."""

    type: str
    version: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    labels: Sequence[str] = ()
    priority: int | None = None
    queue: str | None = None
    not_before: int | None = None
    """instant, microseconds since 1970 UTC"""
    timeout: float | None = None
    max_attempts: int | None = None
    backoff: Mapping[str, Any] | None = None
    pause_at: str | None = None
    draft: bool = False
    expires_after: float | None = None
    extra: Mapping[str, Any] | None = None


class Desk:
    """Admits the jobs of one request; each job type is looked up once."""

    def __init__(self, connection: Connection, principal: Principal) -> None:
        self._connection = connection
        self._principal = principal
        self._types: dict[tuple[str, str | None], tuple[Row[Any], Mapping[str, Any]]] = {}

    def admit(self, order: Order) -> dict[str, Any]:
        """The columns of the job that `order` asks for; raises `InvalidInput` naming each field that does not fit.

        A draft may still lack args and inputs; they are checked when it is submitted.
        """
        job_type, declaration = self._type(order)
        refuse_misfit(self._connection, self._principal, order, declaration)
        return {
            "type": job_type.name,
            "type_version": job_type.version,
            "revision": job_type.revision,
            "kind": job_type.kind,
            "state": (State.DRAFT if order.draft else State.QUEUED).value,
            **columns(order, declaration),
        }

    def _type(self, order: Order) -> tuple[Row[Any], Mapping[str, Any]]:
        wanted = (order.type, order.version)
        if wanted not in self._types:
            self._types[wanted] = catalog.current(self._connection, *wanted)
        return self._types[wanted]


def refuse_misfit(connection: Connection, principal: Principal, order: Order, declaration: Mapping[str, Any]) -> None:
    """Raises `InvalidInput` naming each field of the order that does not fit the declaration."""
    problems = _shape(order, declaration)
    if not order.draft:
        problems += fitness(connection, principal, declaration, order.args, order.inputs)
    if problems:
        raise InvalidInput("The job does not fit its job type.", problems=problems)


_HELD = (
    select(Revision.hash)
    .where(Revision.hash.in_(bindparam("hashes", expanding=True)))
    .with_for_update(read=True, key_share=True)
)


def hold_revisions(connection: Connection, hashes: Collection[str]) -> None:
    """Keeps the job types that jobs were admitted under from being removed before those are stored."""
    if len(connection.execute(_HELD, {"hashes": sorted(hashes)}).all()) < len(hashes):
        raise InvalidInput("The job type has just been removed.")


def columns(order: Order, declaration: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that an order and its declaration decide."""
    return {
        "title": order.title,
        "labels": tidy_labels(order.labels),
        "args": dict(order.args),
        "inputs": dict(order.inputs),
        "extra": dict(order.extra) if order.extra is not None else None,
        "queue": order.queue or declaration.get("queue", "default"),
        "priority": declaration.get("priority", 100) if order.priority is None else order.priority,
        "not_before": order.not_before,
        "timeout": order.timeout or declaration.get("timeout"),
        "max_attempts": order.max_attempts or declaration.get("max_attempts", 1),
        "backoff": dict(order.backoff or declaration.get("backoff") or {}),
        "pause_at": order.pause_at,
        "expires_after": order.expires_after,
    }


def tidy_labels(labels: Sequence[str]) -> list[str]:
    """Labels without surrounding blanks and doubles, sorted."""
    return sorted({label.strip() for label in labels})


def fitness(
    connection: Connection,
    principal: Principal,
    declaration: Mapping[str, Any],
    args: Mapping[str, Any],
    inputs: Mapping[str, Any],
) -> list[FieldProblem]:
    """What keeps args and inputs from being run under `declaration`; empty when nothing does."""
    return [*catalog.validate_args(declaration, args), *_inputs(connection, principal, declaration, inputs)]


def _shape(order: Order, declaration: Mapping[str, Any]) -> list[FieldProblem]:
    checks = [*_numbers(order), *_texts(order, declaration.get("stages") or [])]
    problems = [FieldProblem(name, "is not valid", expected) for fine, name, expected in checks if not fine]
    problems += json_schema.problems(BACKOFF, dict(order.backoff or {}), "backoff")
    problems += unfit(order.extra, "extra")
    return problems + unfit(order.args, "args") if order.draft else problems


_Check = tuple[bool, str, str]
"""Whether a field is fine, its name, and what is expected of it"""


def _numbers(order: Order) -> list[_Check]:
    timeout, kept = order.timeout, order.expires_after
    return [
        (order.priority is None or order.priority in PRIORITIES, "priority", "a whole number within a million of 0"),
        (timeout is None or 0 < timeout <= MAX_SECONDS, "timeout", f"seconds, more than 0, at most {MAX_SECONDS:g}"),
        (order.max_attempts is None or 1 <= order.max_attempts <= MAX_ATTEMPTS, "max_attempts", f"1 to {MAX_ATTEMPTS}"),
        (kept is None or 0 <= kept <= MAX_SECONDS, "expires_after", f"seconds, 0 to {MAX_SECONDS:g}"),
        (order.not_before is None or 0 <= order.not_before <= LAST_INSTANT, "not_before", "microseconds since 1970"),
    ]


def _texts(order: Order, stages: Sequence[str]) -> list[_Check]:
    labels, stage = tidy_labels(order.labels), order.pause_at
    queue = order.queue is None or catalog.QUEUE_NAME.fullmatch(order.queue) is not None
    return [
        (queue, "queue", "letters, digits, dot, dash, underscore"),
        (_is_text(order.title, 0, MAX_TITLE), "title", f"at most {MAX_TITLE} characters, none of them NUL"),
        (len(labels) <= MAX_LABELS, "labels", f"at most {MAX_LABELS} labels"),
        (all(_is_text(label, 1, MAX_LABEL) for label in labels), "labels", f"1 to {MAX_LABEL} characters each"),
        (stage is None or _is_text(stage, 1, MAX_STAGE), "pause_at", f"1 to {MAX_STAGE} characters"),
        (not stage or not stages or stage in stages, "pause_at", f"one of {', '.join(stages)}"),
    ]


def _is_text(text: str, least: int, most: int) -> bool:
    return least <= len(text) <= most and is_fit_text(text)


def _inputs(
    connection: Connection, principal: Principal, declaration: Mapping[str, Any], inputs: Mapping[str, Any]
) -> list[FieldProblem]:
    declared: Mapping[str, Any] = declaration.get("inputs") or {}
    known = ", ".join(declared) or "none"
    problems = [
        FieldProblem(f"inputs.{name}", "is not an input of this job type", f"one of: {known}")
        for name in inputs
        if name not in declared
    ]
    for name, rule in declared.items():
        problems += _input(connection, principal, name, rule, inputs.get(name))
    return problems


def _input(
    connection: Connection, principal: Principal, name: str, rule: Mapping[str, Any], value: Any
) -> list[FieldProblem]:
    where = f"inputs.{name}"
    if value is None or value == []:
        return [FieldProblem(where, "is required", "the id of an uploaded file")] if rule.get("required", True) else []
    if isinstance(value, list) and not rule.get("multiple", False):
        return [FieldProblem(where, "takes one file", "the id of an uploaded file")]
    ids = value if isinstance(value, list) else [value]
    found = _visible_files(connection, principal, ids)
    return [
        FieldProblem(where, f"there is no file {file_id}", "the id of an uploaded file")
        for file_id in ids
        if str(file_id) not in found
    ]


def _visible_files(connection: Connection, principal: Principal, ids: Sequence[Any]) -> set[str]:
    wanted = [parsed for parsed in map(_uuid, ids) if parsed]
    query = select(StoredFile.id).where(StoredFile.id.in_(wanted))
    if not principal.is_admin:
        query = query.where(StoredFile.owner_id == principal.user_id)
    return {str(row.id) for row in connection.execute(query)}


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None
