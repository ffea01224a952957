"""Server-sent events: their form, and the response that carries them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
from flask import Response

MEDIA_TYPE = "text/event-stream"
BEAT_LINE = b": beat\n\n"
"""A comment: tells both sides and all between them that the stream lives."""

RETRY_LINE = b"retry: 2000\n\n"
"""How many milliseconds a browser waits before it connects again."""


def message(data: Any, *, id: str | None = None, event: str | None = None) -> bytes:
    """One message. JSON is one line, so it needs no splitting."""
    parts = [f"id: {id}\n" if id is not None else "", f"event: {event}\n" if event else ""]
    return "".join(parts).encode() + b"data: " + orjson.dumps(data) + b"\n\n"


def event_stream(parts: Iterator[bytes], at_end: Callable[[], None], media_type: str = MEDIA_TYPE) -> Response:
    """The response that sends `parts` as they come; `at_end` is called once it is over, however that comes about."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    response = Response(parts, content_type=f"{media_type}; charset=utf-8", headers=headers)
    response.implicit_sequence_conversion = False
    response.call_on_close(at_end)
    return response
