"""`longshore logs`."""

from __future__ import annotations

import sys

import click

from longshore.cli.naming import find_job, job_argument
from longshore.cli.output import print_json, print_json_line
from longshore.cli.session import Session, output_options, pass_session
from longshore.cli.watch import leave_running


@click.command()
@job_argument
@click.option("-f", "--follow", is_flag=True, help="Go on while the job runs; Ctrl-C leaves it running.")
@click.option("-n", "--tail", type=click.IntRange(0), metavar="LINES", help="Only the last lines.")
@click.option("--attempt", type=click.IntRange(1), help="Which execution (default: the latest).")
@click.option("--stream", type=click.Choice(["stdout", "stderr", "log"]), help="Only this stream.")
@output_options
@pass_session
def logs(session: Session, job: str, follow: bool, tail: int | None, attempt: int | None, stream: str | None) -> None:
    """Print what a job writes: its output, its errors, and what its code logs."""
    handle = find_job(session.client, job)
    if not follow:
        text = handle.logs(attempt=attempt, stream=stream, tail=tail)
        if session.as_json:
            print_json(session, {"job": handle.id, "log": text})
        else:
            _write(text)
        return
    try:
        for piece in handle.logs(follow=True, attempt=attempt, stream=stream, tail=tail):
            if session.as_json:
                print_json_line(session, {"job": handle.id, "log": piece})
            else:
                _write(piece)
    except KeyboardInterrupt:
        handle.status()
        leave_running(session, handle)


def _write(text: str) -> None:
    """Write a log as it is: a job's colours are its own."""
    click.echo(text, nl=False)
    sys.stdout.flush()
