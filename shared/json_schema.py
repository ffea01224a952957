"""JSON Schemas: compiled once, and their complaints put as field problems that people can act on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, cast

import orjson
from jsonschema import Draft202012Validator, SchemaError, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

from shared.errors import FieldProblem
from shared.json_values import unfit

_SHOWN = 20
"""How many problems one answer names at most."""

_LONGEST = 200
"""How many characters of a value or message are shown."""

_NO_OTHER_DOCUMENTS: Registry[Any] = Registry()
"""References lead within a schema only; nothing is ever fetched."""


def problems(schema: Mapping[str, Any], value: Any, field: str) -> list[FieldProblem]:
    """What in `value` does not fit `schema`, each with its path below `field`; empty when all does."""
    if unkept := unfit(value, field):
        return unkept
    try:
        errors = islice(_compiled(orjson.dumps(schema)).iter_errors(value), _SHOWN)
        return list(dict.fromkeys(problem for error in errors for problem in _tell(error, field)))
    except (Unresolvable, RecursionError) as error:
        return [FieldProblem(field, f"cannot be checked against its schema: {type(error).__name__}", "")]


def schema_problems(schema: Any, field: str) -> list[FieldProblem]:
    """What keeps `schema` from being a JSON Schema that stands on its own; empty when nothing does."""
    if unkept := unfit(schema, field):
        return unkept
    if not isinstance(schema, dict):
        return [FieldProblem(field, "is not a JSON Schema", "an object")]
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return [FieldProblem(_path(field, error), f"is not valid in a JSON Schema: {_short(error.message)}", "")]
    return list(_outside_references(schema, field))


def _outside_references(schema: Any, field: str) -> Iterator[FieldProblem]:
    if isinstance(schema, dict):
        for word, value in schema.items():
            if word in {"$ref", "$dynamicRef"} and isinstance(value, str) and not _is_inside(value):
                yield FieldProblem(f"{field}.{word}", "leads outside the schema", "#/$defs/...")
            yield from _outside_references(value, f"{field}.{word}")
    elif isinstance(schema, list):
        for index, value in enumerate(schema):
            yield from _outside_references(value, f"{field}.{index}")


def _is_inside(reference: str) -> bool:
    return reference.startswith(("#", "https://json-schema.org/draft/2020-12/"))


@lru_cache(maxsize=1024)
def _compiled(schema: bytes) -> Draft202012Validator:
    return Draft202012Validator(
        orjson.loads(schema), registry=_NO_OTHER_DOCUMENTS, format_checker=Draft202012Validator.FORMAT_CHECKER
    )


def _tell(error: ValidationError, field: str) -> list[FieldProblem]:
    path, rule, schema = _path(field, error), cast("Any", error.validator_value), cast("Any", error.schema)
    given: Any = error.instance
    match error.validator:
        case "required":
            missing = [name for name in rule if name not in given]
            return [FieldProblem(_below(path, name), "is required", _type_of(schema, name)) for name in missing]
        case "additionalProperties" if "patternProperties" not in schema:
            known = sorted(schema.get("properties", {}))
            expected = "one of: " + ", ".join(known) if known else "nothing here"
            extra = [name for name in given if name not in known]
            return [FieldProblem(_below(path, name), "is not known", expected) for name in extra]
        case "type":
            return [FieldProblem(path, "is of the wrong type", _words(rule))]
        case "enum":
            return [FieldProblem(path, "is not one of the choices", "one of: " + _words(rule))]
        case _:
            return [FieldProblem(path, _short(error.message), f"{error.validator}: {_short(rule)}")]


def _type_of(schema: Any, name: str) -> str:
    declared = schema.get("properties", {}).get(name)
    return _words(declared["type"]) if isinstance(declared, dict) and "type" in declared else ""


def _words(value: Any) -> str:
    return ", ".join(str(each) for each in value) if isinstance(value, list) else str(value)


def _path(field: str, error: ValidationError | SchemaError) -> str:
    path = field
    for step in error.absolute_path:
        path = _below(path, step)
    return path


def _below(path: str, step: object) -> str:
    return f"{path}.{step}" if path else str(step)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
