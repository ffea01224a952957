"""Updates: the feed of all status records one may see, by cursor; may wait for the next one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import marshmallow as ma
from flask import Response

from api.answers import rendered
from api.auth import Access, current_principal
from api.fields import QueryNumber
from api.installation import installation
from api.native.record_shape import RecordSchema, shown
from api.paging import PageQuery
from api.resource import Answer, Resource
from shared import observe
from shared.errors import TooMany
from shared.principal import Scope

resource = Resource("updates", __name__, url_prefix="/api/v1", description="The feed of status records, by cursor.")

LONGEST_WAIT = 30


class UpdatesQuery(PageQuery):
    """Where to go on, and how long to wait."""

    wait = QueryNumber(0, LONGEST_WAIT, "Seconds to wait for a record when there is none.", load_default=0.0)


class UpdatesSchema(ma.Schema):
    """Records in the order of the feed; `next` is always the cursor to go on with."""

    items = ma.fields.List(ma.fields.Nested(RecordSchema), required=True)
    next = ma.fields.String(required=True)


@resource.operation(
    "GET",
    "/updates",
    Access(Scope.READ),
    query=UpdatesQuery,
    answers={200: Answer("Records after the cursor, none skipped; `next` to go on with.", UpdatesSchema)},
)
def list_updates(query: Mapping[str, Any]) -> Response:
    """Read the feed from a cursor; `cursor=latest` begins with what comes next."""
    made, principal = installation(), current_principal()
    cursor = observe.feed_end(made.store) if query["cursor"] == "latest" else query["cursor"]
    records, following = observe.feed(made.store, principal, cursor, query["limit"])
    if not records and query["wait"] and _waited(following, query["wait"]):
        records, following = observe.feed(made.store, principal, cursor, query["limit"])
    return rendered({"items": [shown(record) for record in records], "next": following})


def _waited(cursor: str, seconds: float) -> bool:
    """Whether something has come; without room for another stream the answer is no, at once."""
    feed = installation().feed
    try:
        stream = feed.open(current_principal(), cursor=cursor)
    except TooMany:
        return False
    try:
        return bool(stream.take(seconds))
    finally:
        feed.release(stream)
