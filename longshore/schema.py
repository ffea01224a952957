"""The args of a job type: their JSON Schema, a check that names every wrong field, and their decoding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, is_dataclass
from functools import cached_property
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry

from longshore.dataclass_schema import codec_of
from longshore.errors import FieldProblem, InvalidArguments, InvalidDeclaration

_FORMATS = FormatChecker()
_NO_OTHER_DOCUMENTS: Registry[Any] = Registry()
"""A schema refers to nothing outside itself: nothing is ever fetched."""


@dataclass(frozen=True)
class Arguments:
    """How the args of a job type look (`schema`) and what job code gets for them (`decode`)."""

    schema: dict[str, Any]
    build: Callable[[dict[str, Any]], Any] = field(repr=False)

    def decode(self, raw: Mapping[str, Any] | None) -> Any:
        """Check args and give them the form that job code sees. Raises InvalidArguments naming each field."""
        value = {} if raw is None else raw
        problems = _found_by(self._validator, value, "args")
        if problems:
            raise InvalidArguments(problems)
        try:
            return self.build(deepcopy(dict(value)))
        except (ValueError, TypeError, OverflowError) as error:  # a dataclass may check what a schema cannot express
            raise InvalidArguments([FieldProblem("args", str(error))]) from error

    @cached_property
    def _validator(self) -> Draft202012Validator:
        return _validator_of(self.schema)


def arguments_of(declared: object) -> Arguments:
    """Read what stands after `args=`: a dataclass, a JSON Schema, a marshmallow schema, or None for any args.

    Raises InvalidDeclaration.
    """
    if declared is None:
        return Arguments({"type": "object"}, lambda raw: raw)
    if isinstance(declared, type) and is_dataclass(declared):
        codec = codec_of(declared)
        return Arguments(codec.schema, codec.build)
    if isinstance(declared, Mapping):
        return _of_json_schema(declared)
    if _is_marshmallow(declared):
        # Loaded only for those who use it: authors of plain job types need no web libraries.
        from longshore.marshmallow_schema import arguments_of_schema  # noqa: PLC0415 - optional

        return Arguments(*arguments_of_schema(declared))
    raise InvalidDeclaration(f"args must be a dataclass, a JSON Schema or a marshmallow schema, not {declared!r}")


def problems_of(schema: Mapping[str, Any], value: object, root: str = "args") -> list[FieldProblem]:
    """Check a value against a JSON Schema; an empty list means that it fits."""
    return _found_by(_validator_of(schema), value, root)


def _validator_of(schema: Mapping[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(schema, format_checker=_FORMATS, registry=_NO_OTHER_DOCUMENTS)


def _found_by(validator: Draft202012Validator, value: object, root: str) -> list[FieldProblem]:
    found = (problem for error in validator.iter_errors(value) for problem in _problems(error, root))
    return sorted(set(found))


# ------------------------------------------------------------------------------------------ JSON Schema


def _of_json_schema(declared: Mapping[str, Any]) -> Arguments:
    schema = {"type": "object", **deepcopy(dict(declared))}
    if schema["type"] != "object":
        raise InvalidDeclaration("the JSON Schema of args must describe an object: give it 'properties'")
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        place = "".join(f"[{part!r}]" for part in error.absolute_path)
        raise InvalidDeclaration(f"args{place} is no valid JSON Schema: {error.message}") from error
    return Arguments(schema, lambda raw: with_defaults(schema, raw))


def with_defaults(schema: Mapping[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """Fill the defaults that a schema states into args, in place and in nested objects too."""
    for name, part in schema.get("properties", {}).items():
        if not isinstance(part, Mapping):
            continue
        if name not in value and "default" in part:
            value[name] = deepcopy(part["default"])
        if isinstance(value.get(name), dict):
            with_defaults(part, value[name])
    return value


def _is_marshmallow(declared: object) -> bool:
    kind = declared if isinstance(declared, type) else type(declared)
    return any(base.__module__.partition(".")[0] == "marshmallow" for base in kind.__mro__)


# ---------------------------------------------------------------------- from jsonschema's errors to ours


def _problems(error: ValidationError, root: str) -> Iterator[FieldProblem]:
    path = root + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    rule: Any = error.validator_value
    instance: Any = error.instance
    if error.validator == "required":
        missing = [name for name in rule if name not in instance]
        yield from (FieldProblem(f"{path}.{name}", "is required") for name in missing)
    elif error.validator == "additionalProperties" and rule is False:
        schema: Any = error.schema
        known = sorted(schema.get("properties", {}))
        unknown = [name for name in instance if name not in known]
        expected = f"one of: {', '.join(known)}" if known else "no fields"
        yield from (FieldProblem(f"{path}.{name}", "is not a known field", expected) for name in unknown)
    else:
        yield FieldProblem(path, _message(error), _expected(error))


def _message(error: ValidationError) -> str:
    wording = {"type": "has the wrong type", "enum": "is not one of the allowed values"}
    plain = wording.get(str(error.validator))
    return f"{plain}: {error.instance!r}"[:300] if plain else error.message[:300]


def _expected(error: ValidationError) -> str:
    value: Any = error.validator_value
    if error.validator == "type":
        return " or ".join(value) if isinstance(value, list) else str(value)
    if error.validator == "enum":
        return f"one of: {', '.join(map(str, value))}"
    return f"{error.validator} {value}" if isinstance(value, int | float | str) else ""
