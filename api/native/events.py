"""Events: status records as they are written, over server-sent events, of one job or of all one may see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from flask import Response, request

from api.answers import nothing
from api.auth import Access, current_principal
from api.fields import Text
from api.installation import installation
from api.native.record_shape import shown
from api.parsing import Strict
from api.resource import Answer, Resource
from api.sse import BEAT_LINE, MEDIA_TYPE, RETRY_LINE, event_stream, message
from api.streams import BEAT, Entry, Stream
from shared import observe
from shared.principal import Scope

resource = Resource("events", __name__, url_prefix="/api/v1", description="Live streams of status records.")

_READ = Access(Scope.READ)
_TEXT = {"type": "string"}
_LAST_ID = {
    "in": "header",
    "name": "Last-Event-ID",
    "description": "The `id` of the last message received; the stream goes on after it.",
    "schema": {"type": "string"},
}
_ABOUT = (
    "Each message is a status record as JSON, its `id` the cursor to go on from. A comment is sent at least every 5 "
    "seconds. 503 with Retry-After when there are too many streams: poll `/updates` then."
)


class EventsQuery(Strict):
    """Where a stream begins."""

    cursor = Text(500, "Where to begin, as Last-Event-ID, which goes before it.", shortest=1, load_default=None)


@resource.operation(
    "GET",
    "/events",
    _READ,
    query=EventsQuery,
    answers={200: Answer("Messages from now on, or from the cursor.", _TEXT, MEDIA_TYPE)},
    doc={"parameters": [_LAST_ID], "description": _ABOUT},
)
def stream_events(query: Mapping[str, Any]) -> Response:
    """Follow everything you may see."""
    made = installation()
    cursor = _last_id() or query["cursor"] or observe.feed_end(made.store)
    stream = made.feed.open(current_principal(), cursor=cursor)
    return event_stream(_messages(stream), lambda: made.feed.release(stream))


@resource.operation(
    "GET",
    "/jobs/<uuid:job_id>/events",
    Access(Scope.READ, executions=True),
    query=EventsQuery,
    answers={
        200: Answer("The job's history so far, then what follows, until the job has ended.", _TEXT, MEDIA_TYPE),
        204: Answer("The job has ended, and you have seen all of it."),
    },
    doc={"parameters": [_LAST_ID], "description": _ABOUT},
)
def stream_job_events(query: Mapping[str, Any], job_id: UUID) -> Response:
    """Follow a job until it has ended."""
    made, principal = installation(), current_principal()
    cursor = _last_id() or query["cursor"]
    observe.get(made.store, principal, job_id)
    if cursor is not None and observe.has_ended_before(made.store, principal, job_id, cursor):
        return nothing()
    stream = made.feed.open(principal, job_id=job_id, cursor=cursor)
    return event_stream(_messages(stream), lambda: made.feed.release(stream))


def _last_id() -> str | None:
    return request.headers.get("Last-Event-ID") or None


def _messages(stream: Stream) -> Iterator[bytes]:
    yield RETRY_LINE
    while not stream.closed:
        entries = stream.take(BEAT)
        yield b"".join(entry.written(_message) for entry in entries) or BEAT_LINE
        if stream.job_id is not None and entries and _is_over(entries[-1]) and stream.is_current:
            return


def _message(entry: Entry) -> bytes:
    return message(shown(entry.record), id=entry.cursor)


def _is_over(entry: Entry) -> bool:
    """Whether the job ended, or was removed, with this record."""
    return bool(entry.record.ends) or entry.record.event == "remove"
