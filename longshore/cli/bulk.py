"""`longshore bulk`: one action on all jobs that match a filter."""

from __future__ import annotations

from typing import Any

import click

from longshore.cli.filters import chosen, filter_options
from longshore.cli.output import confirm, print_json
from longshore.cli.session import Session, output_options, pass_session
from longshore.models import Counts

ACTIONS = ("pause", "resume", "cancel", "rerun", "submit")


_EXAMPLES = """\b
  longshore bulk cancel --state queued --label old --reason "superseded" --dry-run
"""


@click.command(epilog=_EXAMPLES)
@click.argument("action", type=click.Choice(ACTIONS))
@filter_options
@click.option("-r", "--reason", help="Why; it is kept in the history with your name.")
@click.option("--dry-run", is_flag=True, help="Only count the jobs that match.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_options
@pass_session
def bulk(session: Session, /, action: str, reason: str | None, dry_run: bool, yes: bool, **filters: Any) -> None:
    """Do ACTION to all jobs that match the filters, however many they are."""
    wanted = chosen(filters)
    if not wanted:
        raise click.UsageError("Say which jobs: give at least one filter.")
    if not (dry_run or yes):
        matched = session.client.act_on_all(action, wanted, dry_run=True).matched
        confirm(f"{action} {matched} jobs?")
    counts = session.client.act_on_all(action, wanted, dry_run=dry_run, reason=reason)
    if session.as_json:
        print_json(session, dict(counts.raw))
    else:
        click.echo(f"{counts.matched} jobs match" if dry_run else _told(counts))


def _told(counts: Counts) -> str:
    parts = [
        f"{counts.matched} matched",
        f"{counts.changed} done",
        f"{counts.flagged} asked of their workers",
    ]
    return ", ".join([*parts, f"{counts.refused} refused"])
