"""What all commands of one command line share: the connection, and the form of the output."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from longshore.client import Client

Command = TypeVar("Command", bound=Callable[..., Any])

PATIENCE = 5.0
"""seconds; somebody at a terminal wants to know soon that nobody answers"""


class Session:
    """The choices made on the command line, and the client made from them when it is first needed."""

    def __init__(self) -> None:
        self.url: str | None = None
        self.token: str | None = None
        self.patience: float | None = None
        self.as_json = False
        self.fields: list[str] = []
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """The connection to the broker."""
        if self._client is None:
            from longshore.client import Client  # noqa: PLC0415 - `--help` and completion start without it

            self._client = Client(self.url, self.token, patience=self.patience)
        return self._client

    @property
    def is_watched(self) -> bool:
        """Whether a person sees what is drawn on stderr now."""
        return sys.stderr.isatty() and not self.as_json

    def close(self) -> None:
        """Close the connection if there is one."""
        if self._client is not None:
            self._client.close()

    def note(self, text: str) -> None:
        """Say something to a person; nothing that programs read, so it goes to stderr and not in JSON mode."""
        if not self.as_json:
            click.echo(text, err=True)


pass_session = click.make_pass_decorator(Session)


def _set_output(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.ensure_object(Session).as_json = value == "json"


def _set_fields(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        session = context.ensure_object(Session)
        session.as_json = True
        session.fields = [name.strip() for name in value.split(",") if name.strip()]


def output_options(command: Command) -> Command:
    """Give a command `-o json|table` and `--json FIELD,..`."""
    command = click.option(
        "--json",
        metavar="FIELD,...",
        callback=_set_fields,
        expose_value=False,
        help="Print JSON with only these fields; a.b reaches inside.",
    )(command)
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json"]),
        callback=_set_output,
        expose_value=False,
        help="Form of the output (default: table).",
    )(command)


def _set_connection(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None:
        setattr(context.ensure_object(Session), str(parameter.name), value)


def connection_options(command: Command) -> Command:
    """Give the program `--url`, `--token` and `--patience`."""
    shared: dict[str, Any] = {"callback": _set_connection, "expose_value": False, "show_envvar": True}
    options = [
        click.option("--url", envvar="LONGSHORE_URL", help="Base URL of the broker.", **shared),
        click.option(
            "--token",
            envvar="LONGSHORE_TOKEN",
            help="Credential; the variable keeps it out of the list of processes.",
            **shared,
        ),
        click.option(
            "--patience",
            envvar="LONGSHORE_PATIENCE",
            type=click.FloatRange(0),
            default=PATIENCE,
            show_default=True,
            help="Seconds to try again while the broker cannot be reached.",
            **shared,
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command
