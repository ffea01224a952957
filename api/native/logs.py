"""Logs: what an execution wrote, from an offset, the tail, or followed while it is being written."""

from __future__ import annotations

import codecs
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from flask import Response, request

from api.auth import Access, current_principal
from api.fields import QueryTruth, QueryWhole, Word
from api.installation import installation
from api.parsing import Strict
from api.resource import Answer, Resource
from api.sse import BEAT_LINE, MEDIA_TYPE, RETRY_LINE, event_stream, message
from api.streams import BEAT, Place
from shared import observe
from shared.errors import Unavailable
from shared.principal import Principal, Scope
from shared.store import Store

resource = Resource("logs", __name__, url_prefix="/api/v1", description="What executions wrote.")

STREAMS = ("stdout", "stderr", "log")
PLAIN = "text/plain"
MOST_BYTES = 1024 * 1024
PAUSES = (0.2, 0.3, 0.5, 1.0)
"""seconds between two looks at a log that is followed: longer the longer nothing has come"""

_DIGITS = 16
_TEXT = {"type": "string"}
_ABOUT = (
    "`X-Next-Offset` is where to go on. With `follow=true` the log is sent as it is written until the execution ends: "
    "as server-sent events, whose `id` is the next offset and whose last one is `end`, or as plain text to a client "
    "that accepts only that."
)


class LogQuery(Strict):
    """Which part of which log."""

    attempt = QueryWhole(1, 2**31 - 1, "Which execution; the last one if not given.", load_default=None)
    stream = Word(STREAMS, "Only this stream; `log` is what `job.log` wrote.", load_default=None)
    offset = QueryWhole(0, 2**53, "Byte from which to read.", load_default=None)
    tail = QueryWhole(0, 100_000, "Only so many last lines.", load_default=None)
    limit = QueryWhole(1, MOST_BYTES, "How many bytes at most.", load_default=MOST_BYTES)
    follow = QueryTruth("Go on while the execution writes.", load_default=False)


@dataclass(frozen=True)
class _Reader:
    """One log, and where the next look at it begins."""

    store: Store
    principal: Principal
    job_id: UUID
    attempt: int | None
    stream: str | None
    limit: int
    offset: int | None = None
    tail: int | None = None

    def read(self) -> tuple[bytes, int, bool]:
        """(bytes, next offset, whether the execution has ended)."""
        return observe.read_log(
            self.store,
            self.principal,
            self.job_id,
            attempt=self.attempt,
            stream=self.stream,
            offset=self.offset,
            limit=self.limit,
            tail=self.tail,
        )

    def pinned(self) -> _Reader:
        """The log of one execution for good, so that offsets go on to mean the same when another one begins."""
        if self.attempt is not None:
            return self
        return replace(self, attempt=observe.get(self.store, self.principal, self.job_id).attempt or None)

    def after(self, offset: int) -> _Reader:
        """The same log from there on."""
        return replace(self, offset=offset, tail=None)


@resource.operation(
    "GET",
    "/jobs/<uuid:job_id>/logs",
    Access(Scope.READ, executions=True),
    query=LogQuery,
    answers={200: Answer("The log.", _TEXT, PLAIN, {"X-Next-Offset": "where to go on reading"})},
    doc={"description": _ABOUT},
)
def read_log(query: Mapping[str, Any], job_id: UUID) -> Response:
    """Read or follow what an execution wrote."""
    made, wanted = installation(), {name: value for name, value in query.items() if name != "follow"}
    reader = _Reader(made.store, current_principal(), job_id, **wanted)
    if query["follow"] and "Last-Event-ID" in request.headers:
        reader = _resumed(reader)
    reader = reader.pinned()
    text, offset, ended = reader.read()
    if not query["follow"]:
        headers = {"X-Next-Offset": str(offset), "X-Log-Ended": str(ended).lower()}
        return Response(text, headers=headers, content_type=f"{PLAIN}; charset=utf-8")
    place = made.feed.take_place(Place())
    following = _follow(place, reader, (text, offset, ended))
    if request.accept_mimetypes.best_match([MEDIA_TYPE, PLAIN], default=MEDIA_TYPE) == PLAIN:
        return event_stream((part for part, _ in following), lambda: made.feed.release(place), PLAIN)
    return event_stream(_messages(place, following), lambda: made.feed.release(place))


def _resumed(reader: _Reader) -> _Reader:
    given = request.headers["Last-Event-ID"]
    return reader.after(int(given)) if given.isascii() and given.isdigit() and len(given) < _DIGITS else reader


def _follow(place: Place, reader: _Reader, seen: tuple[bytes, int, bool]) -> Iterator[tuple[bytes, int]]:
    """(bytes, next offset) as they come, until the execution has ended; no bytes at every beat."""
    text, offset, ended = seen
    quiet, last = 0, time.monotonic()
    while not place.closed:
        if text or time.monotonic() - last > BEAT:
            last = time.monotonic()
            yield text, offset
        if ended and not text:
            return
        quiet = 0 if text else quiet + 1
        if quiet:
            place.rest(PAUSES[min(quiet, len(PAUSES)) - 1])
        text, offset, ended = _again(reader.after(offset), offset)


def _again(reader: _Reader, offset: int) -> tuple[bytes, int, bool]:
    try:
        return reader.pinned().read()
    except Unavailable:
        return b"", offset, False


def _messages(place: Place, following: Iterator[tuple[bytes, int]]) -> Iterator[bytes]:
    yield RETRY_LINE
    decoder, offset = codecs.getincrementaldecoder("utf-8")("replace"), 0
    for text, offset in following:
        shown = decoder.decode(text)
        yield message({"offset": offset, "text": shown}, id=str(offset)) if text else BEAT_LINE
    if not place.closed:
        yield message({"offset": offset}, id=str(offset), event="end")
