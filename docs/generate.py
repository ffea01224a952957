"""Write the reference pages from the code: `make docs`. With --check, say which are out of date instead."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from api import create_app
from api.documentation import document
from broker_config import Settings, documented
from longshore import job as job_module
from longshore.cli.program import program
from shared import errors, lifecycle

PAGES = Path(__file__).parent / "reference"
WIDTH = 100
METHODS = ("get", "post", "put", "patch", "delete")
NOTICE = "<!-- Written from the code by `make docs`. -->"


def settings_page() -> Iterator[str]:
    """Every setting, its default and meaning."""
    yield "# Settings"
    yield (
        "Every setting is an environment variable, read once at the start. A wrong value stops the start with an "
        "error that names the variable and what is expected. Durations are seconds, `30s`, `5m`, `2h`, `30d` or ISO "
        "8601 (`PT30S`); sizes are bytes or `64MiB`, `10GiB`. Command line options go before variables."
    )
    yield "\n".join(
        [
            "| variable | default | meaning |",
            "|---|---|---|",
            *(f"| `{name}` | {default or 'none'} | {meaning} |" for name, default, meaning in documented()),
        ]
    )
    yield "The client and the command line read `LONGSHORE_URL` and `LONGSHORE_TOKEN`."


def lifecycle_page() -> Iterator[str]:
    """States, events and what a flag does to them."""
    yield "# Lifecycle"
    yield "## States"
    states = "\n".join(f"- `{state}`{' (final)' if state in lifecycle.FINAL else ''}" for state in lifecycle.State)
    yield states
    yield (
        "A paused job is *suspended* (its stopped process still there, its lease valid), *stranded* (that lease has "
        "run out), *parked* (no process) or *held* (its good outcome known, and shown on resume). These four are "
        "circumstances; the state is `paused`."
    )
    yield "## Events"
    yield "What each event does, by the situation it finds. What is not listed is refused with 409 and changes nothing."
    yield "\n".join(["| event | on | effect |", "|---|---|---|", *_transitions()])
    yield "## Flags"
    yield (
        "A flag that is recorded when the worker's own event arrives is resolved in the same statement. This is where "
        "each of these events then leads:"
    )
    yield "\n".join(["| event | on | no flag | pause | cancel |", "|---|---|---|---|---|", *_resolutions()])
    yield "## Diagram"
    yield "\n".join(["```mermaid", "stateDiagram-v2", "    direction LR", *_arrows(), "```"])


def _transitions() -> Iterator[str]:
    for event, rules in lifecycle.TRANSITIONS.items():
        for situation, effect in rules.items():
            yield f"| `{event}` | {situation} | {_effect(effect)} |"


def _effect(effect: lifecycle.Effect | None) -> str:
    match effect:
        case lifecycle.Move(to):
            return f"becomes {to}"
        case lifecycle.Ask(flag):
            return f"records the flag {flag}"
        case lifecycle.Withdraw():
            return "withdraws the pause flag"
    return "refused"


def _resolutions() -> Iterator[str]:
    for event, rules in lifecycle.TRANSITIONS.items():
        for situation in rules:
            flags = lifecycle.POSSIBLE_FLAGS.get(situation, ())
            if event in lifecycle.ACKNOWLEDGING and flags:
                yield f"| `{event}` | {situation} | " + " | ".join(_led_to(event, situation)) + " |"


def _led_to(event: lifecycle.Event, situation: lifecycle.Situation) -> Iterator[str]:
    for flag in (None, lifecycle.Flag.PAUSE, lifecycle.Flag.CANCEL):
        possible = flag in lifecycle.POSSIBLE_FLAGS[situation]
        effect = lifecycle.effect(event, situation, flag)
        yield str(effect.to) if possible and isinstance(effect, lifecycle.Move) else ""


def _arrows() -> Iterator[str]:
    labels: dict[tuple[str, str], list[str]] = {}
    for event, rules in lifecycle.TRANSITIONS.items():
        for situation, effect in rules.items():
            if isinstance(effect, lifecycle.Move) and effect.to.state != situation.state:
                labels.setdefault((situation.state, effect.to.state), []).append(event)
    for (source, target), events in labels.items():
        yield f"    {source} --> {target}: {', '.join(dict.fromkeys(events))}"


def errors_page() -> Iterator[str]:
    """The error codes of the API."""
    yield "# Errors"
    yield (
        "Every error of the API is a problem document (RFC 9457, `application/problem+json`) with `title`, `status`, "
        "`detail` and a stable `code`; for invalid input also `errors`, a list of `field`, `message` and `expected`."
    )
    rows = [f"| `{kind.code}` | {kind.status} | {inspect.cleandoc(kind.__doc__ or '')} |" for kind in _error_kinds()]
    yield "\n".join(["| code | status | meaning |", "|---|---|---|", *rows])


def _error_kinds(kind: type[errors.LongshoreError] = errors.LongshoreError) -> Iterator[type[errors.LongshoreError]]:
    """The tree of the API; kinds of other programs are there only when those have been imported."""
    if kind.__module__ == errors.__name__:
        yield kind
    for below in kind.__subclasses__():
        yield from _error_kinds(below)


def job_page() -> Iterator[str]:
    """What job code may use."""
    yield "# The job object"
    protocol = _class_named("Job", ast.parse(inspect.getsource(job_module)))
    yield inspect.cleandoc(ast.get_docstring(protocol) or "")
    for member in protocol.body:
        if isinstance(member, ast.FunctionDef):
            yield f"## `{_heading(member)}`"
            yield inspect.cleandoc(ast.get_docstring(member) or "")


def _class_named(name: str, tree: ast.Module) -> ast.ClassDef:
    return next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)


def _type(annotation: ast.expr) -> str:
    return ast.unparse(annotation).replace("ArgsT_co", "args")


def _heading(member: ast.FunctionDef) -> str:
    given = ast.unparse(member.args).removeprefix("self").removeprefix(", ")
    returns = f" -> {_type(member.returns)}" if member.returns else ""
    if any(isinstance(mark, ast.Name) and mark.id == "property" for mark in member.decorator_list):
        return f"job.{member.name}{returns}"
    return f"job.{member.name}({given}){returns}"


def cli_page() -> Iterator[str]:
    """The help of every command."""
    yield "# Command line"
    yield (
        "`longshore COMMAND --help` prints the same. `longshore completion` prints a completion script. With `-o json` "
        "or `--json FIELD,...` nothing but JSON goes to stdout; all that is meant for people goes to stderr."
    )
    yield from _help_of(program, click.Context(program, info_name="longshore", terminal_width=WIDTH))


def _help_of(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"{'#' * (2 if context.parent is None else 3)} `{context.command_path}`"
    yield f"```text\n{command.get_help(context)}\n```"
    if not isinstance(command, click.Group) or command.name == "jobs":  # the commands about jobs stand above it
        return
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        if below is not None:
            yield from _help_of(below, click.Context(below, info_name=name, parent=context, terminal_width=WIDTH))


def rest_page() -> Iterator[str]:
    """Every operation of the API, by resource."""
    yield "# REST"
    yield (
        "The full description, with every field, is the OpenAPI document that a running API serves at `/openapi.json` "
        "and shows at `/docs`. This is its table of contents. Errors are listed in [errors](errors.md)."
    )
    operations: dict[str, list[str]] = {}
    for path, methods in _openapi()["paths"].items():
        for method, operation in methods.items():
            if method in METHODS:
                operations.setdefault(operation["tags"][0], []).append(_operation_row(method, path, operation))
    for tag, rows in operations.items():
        yield f"## {tag}"
        yield "\n".join(["| operation | meaning | answers |", "|---|---|---|", *rows])


def _openapi() -> dict[str, Any]:
    """Make the document; the application connects to nothing before its first request."""
    settings = Settings.from_env({"LONGSHORE_DATA_DIR": "/nonexistent"})
    return document(create_app(settings, with_upkeep=False))


def _operation_row(method: str, path: str, operation: dict[str, Any]) -> str:
    answers = ", ".join(sorted(code for code in operation["responses"] if code.isdigit()))
    return f"| `{method.upper()} {path}` | {operation.get('summary', '')} | {answers} |"


GENERATED = {
    "rest.md": rest_page,
    "cli.md": cli_page,
    "settings.md": settings_page,
    "lifecycle.md": lifecycle_page,
    "errors.md": errors_page,
    "job.md": job_page,
}


def pages() -> dict[Path, str]:
    """Every generated page with what it should hold."""
    return {PAGES / name: "\n\n".join([NOTICE, *write()]) + "\n" for name, write in GENERATED.items()}


def main() -> int:
    """Write what differs, or with --check only name it."""
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv[1:]:
        print("\n".join(f"out of date: {path.name}; run `make docs`" for path in stale))
        return int(bool(stale))
    for path in stale:
        path.write_text(pages()[path])
    print(f"{len(stale)} of {len(GENERATED)} pages written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
