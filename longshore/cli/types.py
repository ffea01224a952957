"""`longshore types`: what the broker can run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from longshore.cli.lazy import Noun
from longshore.cli.output import Column, clean, print_card, print_json, print_list
from longshore.cli.session import Session, output_options, pass_session
from longshore.cli.submit import read_argument
from longshore.models import JobType

COLUMNS = [
    Column("name", lambda kind: clean(kind.name)),
    Column("version", lambda kind: clean(kind.version)),
    Column("kind", lambda kind: clean(kind.kind)),
    Column("state", lambda kind: "paused" if kind.paused else "active" if kind.active else "retired"),
    Column("stages", lambda kind: clean(", ".join(kind.stages))),
    Column("title", lambda kind: clean(kind.title)),
]
_version = click.option("--version", metavar="VERSION", help="Its version (default: the newest).")


@click.group(cls=Noun)
@output_options
def types() -> None:
    """Show and declare job types."""


@types.command("ls")
@output_options
@pass_session
def ls(session: Session) -> None:
    """List all job types."""
    print_list(session, session.client.types.list(), COLUMNS, "No job types yet: start a worker that has some.")


@types.command("show")
@click.argument("name")
@_version
@output_options
@pass_session
def show(session: Session, name: str, version: str | None) -> None:
    """Show one job type: its args, inputs and stages."""
    kind = session.client.types.get(name, version)
    if session.as_json:
        print_json(session, dict(kind.raw))
    else:
        print_card(_facts(kind))


def _facts(kind: JobType) -> Iterator[tuple[str, str]]:
    declared = kind.declaration
    yield "name", clean(f"{kind.name} {kind.version} ({kind.kind})")
    yield "title", clean(kind.title)
    yield "about", "\n".join(clean(line) for line in kind.description.splitlines())
    yield "paused", clean(kind.pause_reason or "yes") if kind.paused else ""
    yield "args", "\n".join(_args(kind.args))
    yield (
        "inputs",
        "\n".join(f"{name}{'' if each.get('required', True) else ' (optional)'}" for name, each in kind.inputs.items()),
    )
    yield "stages", ", ".join(kind.stages)
    yield "can pause", ", ".join(declared.get("pause") or [])
    yield "queue", clean(declared.get("queue"))
    yield "timeout", "" if declared.get("timeout") is None else f"{declared['timeout']:g} s"
    yield "revision", kind.revision


def _args(schema: dict[str, Any]) -> Iterator[str]:
    required = schema.get("required") or []
    for name, each in (schema.get("properties") or {}).items():
        facts = [
            str(each.get("type", "any")),
            "required" if name in required else f"default {json.dumps(each.get('default'))}",
        ]
        yield clean(f"{name} ({', '.join(facts)})  {each.get('description', '')}".rstrip())


@types.command("define")
@click.argument("declaration", metavar="@FILE|JSON")
@click.option("--replace", is_flag=True, help="If there is one of that name, give it a new revision.")
@output_options
@pass_session
def define(session: Session, declaration: str, replace: bool) -> None:
    """Declare a command type from a JSON file (@FILE; @- is standard input); this needs the scope admin.

    Jobs that were submitted before a replacement run as they were submitted.
    """
    try:
        document = json.loads(read_argument(declaration))
    except ValueError as error:
        raise click.BadParameter(f"the declaration is no JSON: {error}") from None
    _told(session, *_defined(session, document, replace=replace))


def _defined(session: Session, document: Any, *, replace: bool) -> tuple[JobType, str]:
    from longshore.client import Conflict  # noqa: PLC0415 - the shell's completion works without it

    types = session.client.types
    try:
        return types.define(document), "defined"
    except Conflict as conflict:
        if not replace:
            conflict.detail += " To change it, add --replace."
            raise
    return types.revise(document["name"], document.get("version", "1"), document), "revised"


@types.command("rm")
@click.argument("name")
@_version
@output_options
@pass_session
def remove(session: Session, name: str, version: str | None) -> None:
    """Remove a job type that has no jobs; this needs the scope admin."""
    kind = session.client.types.get(name, version)
    session.client.types.remove(kind.name, kind.version)
    _told(session, kind, "removed")


@types.command("pause")
@click.argument("name")
@_version
@click.option("-r", "--reason", help="Why.")
@output_options
@pass_session
def pause(session: Session, name: str, version: str | None, reason: str | None) -> None:
    """Start no more jobs of a type; they are accepted and wait."""
    kind = session.client.types.get(name, version)
    _told(session, session.client.types.pause(kind.name, kind.version, reason=reason), "paused")


@types.command("resume")
@click.argument("name")
@_version
@click.option("-r", "--reason", help="Why.")
@output_options
@pass_session
def resume(session: Session, name: str, version: str | None, reason: str | None) -> None:
    """Start the jobs of a type again."""
    kind = session.client.types.get(name, version)
    _told(session, session.client.types.resume(kind.name, kind.version, reason=reason), "resumed")


def _told(session: Session, kind: JobType, what: str) -> None:
    if session.as_json:
        print_json(session, dict(kind.raw))
    else:
        click.echo(f"{kind.name} {kind.version}  {what}")
