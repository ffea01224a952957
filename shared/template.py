"""Argument templates of commands: `${args.k}`, `${input.genome}`, `${job_output_dir}` and the like.

The author of a job type splits the command into arguments; values are put into the arguments afterwards and are
never parsed again. No shell is involved, so a value can neither add an argument nor start another program. One
thing remains to the author: a text that starts with a dash may read as an option to the program; write
`--name=${args.name}`, or put `--` in front.

`$${` stands for a literal `${`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import FieldProblem, InvalidInput

_PLACEHOLDER = re.compile(r"(?<!\$)\$\{([^{}]*)\}")
_BROKEN = re.compile(r"(?<!\$)\$\{(?![^{}]*\})")
_RESERVED = ("job_output_dir", "job_work_dir", "job_id", "attempt")
_RESERVED_ENVIRONMENT = "LONGSHORE_"
_SCALARS = frozenset({"string", "integer", "number", "boolean", "null"})
_KNOWN = "args.NAME, input.NAME, input, " + ", ".join(_RESERVED)


@dataclass(frozen=True)
class Values:
    """What the placeholders of one execution stand for."""

    args: Mapping[str, Any]
    inputs: Mapping[str, Path | Sequence[Path]]
    job_output_dir: Path
    job_work_dir: Path
    job_id: str
    attempt: int


@dataclass(frozen=True)
class Rendered:
    """A command that can be started: its arguments, the program first, and its declared environment."""

    argv: list[str]
    environment: dict[str, str]


def placeholders(texts: Sequence[str]) -> list[str]:
    """The names between `${` and `}`, in order, each once."""
    return list(dict.fromkeys(name for text in texts for name in _PLACEHOLDER.findall(text)))


# ------------------------------------------------------------------------------------- at the declaration


def check_template(
    command: Mapping[str, Any], args_schema: Mapping[str, Any], inputs: Mapping[str, Mapping[str, Any]]
) -> list[FieldProblem]:
    """What is wrong with the placeholders of a declared command; empty when it can always be rendered.

    `command` has `argv` and perhaps `environment`; `args_schema` is the JSON Schema of the job's args, `inputs`
    its declared file inputs.
    """
    check = _Check(args_schema, inputs)
    found = [*_program_problems(command["argv"])]
    for index, text in enumerate(command["argv"]):
        found += check.text(f"command.argv.{index}", text, may_expand=index > 0)
    for name, text in (command.get("environment") or {}).items():
        field = f"command.environment.{name}"
        found += check.text(field, text, may_expand=False)
        if name.startswith(_RESERVED_ENVIRONMENT):
            found.append(FieldProblem(field, "is set by the worker", f"a name without {_RESERVED_ENVIRONMENT}"))
    return found


def _program_problems(argv: Sequence[str]) -> Iterator[FieldProblem]:
    if not argv or not argv[0]:
        yield FieldProblem("command.argv", "names no program", "a list that starts with a program")
    elif placeholders(argv[:1]):
        yield FieldProblem("command.argv.0", "the program depends on the job", "a program without placeholders")


@dataclass(frozen=True)
class _Check:
    """The names that a template may use."""

    args_schema: Mapping[str, Any]
    inputs: Mapping[str, Mapping[str, Any]]

    def text(self, field: str, text: str, *, may_expand: bool) -> Iterator[FieldProblem]:
        if "\0" in text:
            yield FieldProblem(field, "holds a NUL character")
        if _BROKEN.search(text):
            yield FieldProblem(field, "has '${' without '}'", "'$${' for a literal '${'")
        for name in placeholders([text]):
            expands = may_expand and text == f"${{{name}}}"
            problem = self._problem(name, expands=expands)
            if problem:
                yield FieldProblem(field, *problem)

    def _problem(self, name: str, *, expands: bool) -> tuple[str, str] | None:
        if name.startswith("args."):
            return self._arg_problem(name, expands=expands)
        if name == "input" or name.startswith("input."):
            return self._input_problem(name, expands=expands)
        if name not in _RESERVED:
            return f"${{{name}}} is not known", f"one of {_KNOWN}; '$${{' for a literal '${{'"
        return None

    def _arg_problem(self, name: str, *, expands: bool) -> tuple[str, str] | None:
        arg = name.removeprefix("args.")
        schema = (self.args_schema.get("properties") or {}).get(arg)
        if schema is None:
            return f"${{{name}}}: args has no property {arg!r}", "a declared property of args"
        given = arg in self.args_schema.get("required", ()) or (isinstance(schema, Mapping) and "default" in schema)
        if not given:
            return f"${{{name}}} may be missing", f"args.{arg} required, or with a default"
        return _type_problem(name, schema, expands=expands)

    def _input_problem(self, name: str, *, expands: bool) -> tuple[str, str] | None:
        if name == "input" and len(self.inputs) != 1:
            return "${input} needs exactly one declared input", "${input.NAME}"
        wanted = name.removeprefix("input.") if name != "input" else next(iter(self.inputs))
        declared = self.inputs.get(wanted)
        if declared is None:
            return f"${{{name}}}: there is no input {wanted!r}", "a declared input"
        if expands:
            return None
        if declared.get("multiple"):
            return f"${{{name}}} may be several files", "an argument of its own"
        if not declared.get("required", True):
            return f"${{{name}}} may be missing", "an argument of its own, or a required input"
        return None


def _type_problem(name: str, schema: Any, *, expands: bool) -> tuple[str, str] | None:
    declared = schema.get("type") if isinstance(schema, Mapping) else None
    types = {declared} if isinstance(declared, str) else set(declared or ())
    if "object" in types:
        return f"${{{name}}} may be an object", "a text, a number, true or false, or a list of those"
    if "array" in types and not expands:
        return f"${{{name}}} may be a list", "an argument of its own"
    items = schema.get("items") if "array" in types else None
    inner = items.get("type") if isinstance(items, Mapping) else None
    if set(inner if isinstance(inner, list) else [inner]) - _SCALARS - {None}:
        return f"${{{name}}} may be a list of more than plain values", "a list of texts, numbers, true or false"
    return None


# --------------------------------------------------------------------------------------------- at the run


def render(command: Mapping[str, Any], values: Values) -> Rendered:
    """The command with all values in place. InvalidInput if a value is missing or cannot be an argument."""
    argv = [
        argument
        for index, text in enumerate(command["argv"])
        for argument in _arguments(f"command.argv.{index}", text, values)
    ]
    environment = {
        name: _filled(f"command.environment.{name}", text, values)
        for name, text in (command.get("environment") or {}).items()
    }
    return Rendered(argv, environment)


def with_defaults(args_schema: Mapping[str, Any], args: Mapping[str, Any]) -> dict[str, Any]:
    """The args, and the declared default of each property that they leave out."""
    properties = args_schema.get("properties") or {}
    defaults = {
        name: schema["default"]
        for name, schema in properties.items()
        if isinstance(schema, Mapping) and "default" in schema
    }
    return {**defaults, **args}


def _arguments(field: str, text: str, values: Values) -> list[str]:
    """A placeholder that is a whole argument gives one argument for each of its values."""
    whole = _PLACEHOLDER.fullmatch(text)
    if whole is None:
        return [_filled(field, text, values)]
    value = _value(field, whole[1], values)
    several = value if isinstance(value, (list, tuple)) else [] if value is None else [value]
    return [_text(field, each) for each in several]


def _filled(field: str, text: str, values: Values) -> str:
    def fill(found: re.Match[str]) -> str:
        value = _value(field, found[1], values)
        return "" if value is None else _text(field, value)

    # In one pass: what a value holds is never looked at again.
    parts = _PLACEHOLDER.split(text)
    fixed = [part.replace("$${", "${") for part in parts[::2]]
    filled = [fill(found) for found in _PLACEHOLDER.finditer(text)]
    return "".join(piece for pair in zip(fixed, [*filled, ""], strict=True) for piece in pair)


def _value(field: str, name: str, values: Values) -> Any:
    if name in _RESERVED:
        return getattr(values, name)
    if name.startswith("args."):
        return _present(field, name, values.args, name.removeprefix("args."))
    if name == "input" and len(values.inputs) > 1:
        raise _refused(field, "${input} needs exactly one input")
    if name == "input":
        return next(iter(values.inputs.values()), None)
    if name.startswith("input."):
        # an input that may be missing stands alone, which the declaration has made sure of
        return values.inputs.get(name.removeprefix("input."))
    raise _refused(field, f"${{{name}}} is not known")


def _present(field: str, name: str, args: Mapping[str, Any], arg: str) -> Any:
    if arg not in args:
        raise _refused(field, f"${{{name}}} has no value")
    return args[arg]


def _text(field: str, value: Any) -> str:
    """A value as the program sees it: numbers and truth values as in JSON."""
    if isinstance(value, bool) or (isinstance(value, (int, float)) and math.isfinite(value)):
        return json.dumps(value)
    if not isinstance(value, (str, Path)):
        raise _refused(field, f"a value of type {type(value).__name__} cannot be an argument")
    text = str(value)
    if "\0" in text:
        raise _refused(field, "a value holds a NUL character")
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise _refused(field, "a value is no valid text") from None
    return text


def _refused(field: str, message: str) -> InvalidInput:
    return InvalidInput(f"The command cannot be started: {message} ({field}).", problems=[FieldProblem(field, message)])
