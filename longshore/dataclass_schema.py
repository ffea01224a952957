"""A dataclass as the args of a job type: its JSON Schema, and instances of it from checked JSON."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from jsonschema import Draft202012Validator

from longshore.errors import InvalidDeclaration, NotJson
from longshore.jsonable import jsonable


class Codec(NamedTuple):
    """The JSON Schema of a type, and how to build its value from JSON that fits the schema."""

    schema: dict[str, Any]
    build: Callable[[Any], Any]


def _same(value: Any) -> Any:
    return value


_SCALARS: dict[Any, Codec] = {
    Any: Codec({}, _same),
    str: Codec({"type": "string"}, _same),
    int: Codec({"type": "integer"}, int),
    float: Codec({"type": "number"}, float),
    bool: Codec({"type": "boolean"}, _same),
    type(None): Codec({"type": "null"}, _same),
    None: Codec({"type": "null"}, _same),
    dict: Codec({"type": "object"}, _same),
    list: Codec({"type": "array"}, _same),
    Path: Codec({"type": "string"}, Path),
    UUID: Codec({"type": "string", "format": "uuid"}, UUID),
    datetime: Codec({"type": "string", "format": "date-time"}, datetime.fromisoformat),
    date: Codec({"type": "string", "format": "date"}, date.fromisoformat),
}


def codec_of(hint: Any) -> Codec:
    """Give the codec of a type annotation. Raises InvalidDeclaration for what JSON cannot express."""
    if _hashable(hint) and hint in _SCALARS:
        return _SCALARS[hint]
    if isinstance(hint, type) and is_dataclass(hint):
        return _dataclass(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return Codec({"enum": [member.value for member in hint]}, hint)
    origin = get_origin(hint)
    if origin not in _GENERICS:
        raise InvalidDeclaration(f"args cannot hold {hint!r}: JSON has no such type")
    return _GENERICS[origin](get_args(hint))


def _hashable(hint: Any) -> bool:
    return getattr(type(hint), "__hash__", None) is not None and get_origin(hint) is not Annotated


# ---------------------------------------------------------------------------------------- dataclasses


def _dataclass(cls: type) -> Codec:
    try:
        hints = get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise InvalidDeclaration(f"args: an annotation of {cls.__name__} cannot be resolved: {error}") from error
    members = {f.name: (f, codec_of(hints[f.name])) for f in fields(cls) if f.init}
    schema = {
        "type": "object",
        "title": cls.__name__,
        "properties": {name: _property(f, codec.schema) for name, (f, codec) in members.items()},
        "required": [name for name, (f, _) in members.items() if _is_required(f)],
        "additionalProperties": False,
    }
    codecs = {name: codec for name, (_, codec) in members.items()}
    return Codec(schema, lambda raw: cls(**{name: codecs[name].build(item) for name, item in raw.items()}))


def _property(member: Field[Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Join a type's schema, the member's metadata (description, minimum, pattern, ..) and its default."""
    whole = {**schema, **member.metadata}
    default = member.default if member.default_factory is MISSING else member.default_factory()
    if default is not MISSING:
        whole["default"] = _default(default, member.name)
    return whole


def _default(value: Any, name: str) -> Any:
    try:
        return jsonable(value, f"the default of args.{name}")
    except NotJson as error:
        raise InvalidDeclaration(str(error)) from error


def _is_required(member: Field[Any]) -> bool:
    return member.default is MISSING and member.default_factory is MISSING


# ------------------------------------------------------------------------------------------- generics


def _array(build: Callable[[Any], Any]) -> Callable[[tuple[Any, ...]], Codec]:
    def codec(parts: tuple[Any, ...]) -> Codec:
        item = codec_of(parts[0])
        return Codec({"type": "array", "items": item.schema}, lambda raw: build(map(item.build, raw)))

    return codec


def _set(parts: tuple[Any, ...]) -> Codec:
    codec = _array(set)(parts)
    return Codec({**codec.schema, "uniqueItems": True}, codec.build)


def _tuple(parts: tuple[Any, ...]) -> Codec:
    if len(parts) == 2 and parts[1] is Ellipsis:  # noqa: PLR2004 - the form tuple[X, ...]
        return _array(tuple)(parts)
    items = [codec_of(part) for part in parts]
    schema = {
        "type": "array",
        "prefixItems": [item.schema for item in items],
        "minItems": len(items),
        "maxItems": len(items),
    }
    return Codec(schema, lambda raw: tuple(c.build(item) for c, item in zip(items, raw, strict=True)))


def _mapping(parts: tuple[Any, ...]) -> Codec:
    key, value = parts
    if key is not str:
        raise InvalidDeclaration(f"args: the keys of a dictionary must be str, not {key!r}")
    codec = codec_of(value)
    schema = {"type": "object", "additionalProperties": codec.schema}
    return Codec(schema, lambda raw: {name: codec.build(item) for name, item in raw.items()})


def _literal(parts: tuple[Any, ...]) -> Codec:
    return Codec({"enum": list(parts)}, _same)


def _annotated(parts: tuple[Any, ...]) -> Codec:
    """Take `Annotated[int, {"minimum": 1}]`: dictionaries join the schema, other notes are not for us."""
    codec = codec_of(parts[0])
    notes = [note for note in parts[1:] if isinstance(note, Mapping)]
    return Codec({**codec.schema, **{k: v for note in notes for k, v in note.items()}}, codec.build)


def _union(parts: tuple[Any, ...]) -> Codec:
    codecs = [codec_of(part) for part in parts]
    validators = [(Draft202012Validator(codec.schema), codec.build) for codec in codecs]

    def build(raw: Any) -> Any:
        return next(build(raw) for validator, build in validators if validator.is_valid(raw))

    if all(set(codec.schema) == {"type"} for codec in codecs):  # a shorter form with a better message
        return Codec({"type": [codec.schema["type"] for codec in codecs]}, build)
    return Codec({"anyOf": [codec.schema for codec in codecs]}, build)


_GENERICS: dict[Any, Callable[[tuple[Any, ...]], Codec]] = {
    list: _array(list),
    Sequence: _array(list),
    set: _set,
    frozenset: lambda parts: Codec(_set(parts).schema, lambda raw: frozenset(_set(parts).build(raw))),
    AbstractSet: _set,
    tuple: _tuple,
    dict: _mapping,
    Mapping: _mapping,
    Literal: _literal,
    Annotated: _annotated,
    Union: _union,
    types.UnionType: _union,
}
