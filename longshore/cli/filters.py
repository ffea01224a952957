"""The options that choose among jobs, the same for every command that does."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from longshore.models import STATES

Command = TypeVar("Command", bound=Callable[..., Any])


def filter_options(command: Command) -> Command:
    """Give a command the filters of the API; they arrive as keyword arguments of those names."""
    options = [
        click.option("-s", "--state", multiple=True, type=click.Choice(STATES), help="State; may be repeated."),
        click.option("-t", "--type", metavar="TYPE", help="Name of the job type."),
        click.option("--owner", metavar="USER", help="Whose jobs."),
        click.option("-l", "--label", multiple=True, metavar="LABEL", help="Label; may be repeated."),
        click.option("--created-after", metavar="WHEN", help="Instant, or how long ago: 2026-01-31T12:00Z, 90m, 2d."),
        click.option("--created-before", metavar="WHEN", help="The same."),
        click.option("--updated-after", metavar="WHEN", help="The same."),
        click.option("--updated-before", metavar="WHEN", help="The same."),
        click.option("-q", "--search", "q", metavar="TEXT", help="Text in titles and other words of a job."),
        click.option("--query", metavar="JSON", help='Mongo-style, for example \'{"args.k": {"$gt": 21}}\'.'),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def chosen(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Give the filters that were used, in the form of the API."""
    used = {name: value for name, value in filters.items() if value not in (None, (), "")}
    for name in used.keys() & {"state", "label"}:
        used[name] = list(used[name])
    for name in used.keys() & {"created_after", "created_before", "updated_after", "updated_before"}:
        used[name] = moment(used[name])
    if "query" in used:
        used["query"] = _mapping(used["query"])
    return used


def moment(text: str) -> str:
    """Turn `90m` or `2d` into the ISO 8601 duration that the API reads; leave an instant as it is."""
    number, unit = text[:-1], text[-1:].lower()
    if number.isdigit() and unit in "smhdw":
        return f"PT{number}{unit.upper()}" if unit in "smh" else f"P{number}{unit.upper()}"
    return text


def _mapping(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"--query is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise click.BadParameter("--query must be a JSON object")
    return value
