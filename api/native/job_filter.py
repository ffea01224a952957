"""Which jobs are meant: the same words as parameters of a list and as fields of a bulk action."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from functools import reduce
from typing import Any

import marshmallow as ma
import orjson

from api.fields import Document, Items, Moment, Text, Word
from api.paging import PageQuery
from api.parsing import Strict, refuse_unstorable
from shared import query
from shared.errors import FieldProblem, InvalidInput
from shared.lifecycle import State

_STATES = (*State, *query.VIEWS)
_ORDERS = [f"{sign}{name}" for name in query.ORDERS for sign in ("-", "")]
_MOST = query.MOST_WORDS


class _Filter(Strict):
    state = Items(Word(_STATES), _MOST, "Any of these states; pausing and cancelling count as such here.")
    type = Items(Text(100), _MOST, "Any of these job types.")
    version = Text(50, "Version of the job type.")
    owner = Text(200, "Name of the user whose jobs they are.")
    label = Items(Text(255), _MOST, "All of these labels.")
    queue = Items(Text(100), _MOST, "Any of these queues.")
    created_after = Moment(-1, "Accepted then or later:")
    created_before = Moment(-1, "Accepted earlier:")
    updated_after = Moment(-1, "Changed then or later:")
    updated_before = Moment(-1, "Changed last earlier:")
    q = Text(query.LONGEST_SEARCH, "Words that stand in the title, the type or a label, or begin the id.")


class FilterBody(_Filter):
    """What the jobs have in common; at least one field."""

    query = Document('A Mongo-style query, for example {"args.k": {"$gte": 21}}.')

    @ma.validates_schema
    def _says_something(self, data: Mapping[str, Any], **_: Any) -> None:
        if not data:
            raise ma.ValidationError('A filter must say which jobs are meant; for all, use {"query": {}}.')


class CountsQuery(_Filter):
    """What the jobs have in common."""

    query = Text(10_000, 'A Mongo-style query as JSON, for example {"args.k": {"$gte": 21}}.')


class ListQuery(PageQuery, CountsQuery):
    """Filters and order of a list of jobs."""

    order = Word(_ORDERS, "What is first; - is the other way round.", load_default="-created")


_FILTERS = ("state", "type", "version", "owner", "label", "queue", "created_after", "created_before", "updated_after",
            "updated_before", "q", "query")  # fmt: skip


def filters(given: Mapping[str, Any]) -> query.Filters:
    """The filters in loaded input; those it does not name are left open."""
    named = {name: given[name] for name in _FILTERS if given.get(name) is not None}
    if isinstance(named.get("query"), str):
        named["query"] = _mongo(named["query"])
    return query.Filters(**named)


def _mongo(text: str) -> Any:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidInput(problems=[FieldProblem("query", "is not JSON", "a JSON object")]) from None
    refuse_unstorable(value)
    return value


def conditions(given: Mapping[str, Any]) -> Any:
    """One condition for the jobs that loaded input means."""
    return reduce(operator.and_, query.conditions(filters(given)), query.mongo({}))
