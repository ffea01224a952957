"""Which jobs are meant and in what order: filters, text search and orders, as bound SQL."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import and_, exists, or_, select
from sqlalchemy.sql.elements import ColumnElement

from shared.errors import FieldProblem, InvalidInput
from shared.json_values import is_fit_text, is_fit_whole
from shared.lifecycle import Flag, State
from shared.models import Job, JobLabel, User
from shared.mongo import mongo
from shared.paging import MAX_LIMIT, Page, check_limit, keyset_page, read_cursor, write_cursor

__all__ = [
    "MAX_LIMIT", "ORDERS", "VIEWS", "Filters", "Page", "check_limit", "conditions", "keyset_page", "mongo",
    "order_keys", "read_cursor", "write_cursor",
]  # fmt: skip

LONGEST_SEARCH = 200
"""How many characters a text search may have."""

MOST_WORDS = 10
"""How many words of a text search count, and how many values one filter may list."""

_LONGEST_VALUE = 500
_SHORTEST_ID = 4
_HEX_DIGITS = 32


@dataclass(frozen=True)
class Filters:
    """What the jobs of a list have in common; a job must pass all that are given.

    Instants are microseconds since 1970 UTC; `after` includes the instant and `before` does not.
    """

    state: Sequence[str] = ()
    """any of these states; also `pausing` and `cancelling`"""
    type: Sequence[str] = ()
    """any of these job types"""
    version: str | None = None
    owner: str | None = None
    """name of the user"""
    label: Sequence[str] = ()
    """all of these labels"""
    queue: Sequence[str] = ()
    """any of these queues"""
    created_after: int | None = None
    created_before: int | None = None
    updated_after: int | None = None
    updated_before: int | None = None
    q: str | None = None
    """words, each of which stands in the title, the type or a label, or begins the id"""
    query: Mapping[str, Any] | None = None
    """a Mongo-style query"""


VIEWS: Mapping[str, ColumnElement[bool]] = {
    "pausing": Job.flag == Flag.PAUSE.value,
    "cancelling": Job.flag == Flag.CANCEL.value,
}
"""Words for what is asked of jobs and not acknowledged yet, which may be filtered for like states."""


def conditions(filters: Filters) -> list[ColumnElement[bool]]:
    """The conditions on jobs that `filters` mean; raises InvalidInput naming the filter that is wrong."""
    return [
        *_states(filters.state),
        *_any_of("type", Job.type, filters.type),
        *_any_of("version", Job.type_version, [filters.version] if filters.version is not None else []),
        *_any_of("queue", Job.queue, filters.queue),
        *_owner(filters.owner),
        *[_has_label(label) for label in _checked("label", filters.label)],
        *_between("created", Job.created_at, filters.created_after, filters.created_before),
        *_between("updated", Job.updated_at, filters.updated_after, filters.updated_before),
        *_search(filters.q),
        *([mongo(filters.query)] if filters.query is not None else []),
    ]


def _refuse(field: str, message: str, expected: str) -> InvalidInput:
    return InvalidInput(problems=[FieldProblem(field, message, expected)])


def _states(words: Sequence[str]) -> list[ColumnElement[bool]]:
    states = [word for word in words if word in set(State)]
    views = [VIEWS[word] for word in words if word in VIEWS]
    if len(states) + len(views) != len(words):
        raise _refuse("state", "is not a state", "one of: " + ", ".join((*State, *VIEWS)))
    return [or_(Job.state.in_(states), *views)] if words else []


def _checked(field: str, values: Sequence[str]) -> Sequence[str]:
    if len(values) > MOST_WORDS:
        raise _refuse(field, "is given too often", f"at most {MOST_WORDS} times")
    for value in values:
        if len(value) > _LONGEST_VALUE or not is_fit_text(value):
            raise _refuse(field, "is not valid", f"at most {_LONGEST_VALUE} characters, without NUL")
    return values


def _any_of(field: str, column: Any, values: Sequence[str]) -> list[ColumnElement[bool]]:
    return [column.in_(list(_checked(field, values)))] if values else []


def _owner(name: str | None) -> list[ColumnElement[bool]]:
    if name is None:
        return []
    _checked("owner", [name])
    return [Job.owner_id.in_(select(User.id).where(User.name == name))]


def _has_label(label: str) -> ColumnElement[bool]:
    return exists().where(JobLabel.job_id == Job.id, JobLabel.label == label).correlate(Job)


def _between(field: str, column: Any, after: int | None, before: int | None) -> list[ColumnElement[bool]]:
    for name, instant in ((f"{field}_after", after), (f"{field}_before", before)):
        if instant is not None and not is_fit_whole(instant):
            raise _refuse(name, "is out of range", "an instant")
    lower = [column >= after] if after is not None else []
    return [*lower, column < before] if before is not None else lower


# -------------------------------------------------------------------------------------------- text search


def _search(text: str | None) -> list[ColumnElement[bool]]:
    if text is None:
        return []
    words = text.split()
    if len(text) > LONGEST_SEARCH or len(words) > MOST_WORDS or not is_fit_text(text):
        raise _refuse("q", "is not valid", f"at most {LONGEST_SEARCH} characters and {MOST_WORDS} words")
    return [_mentions(word) for word in words]


def _mentions(word: str) -> ColumnElement[bool]:
    label = exists().where(JobLabel.job_id == Job.id, JobLabel.label.icontains(word, autoescape=True)).correlate(Job)
    places = [Job.title.icontains(word, autoescape=True), Job.type.icontains(word, autoescape=True), label]
    return or_(*places, *_id_begins(word))


def _id_begins(word: str) -> list[ColumnElement[bool]]:
    digits = word.replace("-", "").lower()
    if not re.fullmatch(rf"[0-9a-f]{{{_SHORTEST_ID},{_HEX_DIGITS}}}", digits):
        return []
    first, last = UUID(hex=digits.ljust(_HEX_DIGITS, "0")), UUID(hex=digits.ljust(_HEX_DIGITS, "f"))
    return [and_(Job.id >= first, Job.id <= last)]


# -------------------------------------------------------------------------------------------------- order

ORDERS: Mapping[str, Sequence[Any]] = {
    "created": (Job.number,),
    "updated": (Job.updated_at, Job.number),
    "priority": (Job.priority, Job.number),
    "state": (Job.state, Job.number),
    "title": (Job.title, Job.number),
    "type": (Job.type, Job.number),
}
"""What jobs can be ordered by; with `-` before it, the other way round. Ties are in order of acceptance."""


def order_keys(order: str) -> tuple[Sequence[Any], bool]:
    """The columns that `order` means, and whether it is descending."""
    name = order.removeprefix("-")
    if name not in ORDERS:
        raise _refuse("order", "is not an order", "one of: " + ", ".join(f"{each}, -{each}" for each in ORDERS))
    return ORDERS[name], order.startswith("-")
