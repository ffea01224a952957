"""`longshore ls`."""

from __future__ import annotations

from typing import Any

import click

from longshore.cli.filters import chosen, filter_options
from longshore.cli.output import Column, ago, clean, print_list, state_word
from longshore.cli.session import Session, output_options, pass_session
from longshore.models import Job

COLUMNS = [
    Column("number", lambda job: str(job.number)),
    Column("id", lambda job: job.id),
    Column("type", lambda job: clean(job.type)),
    Column("state", lambda job: state_word(job.shown_state)),
    Column("stage", lambda job: clean(job.stage)),
    Column("progress", lambda job: f"{job.progress:4.0%}"),
    Column("created", lambda job: ago(job.created_at)),
    Column("title", lambda job: clean(job.title or job.message)),
]


_EXAMPLES = """\b
  longshore ls --state running --state paused
  longshore ls --type create_subtraction --created-after 2d --json number,state
"""


@click.command(epilog=_EXAMPLES)
@filter_options
@click.option("--order", metavar="FIELD", help="For example -created (default), priority, -updated.")
@click.option("-n", "--limit", type=click.IntRange(1), default=50, show_default=True, help="How many at most.")
@click.option("-a", "--all", "everything", is_flag=True, help="All of them, however many.")
@output_options
@pass_session
def ls(session: Session, /, limit: int, everything: bool, **filters: Any) -> None:
    """List jobs, the newest first."""
    most = None if everything else limit
    found: list[Job] = [handle.job for handle in session.client.jobs(limit=most, **chosen(filters))]
    print_list(session, found, COLUMNS, "No jobs match.")
    if len(found) == most:
        session.note(f"These are the first {most}; --all shows all.")
