"""The tree of commands, and running one of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import click

from longshore.cli.exits import Exit, Stop, report
from longshore.cli.lazy import LazyGroup, Place
from longshore.cli.session import Session, connection_options, output_options
from longshore.errors import LongshoreError

_HERE = "longshore.cli"

JOB_PLACES = {
    "submit": Place(f"{_HERE}.submit", "submit", "Submit a job."),
    "ls": Place(f"{_HERE}.listing", "ls", "List jobs."),
    "show": Place(f"{_HERE}.show", "show", "Show one job."),
    "watch": Place(f"{_HERE}.watch", "watch", "Watch a job live until it is final."),
    "logs": Place(f"{_HERE}.logs", "logs", "Print the log of a job."),
    "why": Place(f"{_HERE}.show", "why", "Say why a job is not running."),
    "history": Place(f"{_HERE}.show", "history", "Print the status records of a job."),
    "pause": Place(f"{_HERE}.steer", "pause", "Pause jobs."),
    "resume": Place(f"{_HERE}.steer", "resume", "Let paused jobs go on."),
    "cancel": Place(f"{_HERE}.steer", "cancel", "Cancel jobs."),
    "rerun": Place(f"{_HERE}.steer", "rerun", "Run failed or cancelled jobs again."),
    "send": Place(f"{_HERE}.steer", "send", "Submit drafts."),
    "edit": Place(f"{_HERE}.edit", "edit", "Change a job that has not started."),
    "rm": Place(f"{_HERE}.edit", "rm", "Delete jobs that are final."),
    "bulk": Place(f"{_HERE}.bulk", "bulk", "Pause, resume, cancel or rerun all jobs that match a filter."),
}
PLACES = {
    **JOB_PLACES,
    "types": Place(f"{_HERE}.types", "types", "Show and declare job types."),
    "files": Place(f"{_HERE}.files", "files", "Upload, list and download files."),
    "token": Place(f"{_HERE}.people", "token", "Make, list and revoke credentials."),
    "user": Place(f"{_HERE}.people", "user", "Make and list users."),
    "updates": Place(f"{_HERE}.updates", "updates", "Print the changes of all jobs."),
    "queues": Place(f"{_HERE}.fleet", "queues", "Show, pause and resume queues."),
    "workers": Place(f"{_HERE}.fleet", "workers", "Show the workers."),
    "status": Place(f"{_HERE}.status", "status", "Show how the broker is and who you are."),
    "ping": Place(f"{_HERE}.status", "ping", "Ask whether the broker is ready."),
    "completion": Place(f"{_HERE}.completion", "completion", "Print the completion script for your shell."),
}
JOB_ALIASES = {
    "list": "ls",
    "get": "show",
    "inspect": "show",
    "run": "submit",
    "stop": "cancel",
    "delete": "rm",
}
ALIASES = {
    **JOB_ALIASES,
    "job": "jobs",
    "type": "types",
    "file": "files",
    "tokens": "token",
    "users": "user",
    "queue": "queues",
    "health": "status",
}


@click.group(
    cls=LazyGroup,
    places=PLACES,
    aliases=ALIASES,
    takes_entry_points=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="longshore")
@connection_options
@output_options
def program() -> None:
    """Submit jobs to a Longshore broker, watch them live, pause, resume and cancel them.

    The broker is found by LONGSHORE_URL and LONGSHORE_TOKEN, else in the data directory of a local `longshore up`.
    A JOB is named by its number, its id, or the beginning of its id.

    Exit codes: 0 it worked, 1 it failed, 2 cancelled or wrong usage, 3 the time to wait is over, 4 not allowed in,
    5 no broker reached.
    """


@program.group(
    "jobs",
    cls=LazyGroup,
    places=JOB_PLACES,
    aliases=JOB_ALIASES,
    short_help="The commands about jobs, also as `job`.",
)
def jobs() -> None:
    """Hold the commands about jobs, for those who look for them under a noun: `longshore job list`."""


def run(arguments: Sequence[str]) -> int:
    """Run a command line and give its exit code; errors are told on stderr."""
    session = Session()
    session.as_json = _wants_json(arguments)
    try:
        result = program.main(list(arguments), prog_name="longshore", standalone_mode=False, obj=session)
    except Stop as stop:
        return stop.code
    except (click.Abort, KeyboardInterrupt):
        session.note("Stopped.")
        return Exit.CANCELLED
    except (click.ClickException, LongshoreError, OSError, ValueError) as error:
        return report(error, as_json=session.as_json)
    finally:
        session.close()
    return result if isinstance(result, int) else Exit.OK


def _wants_json(arguments: Sequence[str]) -> bool:
    """See the wish for JSON before the arguments are read, so that their own errors obey it."""
    return any(
        word in {"-ojson", "--output=json", "--json"}
        or word.startswith("--json=")
        or (word in {"-o", "--output"} and following == "json")
        for word, following in pairwise([*arguments, ""])
    )
