"""One declaration for each operation: its address, who may use it, what it takes, what it answers.

From it follow the routing, the guard, the reading of input and the OpenAPI document, so that they cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

import marshmallow as ma
from flask_smorest import Blueprint  # type: ignore[import-untyped]  # ships no types

from api import errors
from api.auth import Access, declare
from api.parsing import StrictParser

View = TypeVar("View", bound=Callable[..., Any])
Wrap = Callable[[Any], Any]
JSON = "application/json"


@dataclass(frozen=True)
class Answer:
    """A successful answer: its body, if it has one, and headers of its own."""

    doc: str
    schema: type[ma.Schema] | ma.Schema | Mapping[str, Any] | None = None
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Body:
    """A JSON body; `limit` names the setting that bounds its size."""

    schema: type[ma.Schema]
    required: bool = True
    limit: str = "max_body"


@dataclass(frozen=True)
class Raw:
    """A body of plain bytes, which the view reads itself."""

    limit: str


class Resource(Blueprint):  # type: ignore[misc]  # flask-smorest ships no types
    """All operations on one kind of thing."""

    ARGUMENTS_PARSER = StrictParser()

    def operation(  # noqa: PLR0913 - one declaration of all there is to say
        self,
        method: str,
        rule: str,
        access: Access,
        *,
        answers: Mapping[int, Answer],
        query: type[ma.Schema] | None = None,
        body: Body | Raw | None = None,
        refuses: Iterable[int] = (),
        doc: Mapping[str, Any] | None = None,
    ) -> Callable[[View], View]:
        """Makes a function the view of `method` on `rule`.

        It is called with the loaded query, then the loaded body, then the parts of the address by name. `refuses` are
        the statuses of errors beyond those that follow from the declaration; `doc` is merged into the OpenAPI document.
        """
        failures = sorted({*_failures(rule, access, query, body), *refuses})
        wraps = [
            *([self.arguments(body.schema, location="json", required=body.required)] if isinstance(body, Body) else []),
            *([self.arguments(query, location="query")] if query else []),
            *(self._success(status, answer) for status, answer in answers.items()),
            *(self._failure(status) for status in failures),
            self.doc(**_documented(access, body, doc or {})),
        ]

        def wrap(view: View) -> View:
            wrapped: Any = declare(view, access)
            wrapped.max_body = body.limit if body else "max_body"
            for each in wraps:
                wrapped = each(wrapped)
            self.route(rule, methods=[method])(wrapped)
            return view

        return wrap

    def _success(self, status: int, answer: Answer) -> Wrap:
        headers = {name: {"description": text, "schema": {"type": "string"}} for name, text in answer.headers.items()}
        wrap: Wrap = self.alt_response(
            status,
            schema=answer.schema,
            content_type=answer.content_type,
            description=answer.doc,
            headers=headers or None,
            success=True,
        )
        return wrap

    def _failure(self, status: int) -> Wrap:
        wrap: Wrap = self.alt_response(
            status,
            schema=errors.ProblemSchema,
            content_type=errors.MEDIA_TYPE,
            description=HTTPStatus(status).phrase,
        )
        return wrap


def _failures(rule: str, access: Access, query: type[ma.Schema] | None, body: Body | Raw | None) -> set[int]:
    statuses = {400}
    if not access.public:
        statuses |= {401, 403, 503}
    if "<" in rule:
        statuses |= {404}
    if query:
        statuses |= {422}
    if body:
        statuses |= {413, 422}
    if isinstance(body, Body):
        statuses |= {415}
    return statuses


def _documented(access: Access, body: Body | Raw | None, doc: Mapping[str, Any]) -> dict[str, Any]:
    notes = []
    if access.scope is not None:
        notes.append(f"Needs the scope `{access.scope}`.")
    if access.executions:
        notes.append("An execution's token may do this with its own job.")
    if body:
        notes.append(f"The body may be as large as the setting `LONGSHORE_{body.limit.upper()}` says.")
    described = " ".join([*([doc["description"]] if "description" in doc else []), *notes])
    security: list[dict[str, list[str]]] = [] if access.public else [{"bearer": []}, {"basic": []}, {"token": []}]
    if isinstance(body, Raw):
        doc = {**doc, "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {}}}}}
    return {**doc, "security": security, **({"description": described} if described else {})}
