"""Which JSON values both databases keep and every client reads back as it sent them; and how others are made fit."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from shared.errors import FieldProblem, InvalidInput

MAX_DEPTH = 32
"""How deep objects and lists may stand in each other."""

MAX_VALUES = 100_000
"""How many values, counted at every depth, one JSON value may hold."""

MAX_LEFT_DEPTH = 128
MAX_LEFT_BYTES = 16 * 1024 * 1024
"""How deep, and how large as JSON, what a job leaves may be: its result, its saved state."""

MAX_ERROR_BYTES = 64 * 1024
"""How large an error may be as JSON; every status record that tells of it holds a copy."""

_SHOWN = 20
_LONGEST_TEXT = 2000
_REPLACED = "\ufffd"
_UNFIT = re.compile("[\0\ud800-\udfff]")
_WHOLE = range(-(2**63), 2**63)


def unfit(value: Any, field: str, *, levels: int = MAX_DEPTH, values: float = MAX_VALUES) -> list[FieldProblem]:
    """What in `value` cannot be kept, each with its path below `field`; empty when all can."""
    found: list[FieldProblem] = []
    for count, (path, each, depth) in enumerate(_walk(value, field)):
        if count >= values or depth > levels:
            what, most = ("values", values) if count >= values else ("levels", levels)
            return [*found, FieldProblem(field, f"has too many {what}", f"at most {most}")]
        if problem := _problem(path, each):
            found.append(problem)
            if len(found) >= _SHOWN:
                break
    return found


def refuse_unfit(value: Any, field: str) -> None:
    """Raises InvalidInput for what a job leaves (its result, its saved state) and no database can keep."""
    found = unfit(value, field, levels=MAX_LEFT_DEPTH, values=math.inf)
    if not found and len(orjson.dumps(value)) > MAX_LEFT_BYTES:
        found = [FieldProblem(field, "is too large", f"at most {MAX_LEFT_BYTES} bytes as JSON")]
    if found:
        first = found[0]
        raise InvalidInput(f"{first.field[:_LONGEST_TEXT]} {first.message} ({first.expected})", problems=found)


def fit_error(error: Mapping[str, Any]) -> dict[str, Any]:
    """An error as it can always be kept, for a job must be able to fail whatever its code said."""
    fit = {name: value[:_LONGEST_TEXT] if isinstance(value, str) else value for name, value in _fit(error, 0).items()}
    if len(orjson.dumps(fit)) > MAX_ERROR_BYTES:
        fit["details"] = {"left-out": "They were too large to be kept; the log of the job may tell more."}
    return fit


def fit_text(text: str, longest: int) -> str:
    """The first `longest` characters of `text`, those that cannot be kept replaced."""
    return text[:longest] if is_fit_text(text) else _UNFIT.sub(_REPLACED, text)[:longest]


def _fit(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping) and depth <= MAX_DEPTH:
        return {_fit_text(str(name)): _fit(inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, list | tuple) and depth <= MAX_DEPTH:
        return [_fit(inner, depth + 1) for inner in value]
    if isinstance(value, str):
        return _fit_text(value)
    return value if _problem("", value) is None and not isinstance(value, list | tuple | dict) else _words_for(value)


def _fit_text(text: str) -> str:
    return fit_text(text, len(text))


def _words_for(value: Any) -> str:
    """What Python shows of a value, whatever it is."""
    try:
        return fit_text(repr(value), _LONGEST_TEXT)
    except Exception:  # noqa: BLE001 - anybody's __repr__
        return f"({type(value).__name__})"


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
