"""A marshmallow schema as the args of a job type; imported only for those who use one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema, ValidationError

from longshore.errors import FieldProblem, InvalidArguments


def arguments_of_schema(declared: Any) -> tuple[dict[str, Any], Callable[[dict[str, Any]], Any]]:
    """Give the JSON Schema of a marshmallow schema (class or instance), and its decoding."""
    schema: Schema = declared() if isinstance(declared, type) else declared

    def build(raw: dict[str, Any]) -> Any:
        try:
            return schema.load(raw)
        except ValidationError as error:
            raise InvalidArguments(list(_problems(error.messages, "args"))) from error

    return _json_schema(schema), build


def _json_schema(schema: Schema) -> dict[str, Any]:
    # Nested schemas are written out in place: a declaration refers to nothing outside itself.
    spec = APISpec("args", "1", "3.1.0")
    converter: Any = OpenAPIConverter("3.1.0", schema_name_resolver=lambda _: "", spec=spec)
    return {**converter.schema2jsonschema(schema), "type": "object", "additionalProperties": False}


def _problems(messages: Any, path: str) -> list[FieldProblem]:
    if isinstance(messages, Mapping):
        return [problem for key, part in messages.items() for problem in _problems(part, _join(path, key))]
    return [FieldProblem(path, str(message)) for message in messages]


def _join(path: str, key: object) -> str:
    if key == "_schema":
        return path
    return f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}"
