"""The declaration of a job type as JSON: what is checked, and what stands where nothing was said."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from longshore.backoff import Backoff
from longshore.errors import InvalidDeclaration
from longshore.names import identifier, version, word

MODES = ("park", "suspend")
"""How a running job can be paused: give up its slot at a checkpoint, or stand still in place."""
CANCEL = ("interrupt", "checkpoint")
"""When a cancel reaches job code: at once, or at its next checkpoint."""


@dataclass(frozen=True, kw_only=True)
class Input:
    """One file (or, with `multiple`, a list of files) that a job works on."""

    required: bool = True
    multiple: bool = False
    media_types: Sequence[str] = ()
    description: str = ""


def declaration_of(name: str, args: Mapping[str, Any], docstring: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Check what an author declared and give the JSON that the broker stores. Raises InvalidDeclaration."""
    _refuse_unknown(options, _CHECKS, "option")
    word(name, "the name")
    checked = {key: check(options.get(key, default)) for key, (default, check) in _CHECKS.items()}
    checked["title"] = checked["title"] or name.replace("_", " ").replace("-", " ").capitalize()
    checked["description"] = checked["description"] or docstring
    return {"kind": "python", "name": name, "args": dict(args), **checked}


def _refuse_unknown(given: Mapping[str, Any], known: Mapping[str, Any], what: str) -> None:
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
            raise InvalidDeclaration(f"unknown {what} {key!r}; {hint}")


# --------------------------------------------------------------------------------------- one per option


def _text(what: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise InvalidDeclaration(f"{what} must be a string, not {value!r}")
        return value

    return check


def _seconds(what: str, most: float) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not 0 < value <= most:
            raise InvalidDeclaration(f"{what} must be seconds, more than 0 and at most {most:g}, not {value!r}")
        return float(value) if isinstance(value, float) else int(value)

    return check


def _whole(what: str, least: int, most: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise InvalidDeclaration(f"{what} must be a whole number from {least} to {most}, not {value!r}")
        return value

    return check


def _timeout(value: Any) -> float | None:
    return None if value is None else _seconds("timeout", _MONTH)(value)


def _backoff(value: Any) -> dict[str, float]:
    if isinstance(value, Mapping):
        _refuse_unknown(value, {f.name: f for f in fields(Backoff)}, "field of backoff")
        value = Backoff(**value)
    if not isinstance(value, Backoff):
        raise InvalidDeclaration(f"backoff must be a Backoff(first, factor, max), not {value!r}")
    return value.as_json()


def _pause(value: Any) -> list[str]:
    modes = list(MODES) if value == "both" else [value] if isinstance(value, str) else value
    known = isinstance(modes, Sequence) and modes and all(mode in MODES for mode in modes)
    if not known or len(set(modes)) != len(modes):
        raise InvalidDeclaration(f"pause must be 'park', 'suspend', 'both' or a list of modes, not {value!r}")
    return list(modes)


def _cancel(value: Any) -> str:
    if value not in CANCEL:
        raise InvalidDeclaration(f"cancel must be 'interrupt' or 'checkpoint', not {value!r}")
    return str(value)


def _stages(value: Any) -> list[str]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidDeclaration(f"stages must be a list of names, not {value!r}")
    names = [word(stage, "the name of a stage") for stage in value]
    twice = sorted({stage for stage in names if names.count(stage) > 1})
    if twice:
        raise InvalidDeclaration(f"stages names {', '.join(twice)} more than once")
    return names


def _inputs(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidDeclaration(f"inputs must be a dictionary of name -> Input(...), not {value!r}")
    return {identifier(name, "the name of an input"): _input(name, given) for name, given in value.items()}


def _input(name: str, given: Any) -> dict[str, Any]:
    if isinstance(given, Mapping):
        _refuse_unknown(given, {f.name: f for f in fields(Input)}, f"field of input {name!r}:")
        given = Input(**given)
    if not isinstance(given, Input):
        raise InvalidDeclaration(f"input {name!r} must be an Input(...), not {given!r}")
    for member, kind in (("required", bool), ("multiple", bool), ("description", str)):
        if not isinstance(getattr(given, member), kind):
            raise InvalidDeclaration(f"{member} of input {name!r} must be a {kind.__name__}")
    if isinstance(given.media_types, str) or not all(isinstance(one, str) for one in given.media_types):
        raise InvalidDeclaration(f"media_types of input {name!r} must be a list, not {given.media_types!r}")
    return {**asdict(given), "media_types": list(given.media_types)}


_MONTH = 31 * 24 * 3600.0

_CHECKS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "version": ("1", version),
    "title": ("", _text("title")),
    "description": ("", _text("description")),
    "inputs": ({}, _inputs),
    "stages": ((), _stages),
    "timeout": (None, _timeout),
    "max_attempts": (3, _whole("max_attempts", 1, 100)),
    "backoff": (Backoff(), _backoff),
    "pause": ("park", _pause),
    "cancel": ("interrupt", _cancel),
    "grace": (13, _seconds("grace", 3600)),
    "suspend_limit": (3600, _seconds("suspend_limit", _MONTH)),
    "queue": ("default", lambda value: word(value, "queue")),
    "priority": (100, _whole("priority", 0, 1_000_000)),
}
"""Every option with its default and its check."""
