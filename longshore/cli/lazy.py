"""Groups whose commands are imported when they are called: what is not asked for costs no start-up time."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS = "longshore.commands"


class Place(NamedTuple):
    """Where a command is found, and its line in the list of commands."""

    module: str
    attribute: str
    help: str


class LazyGroup(click.Group):
    """A group that knows the places of its commands, and other names for them."""

    def __init__(
        self,
        *args: Any,
        places: Mapping[str, Place] | None = None,
        aliases: Mapping[str, str] | None = None,
        takes_entry_points: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self._places = dict(places or {})
        self.aliases = dict(aliases or {})
        self._takes_entry_points = takes_entry_points

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all commands, without the aliases."""
        return sorted({*super().list_commands(ctx), *self._places, *self._entry_points()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of that name, or of the one that it is an alias of."""
        name = self.aliases.get(cmd_name, cmd_name)
        if place := self._places.get(name):
            command: click.Command = getattr(import_module(place.module), place.attribute)
            return command
        return super().get_command(ctx, name) or self._joined(name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Show the true name of a command in its help, whatever alias it was called by."""
        _, command, rest = super().resolve_command(ctx, args)
        return command.name if command else None, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        rows = [(name, self._line(name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _line(self, name: str) -> str:
        if place := self._places.get(name):
            return place.help
        command = self.commands.get(name) or self._joined(name)
        return command.get_short_help_str(60) if command else ""

    def _joined(self, name: str) -> click.Command | None:
        """Give the command that another installed package brings, or one that says why it cannot be had."""
        entry = self._entry_points().get(name)
        if entry is None:
            return None
        try:
            command: click.Command = entry.load()
        except ImportError as error:
            return _missing(name, error)
        return command

    def _entry_points(self) -> dict[str, EntryPoint]:
        if not self._takes_entry_points:
            return {}
        from importlib.metadata import entry_points  # noqa: PLC0415 - commands of the client start without it

        return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}


class Noun(click.Group):
    """A group that lists what it is about when no verb follows: `longshore types` is `longshore types ls`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "invoke_without_command": True})

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb, or `ls`."""
        result = super().invoke(ctx)
        return result if ctx.invoked_subcommand else ctx.invoke(self.commands["ls"])


def _missing(name: str, error: ImportError) -> click.Command:
    def explain() -> None:
        raise click.ClickException(f"`longshore {name}` is not installed here: {error}")

    settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, callback=explain, help="(not installed here)", context_settings=settings)
