"""Lists: what every one of them takes and gives."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from api.fields import QueryWhole, Text
from api.parsing import Strict

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000


class PageQuery(Strict):
    """Which part of a list is wanted."""

    limit = QueryWhole(1, MAX_LIMIT, "How many items a page has at most.", load_default=DEFAULT_LIMIT)
    cursor = Text(500, "Where to go on: `next` of the page before.", shortest=1, load_default=None)


class PageSchema(ma.Schema):
    """A page of a list."""

    next = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "cursor of the next page; null on the last"}
    )


def page_of(name: str, item: type[ma.Schema], **further: ma.fields.Field[Any]) -> type[ma.Schema]:
    """The schema of a page of `item`s."""
    items = ma.fields.List(ma.fields.Nested(item), required=True)
    return type(name, (PageSchema,), {"items": items, **further})
