"""The declaration of a job type: what it must look like, what stands where nothing was said, and its two hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import orjson

from shared import json_schema
from shared.errors import FieldProblem, InvalidInput
from shared.template import check_template

_WORD = r"^[A-Za-z][A-Za-z0-9_.-]{0,99}\Z"
_IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]{0,63}\Z"
_MONTH = 31 * 24 * 3600


def _text(longest: int) -> dict[str, Any]:
    return {"type": "string", "maxLength": longest}


def _object(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _named(pattern: str, value: Mapping[str, Any], most: int) -> dict[str, Any]:
    return {
        "type": "object",
        "propertyNames": {"pattern": pattern},
        "additionalProperties": dict(value),
        "maxProperties": most,
    }


_SECONDS = {"type": "number", "exclusiveMinimum": 0, "maximum": _MONTH}

_INPUT = _object(
    {
        "required": {"type": "boolean"},
        "multiple": {"type": "boolean"},
        "media_types": {"type": "array", "items": _text(200), "maxItems": 50},
        "description": _text(2000),
    }
)

_EXIT_CODE = _object(
    {
        "name": {"type": "string", "pattern": _WORD},
        "title": _text(200),
        "category": {"enum": ["SYSTEM", "DATA", "ALGORITHM"]},
    },
    "name",
)

_COMMAND = _object(
    {
        "argv": {"type": "array", "items": _text(4096), "minItems": 1, "maxItems": 1000},
        "environment": _named(_IDENTIFIER, _text(4096), 200),
        "exit_codes": _named(r"^([1-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5])\Z", _EXIT_CODE, 255),
        "limits": _object(
            {
                "memory_mib": {"type": "integer", "minimum": 1, "maximum": 2**31},
                "open_files": {"type": "integer", "minimum": 8, "maximum": 2**20},
                "file_mib": {"type": "integer", "minimum": 1, "maximum": 2**31},
            }
        ),
    },
    "argv",
)

BACKOFF = _object(
    {
        "first": {"type": "number", "minimum": 0, "maximum": _MONTH},
        "factor": {"type": "number", "minimum": 1, "maximum": 1000},
        "max": {"type": "number", "minimum": 0, "maximum": _MONTH},
    }
)
"""What the pauses between attempts look like, as a JSON Schema; an order may set its own."""

SCHEMA = _object(
    {
        "kind": {"enum": ["python", "command"]},
        "name": {"type": "string", "pattern": _WORD},
        "version": {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,31}\Z"},
        "title": _text(200),
        "description": _text(20_000),
        "args": {"type": "object"},
        "inputs": _named(_IDENTIFIER, _INPUT, 50),
        "stages": {
            "type": "array",
            "items": {"type": "string", "pattern": _WORD},
            "uniqueItems": True,
            "maxItems": 100,
        },
        "timeout": {**_SECONDS, "type": ["number", "null"]},
        "max_attempts": {"type": "integer", "minimum": 1, "maximum": 100},
        "backoff": BACKOFF,
        "pause": {"type": "array", "items": {"enum": ["park", "suspend"]}, "uniqueItems": True, "minItems": 1},
        "cancel": {"enum": ["interrupt", "checkpoint"]},
        "grace": {**_SECONDS, "maximum": 3600},
        "suspend_limit": _SECONDS,
        "queue": {"type": "string", "pattern": _WORD},
        "priority": {"type": "integer", "minimum": 0, "maximum": 1_000_000},
        "command": _COMMAND,
    },
    "kind",
    "name",
)
"""What a declaration looks like, as a JSON Schema."""

_INPUT_DEFAULTS: Mapping[str, Any] = {"required": True, "multiple": False, "media_types": [], "description": ""}

_DEFAULTS: Mapping[str, Any] = {
    "version": "1",
    "title": "",
    "description": "",
    "args": {},
    "inputs": {},
    "stages": [],
    "timeout": None,
    "max_attempts": 3,
    "backoff": {"first": 1, "factor": 2, "max": 300},
    "pause": ["park"],
    "cancel": "interrupt",
    "grace": 13,
    "suspend_limit": 3600,
    "queue": "default",
    "priority": 100,
}


def completed(given: Any) -> dict[str, Any]:
    """The declaration with every field filled in; raises InvalidInput naming each field that is wrong."""
    found = json_schema.problems(SCHEMA, given, "") or _kind_problems(given)
    found = found or json_schema.schema_problems(given.get("args", {}), "args")
    declaration = _filled_in(given) if not found else {}
    if declaration.get("kind") == "command":
        found = check_template(declaration["command"], declaration["args"], declaration["inputs"])
    if found:
        raise InvalidInput("The declaration of the job type is not valid.", problems=found)
    return declaration


def _filled_in(given: Mapping[str, Any]) -> dict[str, Any]:
    declaration = {**deepcopy(dict(_DEFAULTS)), **given}
    if given["kind"] == "command":
        declaration["pause"] = given.get("pause", ["suspend"])
        declaration["command"] = {"environment": {}, "exit_codes": {}, "limits": {}, **given["command"]}
    declaration["backoff"] = {**_DEFAULTS["backoff"], **declaration["backoff"]}
    declaration["inputs"] = {name: {**_INPUT_DEFAULTS, **each} for name, each in declaration["inputs"].items()}
    declaration["title"] = declaration["title"] or given["name"].replace("_", " ").replace("-", " ").capitalize()
    return declaration


def _kind_problems(given: Mapping[str, Any]) -> list[FieldProblem]:
    is_command = given["kind"] == "command"
    if is_command and "command" not in given:
        return [FieldProblem("command", "is required", "an object with argv")]
    if not is_command and "command" in given:
        return [FieldProblem("command", "is not known", "only job types of kind command have one")]
    return []


def revision_hash(declaration: Mapping[str, Any]) -> str:
    """The hash that names this very declaration."""
    return _hash(declaration)


def interface_hash(declaration: Mapping[str, Any]) -> str:
    """The hash of what job code relies on; the same for declarations that one piece of code can run."""
    return _hash({word: declaration.get(word) for word in ("kind", "name", "version", "args", "inputs", "stages")})


def _hash(value: Any) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()
