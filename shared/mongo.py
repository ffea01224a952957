"""Mongo-style filters on jobs, compiled to bound SQL from an allow-list of fields and operators.

`{"state": "running", "args.k": {"$gte": 21, "$lt": 64}, "$or": [{"labels": "urgent"}, {"priority": {"$lte": 10}}]}`

Fields are columns of a job, `labels`, and paths below `args`, `extra` and `error`. Operators are $eq $ne $gt $gte $lt
$lte $in $nin $exists $not $prefix $contains on fields, and $and $or $nor. As in MongoDB, a missing value equals null,
`$ne`, `$nin` and `$not` match what is missing, and values of different types never match. There are no regular
expressions: `$prefix` and `$contains` compare text literally, with case.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Numeric, String, and_, cast, exists, false, func, literal, not_, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

from shared.errors import FieldProblem, InvalidInput
from shared.json_path import STEP, kind_at, number_at, text_at, truth_at
from shared.json_values import is_fit_text, is_fit_whole
from shared.models import Job, JobLabel, User

MAX_DEPTH = 5
"""How deep $and, $or, $nor and $not may stand in each other."""
MAX_NODES = 50
"""How many conditions and logical operators one query may hold."""
MAX_CHOICES = 200
"""How many values $in and $nin may list."""
MAX_STEPS = 8
"""How many names a path may have."""
LONGEST_TEXT = 1000
"""How many characters a text to compare with may have."""

Condition = ColumnElement[bool]


class code_points(FunctionElement[str]):  # noqa: N801 - reads as the SQL function it is
    """Text that is ordered by code points, whatever the database's language is."""

    type = String()
    inherit_cache = True
    name = "code_points"


@compiles(code_points, "sqlite")  # type: ignore[no-untyped-call,untyped-decorator,unused-ignore]  # untyped there
def _on_sqlite(element: code_points, compiler: SQLCompiler, **kw: Any) -> str:
    return compiler.process(element.clauses, **kw)


@compiles(code_points, "postgresql")  # type: ignore[no-untyped-call,untyped-decorator,unused-ignore]  # untyped there
def _on_postgresql(element: code_points, compiler: SQLCompiler, **kw: Any) -> str:
    return f'({compiler.process(element.clauses, **kw)} COLLATE "C")'


# ------------------------------------------------------------------------------------------------- values


def _refuse(where: str, message: str, expected: str) -> InvalidInput:
    return InvalidInput("The query is not valid.", problems=[FieldProblem(where, message, expected)])


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT or not is_fit_text(value):
        raise _refuse(where, "is not a text to compare with", f"text of at most {LONGEST_TEXT} characters")
    return value


