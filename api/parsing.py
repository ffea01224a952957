"""Reading requests: every body and query is bounded, well-formed and wholly understood before a route sees it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import marshmallow as ma
import orjson
from flask import Request, request
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from api.fields import EXPECTED
from shared.errors import FieldProblem, InvalidInput

MAX_DEPTH = 32
"""How deep JSON bodies may nest."""

_MOST = 2**63 - 1
_MANY_DIGITS = re.compile(rb"\d{19}")
"""only where so many digits stand together can a whole number be too large"""


class Strict(ma.Schema):
    """Parent of all schemas of input: what it does not name is refused."""

    class Meta:
        unknown = ma.RAISE


def json_body(given: Request) -> Any:
    """The JSON of a request, an empty object without a body.

    415 for another media type, 400 for what is not JSON, 422 for what cannot be stored.
    """
    raw = given.get_data(cache=True)
    _refuse_a_cut_body(given, raw)
    if not raw:
        return {}
    if given.mimetype != "application/json" and not given.mimetype.endswith("+json"):
        raise UnsupportedMediaType("The body must be JSON, sent with Content-Type: application/json.")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The body is not valid JSON: {error}.") from None
    refuse_unstorable(value)
    if _MANY_DIGITS.search(raw):
        json.loads(raw, parse_int=_exact)
    return value


def _refuse_a_cut_body(given: Request, raw: bytes) -> None:
    """A body sent in chunks announces no length; werkzeug stops at the limit without a word."""
    limit = given.max_content_length
    if given.content_length is None and limit and len(raw) >= limit and given.environ["wsgi.input"].read(1):
        raise RequestEntityTooLarge


def _exact(digits: str) -> int:
    """Refuses whole numbers that would be rounded without a word."""
    if len(digits) > len(str(-_MOST)) or not -_MOST <= int(digits) <= _MOST:
        problem = FieldProblem("", f"holds the whole number {digits[:40]}", "at most 64 bits; anything larger as text")
        raise InvalidInput(problems=[problem])
    return int(digits)


def refuse_unstorable(value: Any) -> None:
    """Raises `InvalidInput` for JSON that nests too deep or holds NUL characters, which no database keeps."""
    for path, depth, text in _leaves(value):
        if depth > MAX_DEPTH:
            raise InvalidInput(problems=[FieldProblem(path, "is nested too deep", f"at most {MAX_DEPTH} levels")])
        if isinstance(text, str) and "\x00" in text:
            raise InvalidInput(problems=[FieldProblem(path, "holds a NUL character", "text without NUL")])


def _leaves(value: Any) -> Iterator[tuple[str, int, Any]]:
    stack: list[tuple[str, int, Any]] = [("", 0, value)]
    while stack:
        path, depth, item = stack.pop()
        if depth > MAX_DEPTH or not isinstance(item, dict | list):
            yield path, depth, item
        elif isinstance(item, dict):
            for key, inner in item.items():
                yield path, depth, key
                stack.append((f"{path}.{key}"[-200:].lstrip("."), depth + 1, inner))
        else:
            stack.extend((f"{path}.{index}".lstrip("."), depth + 1, inner) for index, inner in enumerate(item))


def query_values(given: Request, schema: ma.Schema) -> dict[str, Any]:
    """The query as plain values: lists where the schema wants lists, otherwise one value for each name."""
    values: dict[str, Any] = {}
    for name, all_values in given.args.lists():
        if isinstance(schema.fields.get(name), ma.fields.List):
            values[name] = all_values
        elif len(all_values) == 1:
            values[name] = all_values[0]
        else:
            raise InvalidInput(problems=[FieldProblem(name, "is given more than once", "one value")])
    return values


def refuse_odd_addresses() -> None:
    """No NUL character in the path or the query of any request."""
    if "\x00" in request.path or b"%00" in request.query_string or b"\x00" in request.query_string:
        raise BadRequest("NUL characters are not allowed in an address.")


class StrictParser(FlaskParser):
    """How flask-smorest reads what a route declares; its methods are webargs' own."""

    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {}  # noqa: RUF012 - webargs' own form

    def load_json(self, req: Request, schema: ma.Schema) -> Any:  # noqa: ARG002, D102 - webargs' form
        return json_body(req)

    def load_querystring(self, req: Request, schema: ma.Schema) -> Any:  # noqa: D102 - webargs' form
        return query_values(req, schema)

    def handle_error(  # noqa: D102 - webargs' form
        self,
        error: ma.ValidationError,
        req: Request,  # noqa: ARG002 - webargs' form
        schema: ma.Schema,
        *,
        error_status_code: int | None,  # noqa: ARG002 - webargs' form
        error_headers: Mapping[str, str] | None,  # noqa: ARG002 - webargs' form
    ) -> NoReturn:
        raise invalid(error, schema) from None


def invalid(error: ma.ValidationError, schema: ma.Schema) -> InvalidInput:
    """The problems marshmallow found, each with the path of its field and what was expected there."""
    by_location = error.messages if isinstance(error.messages, dict) else {"": error.messages}
    return InvalidInput(problems=[found for each in by_location.values() for found in _problems(each, schema, ())])


def _problems(messages: Any, field: Any, path: tuple[str, ...]) -> Iterator[FieldProblem]:
    """`field` is the schema or the field at `path`, None where there is none."""
    if isinstance(messages, dict):
        for key, inner in messages.items():
            part = str(key)
            yield from _problems(inner, *_step(field, part, path))
    else:
        texts = messages if isinstance(messages, list) else [messages]
        yield from (FieldProblem(".".join(path)[:300], str(text), _expected(field)) for text in texts)


def _step(field: Any, part: str, path: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
    """One step down: what is there, and its path, without the words that are marshmallow's own."""
    if part == "_schema":
        return field, path
    if isinstance(field, _EntryOf):
        return (field.entry.value_field if part == "value" else field.entry.key_field), path
    return _inside(field, part), (*path, part)


@dataclass(frozen=True)
class _EntryOf:
    """One entry of a field that is a mapping; its messages tell next whether they are on the key or the value."""

    entry: Any


@dataclass(frozen=True)
class _Unknown:
    """A name that a schema does not know, with those that it does."""

    known: tuple[str, ...]


def _expected(field: Any) -> str:
    if isinstance(field, _Unknown):
        return f"one of: {', '.join(field.known)}"
    if isinstance(field, ma.Schema | ma.fields.Nested):
        return "a JSON object"
    return str(field.metadata.get(EXPECTED, "")) if isinstance(field, ma.fields.Field) else ""


def _inside(found: Any, part: str) -> Any:
    if isinstance(found, ma.fields.Nested):
        found = found.schema
    if isinstance(found, ma.Schema):
        return found.fields.get(part) or _Unknown(tuple(sorted(found.fields)))
    if isinstance(found, ma.fields.Dict):
        return _EntryOf(found)
    return found.inner if isinstance(found, ma.fields.List) else found
