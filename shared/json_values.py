"""Which JSON values both databases keep and every client reads back as it sent them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from shared.errors import FieldProblem

MAX_DEPTH = 32
"""How deep objects and lists may stand in each other."""

MAX_VALUES = 100_000
"""How many values, counted at every depth, one JSON value may hold."""

_SHOWN = 20
_WHOLE = range(-(2**63), 2**63)


def unfit(value: Any, field: str) -> list[FieldProblem]:
    """What in `value` cannot be kept, each with its path below `field`; empty when all can."""
    found: list[FieldProblem] = []
    for count, (path, each, depth) in enumerate(_walk(value, field)):
        if count >= MAX_VALUES or depth > MAX_DEPTH:
            what, most = ("values", MAX_VALUES) if count >= MAX_VALUES else ("levels", MAX_DEPTH)
            return [*found, FieldProblem(field, f"has too many {what}", f"at most {most}")]
        if problem := _problem(path, each):
            found.append(problem)
            if len(found) >= _SHOWN:
                break
    return found


def is_fit_text(text: str) -> bool:
    """Whether both databases can keep `text`: no NUL character and no half of a surrogate pair."""
    if text.isascii():
        return "\0" not in text
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def is_fit_whole(number: int) -> bool:
    """Whether `number` is a signed 64-bit integer."""
    return number in _WHOLE


def _walk(value: Any, field: str) -> Iterator[tuple[str, Any, int]]:
    waiting = [(field, value, 0)]
    while waiting:
        path, each, depth = waiting.pop()
        yield path, each, depth
        if isinstance(each, dict):
            waiting += [(_below(path, name), inner, depth + 1) for name, inner in each.items()]
        elif isinstance(each, list | tuple):
            waiting += [(_below(path, index), inner, depth + 1) for index, inner in enumerate(each)]


def _below(path: str, step: object) -> str:
    return f"{path}.{step}" if path else str(step)


def _problem(path: str, value: Any) -> FieldProblem | None:
    if isinstance(value, str):
        return None if is_fit_text(value) else FieldProblem(path, "holds characters that cannot be kept", "no NUL")
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return None if is_fit_whole(value) else FieldProblem(path, "is out of range", "a 64-bit integer")
    if isinstance(value, float):
        return None if math.isfinite(value) else FieldProblem(path, "is not a number", "a finite number")
    if isinstance(value, dict):
        bad = not all(isinstance(name, str) and is_fit_text(name) for name in value)
        return FieldProblem(path, "has a name that cannot be kept", "names without NUL") if bad else None
    return None if isinstance(value, list | tuple) else FieldProblem(path, "is not JSON", "a JSON value")