def _number(value: Any, where: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _refuse(where, "is not a number", "a number")
    if isinstance(value, int) and not is_fit_whole(value):
        raise _refuse(where, "is out of range", "a 64-bit integer")
    return value


def _exact(value: Any, where: str) -> ColumnElement[Any]:
    """A number that the database compares without rounding it first."""
    return cast(literal(repr(_number(value, where)), String()), Numeric())


def _whole(value: Any, where: str) -> ColumnElement[int]:
    number = _number(value, where)
    if number != int(number) or not is_fit_whole(int(number)):
        raise _refuse(where, "is not a whole number", "a 64-bit integer")
    return literal(int(number), BigInteger())  # the column may be narrower, which must not become an error


def _instant(value: Any, where: str) -> int:
    try:
        moment = datetime.fromisoformat(_text(value, where))
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise _refuse(where, "is not a date", "an ISO 8601 date or date-time") from None


def _identity(value: Any, where: str) -> UUID:
    try:
        return UUID(_text(value, where))
    except ValueError:
        raise _refuse(where, "is not an id", "a UUID") from None


# ------------------------------------------------------------------------------------------------- fields


class _Field:
    """How the operators apply to one field. Every condition is true or false, never NULL, so that NOT is exact."""

    def equal(self, value: Any, where: str) -> Condition:
        raise NotImplementedError

    def present(self) -> Condition:
        raise NotImplementedError

    def ordered(self, compare: Callable[[Any, Any], Any], value: Any, where: str) -> Condition:
        raise NotImplementedError

    def among(self, values: Sequence[Any], where: str) -> Condition:
        return or_(false(), *(self.equal(value, where) for value in values))

    def text(self) -> ColumnElement[str] | None:
        """What $prefix and $contains look at; None where there is no text."""
        return None


@dataclass(frozen=True)
class _Column(_Field):
    column: Any
    read: Callable[[Any, str], Any]

    def _holding(self, condition: Condition) -> Condition:
        return and_(self.present(), condition)

    def equal(self, value: Any, where: str) -> Condition:
        if value is None:
            return not_(self.present())
        return self._holding(self.column == self.read(value, where))

    def present(self) -> Condition:
        present: Condition = self.column.is_not(None)
        return present

    def ordered(self, compare: Callable[[Any, Any], Any], value: Any, where: str) -> Condition:
        operand = code_points(self.column) if self.read is _text else self.column
        return self._holding(compare(operand, self.read(value, where)))

    def among(self, values: Sequence[Any], where: str) -> Condition:
        known = [self.read(value, where) for value in values if value is not None]
        found = self._holding(self.column.in_(known))
        return or_(found, not_(self.present())) if None in values else found

    def text(self) -> ColumnElement[str] | None:
        return self.column if self.read is _text else None


class _Labels(_Field):
    """A job's labels: equal to a word when it is one of them."""

    def equal(self, value: Any, where: str) -> Condition:
        return self.among([value], where)

    def among(self, values: Sequence[Any], where: str) -> Condition:
        words = [_text(value, where) for value in values]
        return exists().where(JobLabel.job_id == Job.id, JobLabel.label.in_(words)).correlate(Job)

    def present(self) -> Condition:
        return exists().where(JobLabel.job_id == Job.id).correlate(Job)

    def ordered(self, compare: Callable[[Any, Any], Any], value: Any, where: str) -> Condition:  # noqa: ARG002 - the same form for every field
        raise _refuse(where, "cannot be ordered", "$eq, $ne, $in, $nin or $exists")


@dataclass(frozen=True)
class _Inside(_Field):
    """A value somewhere inside a JSON column."""

    column: Any
    path: str

    def equal(self, value: Any, where: str) -> Condition:
        if value is None:
            return func.coalesce(kind_at(self.column, self.path), "null") == "null"
        if isinstance(value, bool):
            return _surely(truth_at(self.column, self.path) == literal(value))
        if isinstance(value, str):
            return _surely(text_at(self.column, self.path) == _text(value, where))
        return _surely(number_at(self.column, self.path) == _exact(value, where))

    def present(self) -> Condition:
        return kind_at(self.column, self.path).is_not(None)

    def ordered(self, compare: Callable[[Any, Any], Any], value: Any, where: str) -> Condition:
        if isinstance(value, str):
            return _surely(compare(text_at(self.column, self.path), _text(value, where)))
        return _surely(compare(number_at(self.column, self.path), _exact(value, where)))

    def among(self, values: Sequence[Any], where: str) -> Condition:
        words = [_text(value, where) for value in values if isinstance(value, str)]
        others = [self.equal(value, where) for value in values if not isinstance(value, str)]
        found = [_surely(text_at(self.column, self.path).in_(words))] if words else []
        return or_(false(), *found, *others)

    def text(self) -> ColumnElement[str] | None:
        return text_at(self.column, self.path)


def _surely(condition: Any) -> Condition:
    return func.coalesce(condition, false())


_OWNER = select(User.name).where(User.id == Job.owner_id).correlate(Job).scalar_subquery()

_TEXTS = {
    **{
        name: getattr(Job, name) for name in ("type", "revision", "kind", "title", "queue", "state", "stage", "message")
    },
    "pause_at": Job.pause_at,
    "flag": Job.flag,
    "version": Job.type_version,
    "owner": _OWNER,
}
_WHOLES = {name: getattr(Job, name) for name in ("number", "priority", "attempt", "burnt", "rerun", "max_attempts")}
_NUMBERS = {name: getattr(Job, name) for name in ("progress", "done", "total", "timeout", "expires_after")}
_INSTANTS = {
    name: getattr(Job, name)
    for name in ("created_at", "updated_at", "started_at", "finished_at", "expires_at", "not_before")
}
_COLUMNS: Mapping[str, _Field] = {
    "id": _Column(Job.id, _identity),
    "labels": _Labels(),
    **{name: _Column(column, _text) for name, column in _TEXTS.items()},
    **{name: _Column(column, _whole) for name, column in _WHOLES.items()},
    **{name: _Column(column, _number) for name, column in _NUMBERS.items()},
    **{name: _Column(column, _instant) for name, column in _INSTANTS.items()},
}
_JSON = {"args": Job.args, "extra": Job.extra, "error": Job.error}

FIELDS = (*sorted(_COLUMNS), *(f"{root}.<path>" for root in sorted(_JSON)))
"""What may be asked for, for documentation."""


def _field(name: str, where: str) -> _Field:
    if name in _COLUMNS:
        return _COLUMNS[name]
    root, _, path = name.partition(".")
    steps = path.split(".")
    if root not in _JSON or not all(STEP.fullmatch(step) for step in steps) or len(steps) > MAX_STEPS:
        raise _refuse(where, "is not a field to ask for", "one of: " + ", ".join(FIELDS))
    return _Inside(_JSON[root], path)


# ---------------------------------------------------------------------------------------------- operators


def _prefix(field: _Field, value: Any, where: str) -> Condition:
    text, wanted = _literal_text(field, value, where)
    return _surely(func.substr(text, 1, len(wanted)) == wanted)


def _contains(field: _Field, value: Any, where: str) -> Condition:
    text, wanted = _literal_text(field, value, where)
    return _surely(func.replace(text, wanted, "") != text)


def _literal_text(field: _Field, value: Any, where: str) -> tuple[ColumnElement[str], str]:
    text, wanted = field.text(), _text(value, where)
    if text is None or not wanted:
        raise _refuse(where, "is for text only", "a text field and a text that is not empty")
    return text, wanted


def _choices(value: Any, where: str) -> Sequence[Any]:
    if not isinstance(value, list) or len(value) > MAX_CHOICES:
        raise _refuse(where, "is not a list of choices", f"a list of at most {MAX_CHOICES} values")
    return value


def _presence(field: _Field, value: Any, where: str) -> Condition:
    if not isinstance(value, bool):
        raise _refuse(where, "is neither true nor false", "true or false")
    return field.present() if value else not_(field.present())


OPERATORS: Mapping[str, Callable[[_Field, Any, str], Condition]] = {
    "$eq": lambda field, value, where: field.equal(value, where),
    "$ne": lambda field, value, where: not_(field.equal(value, where)),
    "$gt": lambda field, value, where: field.ordered(lambda a, b: a > b, value, where),
    "$gte": lambda field, value, where: field.ordered(lambda a, b: a >= b, value, where),
    "$lt": lambda field, value, where: field.ordered(lambda a, b: a < b, value, where),
    "$lte": lambda field, value, where: field.ordered(lambda a, b: a <= b, value, where),
    "$in": lambda field, value, where: field.among(_choices(value, where), where),
    "$nin": lambda field, value, where: not_(field.among(_choices(value, where), where)),
    "$exists": _presence,
    "$prefix": _prefix,
    "$contains": _contains,
}
"""What may be asked of a field, beside $not."""

LOGICAL: Mapping[str, Callable[[Sequence[Condition]], Condition]] = {
    "$and": lambda parts: and_(*parts),
    "$or": lambda parts: or_(*parts),
    "$nor": lambda parts: not_(or_(*parts)),
}


# -------------------------------------------------------------------------------------------------- query


class _Budget:
    """Counts what a query holds, so that none can be made expensive."""

    def __init__(self) -> None:
        self.nodes = 0

    def spend(self, where: str, depth: int) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise _refuse("query", "holds too many conditions", f"at most {MAX_NODES}")
        if depth > MAX_DEPTH:
            raise _refuse(where, "is nested too deep", f"at most {MAX_DEPTH} levels")


def mongo(query: Any) -> Condition:
    """The condition on jobs that `query` means; raises InvalidInput naming what is wrong in it."""
    return _document(query, "query", 1, _Budget())


def _document(query: Any, where: str, depth: int, budget: _Budget) -> Condition:
    if not isinstance(query, Mapping) or not all(isinstance(name, str) for name in query):
        raise _refuse(where, "is not a query", "an object")
    return and_(literal(value=True), *(_member(name, value, where, depth, budget) for name, value in query.items()))


def _member(name: str, value: Any, where: str, depth: int, budget: _Budget) -> Condition:
    place = f"{where}.{name}"[:300]
    budget.spend(place, depth)
    if name in LOGICAL:
        if not isinstance(value, list) or not value:
            raise _refuse(place, "is not a list of queries", "a list with at least one query")
        parts = [_document(each, f"{place}.{i}", depth + 1, budget) for i, each in enumerate(value)]
        return LOGICAL[name](parts)
    if name.startswith("$"):
        raise _refuse(place, "is not known here", "one of: " + ", ".join(LOGICAL))
    field = _field(name, place)
    if isinstance(value, Mapping):
        return _operations(field, value, place, depth, budget)
    return field.equal(value, place)


def _operations(field: _Field, operations: Mapping[Any, Any], where: str, depth: int, budget: _Budget) -> Condition:
    parts = []
    for name, value in operations.items():
        place = f"{where}.{name}"[:300]
        budget.spend(place, depth)
        if name == "$not" and isinstance(value, Mapping):
            parts.append(not_(_operations(field, value, place, depth + 1, budget)))
        elif name in OPERATORS:
            parts.append(OPERATORS[name](field, value, place))
        else:
            raise _refuse(place, "is not an operator", "one of: " + ", ".join((*OPERATORS, "$not")))
    if not parts:
        raise _refuse(where, "names no operator", "one of: " + ", ".join((*OPERATORS, "$not")))
    return and_(*parts)
