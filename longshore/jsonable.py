"""Turn what job code hands over (results, saved states) into plain JSON, or say what is in the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from pathlib import PurePath
from typing import Any

from longshore.errors import NotJson


def jsonable(value: Any, where: str) -> Any:
    """Give the JSON form of a value; `where` names it in errors. Raises NotJson.

    Beyond JSON's own types this takes dataclasses, enums, paths, dates, sets and numpy's numbers and arrays.
    """
    if value is None or isinstance(value, str | bool) or type(value) is int:
        return value
    if isinstance(value, float):
        return _finite(value, where)
    if isinstance(value, Mapping):
        return {_key(key, where): jsonable(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item, f"{where}[{number}]") for number, item in enumerate(value)]
    return _converted(value, where)


def _finite(value: float, where: str) -> float:
    if not math.isfinite(value):
        raise NotJson(f"{where} is {value}, which JSON cannot express")
    return float(value)


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise NotJson(f"{where} has the key {key!r}; keys must be strings")
    return key


def _converted(value: Any, where: str) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: jsonable(getattr(value, f.name), f"{where}.{f.name}") for f in fields(value)}
    for kind, convert in _CONVERSIONS:
        if isinstance(value, kind):
            return jsonable(convert(value), where)
    # numpy's scalars and arrays are known by what they can do: numpy is not required.
    if callable(getattr(value, "tolist", None)):
        return jsonable(value.tolist(), where)
    raise NotJson(f"{where} is a {type(value).__name__}, which cannot be stored as JSON")


_CONVERSIONS: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (Enum, lambda value: value.value),
    (date, lambda value: value.isoformat()),
    (PurePath, str),
    (AbstractSet, lambda value: sorted(value, key=lambda item: (type(item).__name__, item))),
    (int, int),
)
