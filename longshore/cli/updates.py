"""`longshore updates`: the feed of all changes."""

from __future__ import annotations

from typing import Any

import click

from longshore.cli.output import clean, print_json_line, state_word
from longshore.cli.session import Session, output_options, pass_session
from longshore.models import StatusRecord

_WAIT = 20.0
"""seconds that one request waits for the next change"""


@click.command()
@click.option("--cursor", metavar="CURSOR", help="Go on after this; `latest` (the default) begins with what comes.")
@click.option("--from-start", is_flag=True, help="Begin with the oldest change there is.")
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@output_options
@pass_session
def updates(session: Session, cursor: str | None, from_start: bool, follow: bool) -> None:
    """Print the changes of all jobs you may see, one to a line; none is skipped.

    With -o json each line is a status record. The cursor to go on with is said on stderr at the end.
    """
    position = None if from_start else cursor or ("latest" if follow else None)
    try:
        while True:
            answer = session.client.updates(position, wait=_WAIT if follow else None)
            for document in answer["items"]:
                _print(session, document)
            position = answer["next"]
            if not (follow or answer["items"]):
                break
    finally:
        if position:
            session.note(f"cursor: {position}")


def _print(session: Session, document: dict[str, Any]) -> None:
    if session.as_json:
        print_json_line(session, document)
        return
    record = StatusRecord.read(document)
    when = f"{record.at.astimezone():%H:%M:%S}" if record.at else ""
    parts = [
        when,
        record.job,
        clean(record.event),
        state_word(record.state),
        clean(record.stage),
        f"{record.progress:.0%}",
    ]
    click.echo("  ".join([*parts, clean(record.reason or record.message)]).rstrip())
