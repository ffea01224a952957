"""What goes to stdout: tables and cards for people, JSON for programs."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import click

from longshore.cli.session import Session
from longshore.models import Job

_COLOURS = {
    "draft": "bright_black",
    "pending": "bright_black",
    "blocked": "yellow",
    "queued": "cyan",
    "running": "blue",
    "paused": "yellow",
    "pausing": "yellow",
    "cancelling": "magenta",
    "completed": "green",
    "failed": "red",
    "cancelled": "magenta",
}
_UNITS = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))
_MINUTES = 2 * 60
_KILO = 1024


class Column(NamedTuple):
    """A column of a table: its heading, and how a document is shown in it."""

    heading: str
    show: Callable[[Any], str]


# --------------------------------------------------------------------------------------------------- JSON


def print_json(session: Session, value: Any) -> None:
    """Print a value on one line if it is read by a program, indented if by a person."""
    chosen = [_selected(session, each) for each in value] if isinstance(value, list) else _selected(session, value)
    click.echo(json.dumps(chosen, indent=2 if sys.stdout.isatty() else None, ensure_ascii=False))


def print_json_line(session: Session, value: Any) -> None:
    """Print one of many values that follow one another, each on a line of its own."""
    click.echo(json.dumps(_selected(session, value), ensure_ascii=False))
    sys.stdout.flush()


def _selected(session: Session, value: Any) -> Any:
    if not session.fields or not isinstance(value, Mapping):
        return value
    return {path: _reached(value, path) for path in session.fields}


def _reached(value: Any, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


# ------------------------------------------------------------------------------------------------- tables


def print_list(session: Session, items: Iterable[Any], columns: Sequence[Column], empty: str) -> None:
    """Print models as a table, or their documents as a JSON list; `empty` is said to people if there are none."""
    items = list(items)
    if session.as_json:
        print_json(session, [dict(item.raw) for item in items])
    elif items:
        print_table(columns, [[column.show(item) for column in columns] for item in items])
    else:
        session.note(empty)


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns; on a terminal the last one is cut so that each row keeps to one line."""
    widths = [max(len(column.heading), *(_width(row[n]) for row in rows)) for n, column in enumerate(columns)]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    click.echo(_row([click.style(column.heading.upper(), bold=True) for column in columns], widths, room))
    for row in rows:
        click.echo(_row(row, widths, room))


def _row(cells: Sequence[str], widths: Sequence[int], room: int | None) -> str:
    padded = [cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True)]
    used = sum(widths[:-1]) + 2 * (len(widths) - 1)
    if room is not None and used < room < used + _width(cells[-1]):
        padded[-1] = click.unstyle(cells[-1])[: room - used - 1] + "…"
    return "  ".join(padded).rstrip()


def _width(cell: str) -> int:
    return len(click.unstyle(cell))


def print_card(pairs: Iterable[tuple[str, str]]) -> None:
    """Print name and value, one pair to a line, without those that have no value."""
    shown = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        lines = value.splitlines()
        click.echo(f"{click.style(name.rjust(width), bold=True)}  {lines[0]}")
        for line in lines[1:]:
            click.echo(" " * (width + 2) + line)


def print_job(session: Session, job: Job) -> None:
    """Print number, id and state of a job, or its whole document in JSON."""
    if session.as_json:
        print_json(session, dict(job.raw))
    else:
        click.echo(f"{job.number}  {job.id}  {state_word(job.shown_state)}")


# ------------------------------------------------------------------------------------------------- values


def confirm(question: str) -> None:
    """Go on only if a person says yes; a program has to say so beforehand."""
    if not sys.stdin.isatty():
        raise click.UsageError("Nobody can be asked here: add --yes.")
    click.confirm(question, abort=True, err=True)


def clean(text: Any) -> str:
    """Make text of others safe for a terminal: no line breaks, no escape sequences."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text or ""))


def state_word(state: str) -> str:
    """Give a state in its colour."""
    return click.style(clean(state), fg=_COLOURS.get(state))


def ago(when: datetime | None) -> str:
    """Say how long ago something was."""
    if when is None:
        return ""
    seconds = (datetime.now(UTC) - when).total_seconds()
    return f"{length(seconds)} ago" if seconds >= 0 else f"in {length(-seconds)}"


def length(seconds: float | None) -> str:
    """Say how long something takes, in the two largest units at most."""
    if seconds is None:
        return ""
    if seconds < _MINUTES:
        return f"{seconds:.0f}s" if seconds >= 1 or seconds == 0 else f"{seconds:.1f}s"
    whole = int(seconds)
    parts: list[str] = []
    for size, unit in _UNITS:
        count, whole = divmod(whole, size)
        if count or parts:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def size(count: int) -> str:
    """Give a number of bytes in the unit that suits it."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < _KILO:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= _KILO
    return f"{value:.1f} TiB"


def exact(when: datetime | None) -> str:
    """Give an instant in full, with how long ago it was."""
    return f"{when.astimezone():%Y-%m-%d %H:%M:%S %Z} ({ago(when)})" if when else ""
