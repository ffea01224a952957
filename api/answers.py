"""Responses: JSON by orjson, lists with a link to their next page, entity tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import orjson
from flask import Response, request

BASE = "/api/v1"


def address(path: str) -> str:
    """The address of something of this API, below the prefix the application is mounted under."""
    return f"{request.script_root}{BASE}{path}"


def rendered(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as JSON."""
    body = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    return Response(body, status, dict(headers or {}), mimetype="application/json")


def created(value: Any, path: str, status: int = 201) -> Response:
    """`value` with the address of what was made."""
    return rendered(value, status, {"Location": address(path)})


def nothing() -> Response:
    """Done, and there is nothing to say."""
    return Response(status=204)


def page(items: list[Any], following: str | None, **further: Any) -> Response:
    """One page of a list; `following` is the cursor of the next, announced in the body and as a Link (RFC 8288)."""
    headers = {"Link": f'<{_same_with_cursor(following)}>; rel="next"'} if following else {}
    return rendered({"items": items, "next": following, **further}, headers=headers)


def _same_with_cursor(cursor: str) -> str:
    query = [(name, value) for name, value in request.args.items(multi=True) if name != "cursor"]
    return f"{request.script_root}{request.path}?{urlencode([*query, ('cursor', cursor)])}"


def tagged(value: Any, version: int, status: int = 200) -> Response:
    """`value` with its version as entity tag; 304 without a body when the client holds that version."""
    response = rendered(value, status)
    response.set_etag(str(version))
    response.headers["Cache-Control"] = "private, no-cache"
    if request.method in {"GET", "HEAD"}:
        response.make_conditional(request)
    return response
