"""Every failure is answered with a problem (RFC 9457), whoever raised it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import marshmallow as ma
import orjson
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, NotFound, RequestEntityTooLarge
from werkzeug.http import HTTP_STATUS_CODES

from shared.errors import BrokerUnavailable, FieldProblem, LongshoreError, NotAuthenticated, Unavailable

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = "2"
"""seconds after which to try again what was refused for want of a database or of room"""

CHALLENGE = 'Bearer realm="longshore", Basic realm="longshore", charset="UTF-8"'
_CODES = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-media-type",
}


class FieldProblemSchema(ma.Schema):
    """What is wrong with one field."""

    field = ma.fields.String(required=True, metadata={"description": "path of the field, for example args.k"})
    message = ma.fields.String(required=True)
    expected = ma.fields.String(required=True, metadata={"description": "what a right value looks like"})


class ProblemSchema(ma.Schema):
    """A problem (RFC 9457)."""

    type = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    status = ma.fields.Integer(required=True)
    detail = ma.fields.String(required=True)
    code = ma.fields.String(required=True, metadata={"description": "stable name of this kind of problem"})
    errors = ma.fields.List(ma.fields.Nested(FieldProblemSchema), required=True)


def register(app: Flask) -> None:
    """Sets the handlers: ours, werkzeug's and, as the last, everything nobody foresaw."""
    app.register_error_handler(LongshoreError, answer)
    app.register_error_handler(HTTPException, answer_http)
    app.register_error_handler(Exception, answer_unforeseen)


def answer(error: LongshoreError) -> Response:
    """The response to one of our own errors."""
    headers: dict[str, str] = {}
    if isinstance(error, NotAuthenticated):
        headers["WWW-Authenticate"] = CHALLENGE
    detail = error.detail
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = RETRY_AFTER
    if isinstance(error, Unavailable | BrokerUnavailable):
        log.warning("%s", error.detail)
        detail = error.title
    return problem(error.status, error.code, error.title, detail, error.problems, headers)


def answer_http(error: HTTPException) -> Response:
    """The response to an error of the web framework, with the headers that belong to it, such as Allow."""
    if error.response is not None or error.code is None or error.code < HTTPStatus.BAD_REQUEST:
        return Response(error.get_response().get_data(), error.code, [*error.get_headers()])
    code = _CODES.get(error.code) or error.name.lower().replace(" ", "-")
    kept = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
    return problem(error.code, code, error.name, _detail(error), headers=kept)


def _detail(error: HTTPException) -> str:
    """What the framework says, in words that tell what to do where its own do not."""
    if isinstance(error, RequestEntityTooLarge) and request.max_content_length:
        return f"The body may have at most {request.max_content_length} bytes here."
    if isinstance(error, NotFound) and error.description == NotFound.description:
        return "Nothing is at this address; /docs shows all there are. Jobs and files are addressed by their full id."
    return error.description or error.name


def answer_unforeseen(error: Exception) -> Response:
    """A fault of ours: told to the log in full, and to the client not at all."""
    log.error("a request failed", exc_info=error)
    return problem(500, "internal-error", "Something went wrong here.", "The fault is in the log of the server.")


def problem(
    status: int,
    code: str,
    title: str,
    detail: str,
    problems: Iterable[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The response that tells of a problem."""
    body: dict[str, Any] = {
        "type": f"about:blank#{code}",
        "title": title or HTTP_STATUS_CODES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "code": code,
        "errors": [{"field": each.field, "message": each.message, "expected": each.expected} for each in problems],
    }
    return Response(orjson.dumps(body), status, dict(headers or {}), mimetype=MEDIA_TYPE)
