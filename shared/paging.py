"""Pages by key: every list goes on exactly where the page before ended, whatever is inserted meanwhile.

A cursor holds the keys of the last row shown. It is opaque to clients, and checked like all other input.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import BigInteger, Connection, Select, Uuid, func, literal, select, tuple_
from sqlalchemy.engine import Row
from sqlalchemy.sql.elements import ColumnElement

from shared.errors import FieldProblem, InvalidInput
from shared.json_values import is_fit_text, is_fit_whole

MAX_LIMIT = 1000
"""How many rows one page holds at most."""

_LONGEST_CURSOR = 2000


@dataclass(frozen=True)
class Page:
    """One page of a list."""

    items: Sequence[Row[Any]]
    next: str | None
    """cursor of the following page; None on the last one"""
    total: int | None = None
    """how many there are on all pages, where that was asked for"""


def keyset_page(  # noqa: PLR0913 - what a list is made of
    connection: Connection,
    query: Select[Any],
    keys: Sequence[Any],
    limit: int,
    cursor: str | None,
    *,
    newest_first: bool = False,
    name: str = "",
    with_total: bool = False,
    narrow: Any = None,
) -> Page:
    """The page of `query` after `cursor`, in the order of `keys`, which together must be unique and never NULL.

    `name` tells apart the cursors of different orders of one list. `narrow` is a unique column by which large rows are
    fetched after their keys alone were sorted. Raises InvalidInput for a bad limit or cursor.
    """
    check_limit(limit)
    ordered = query.add_columns(*_labelled(keys)).order_by(*_directed(keys, newest_first=newest_first))
    if cursor is not None:
        ordered = ordered.where(_beyond(keys, read_cursor(cursor, keys, name), newest_first=newest_first))
    chosen = ordered.limit(limit + 1)
    if narrow is not None and len(keys) > 1:
        found = chosen.with_only_columns(narrow, maintain_column_froms=True).subquery()
        chosen = query.add_columns(*_labelled(keys)).where(narrow.in_(select(found.c[0])))
        chosen = chosen.order_by(*_directed(keys, newest_first=newest_first))
    rows = connection.execute(chosen).all()
    following = write_cursor(tuple(rows[limit - 1])[-len(keys) :], name) if len(rows) > limit else None
    return Page(rows[:limit], following, _count(connection, query) if with_total else None)


def _labelled(keys: Sequence[Any]) -> list[Any]:
    return [key.label(f"key_{index}") for index, key in enumerate(keys)]


def _directed(keys: Sequence[Any], *, newest_first: bool) -> list[Any]:
    return [key.desc() if newest_first else key.asc() for key in keys]


def _count(connection: Connection, query: Select[Any]) -> int:
    counted = query.with_only_columns(func.count(), maintain_column_froms=True).order_by(None)
    return connection.execute(counted).scalar_one()


def check_limit(limit: int) -> None:
    """Raises InvalidInput unless `limit` is a possible size of a page."""
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidInput(problems=[FieldProblem("limit", "is out of range", f"1 to {MAX_LIMIT}")])


def _beyond(keys: Sequence[Any], values: Sequence[Any], *, newest_first: bool) -> ColumnElement[bool]:
    bound = [_bound(key, value) for key, value in zip(keys, values, strict=True)]
    left, right = (tuple_(*keys), tuple_(*bound)) if len(keys) > 1 else (keys[0], bound[0])
    return left < right if newest_first else left > right


def _bound(key: Any, value: Any) -> ColumnElement[Any]:
    # A column may be narrower than the number in a cursor that somebody made up, which must not become an error.
    return literal(value, BigInteger()) if isinstance(value, int) else literal(value, key.type)


def write_cursor(values: Sequence[Any], name: str = "") -> str:
    """A cursor for the row with these key values."""
    plain = [value.hex if isinstance(value, UUID) else value for value in values]
    return urlsafe_b64encode(orjson.dumps([name, *plain])).decode().rstrip("=")


def read_cursor(cursor: str, keys: Sequence[Any], name: str = "") -> list[Any]:
    """The key values in a cursor; InvalidInput for anything that `write_cursor` did not make for this list."""
    try:
        found = _decoded(cursor)
        if len(found) == len(keys) + 1 and found[0] == name:
            return [_reader(key)(value) for key, value in zip(keys, found[1:], strict=True)]
    except ValueError:
        pass
    problem = FieldProblem("cursor", "is not a cursor of this list", "`next` of an earlier answer")
    raise InvalidInput(problems=[problem])


def _decoded(cursor: str) -> list[Any]:
    if len(cursor) > _LONGEST_CURSOR:
        raise ValueError(cursor)
    found = orjson.loads(urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
    return found if isinstance(found, list) else []


def _reader(key: Any) -> Callable[[Any], Any]:
    if isinstance(key.type, Uuid):
        return _identity
    return _whole if key.type.python_type is int else _text


def _identity(value: Any) -> UUID:
    return UUID(hex=_text(value))


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not is_fit_whole(value):
        raise ValueError(value)
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not is_fit_text(value):
        raise ValueError(value)
    return value
