"""`longshore status` and `ping`."""

from __future__ import annotations

import time
from typing import Any

import click

from longshore.cli.exits import Exit, Stop
from longshore.cli.output import clean, print_card, print_json
from longshore.cli.session import Session, output_options, pass_session

_COLOURS = {"ok": "green", "degraded": "yellow", "unavailable": "red"}


@click.command()
@output_options
@pass_session
def status(session: Session) -> None:
    """Show how the broker is, what to do about what is wrong, and who you are. Exit code 5 if it cannot serve."""
    health, me = session.client.health(), session.client.me()
    if session.as_json:
        print_json(session, {"url": session.client.url, "health": health, "me": me})
    else:
        word = str(health.get("status"))
        print_card(
            [
                ("broker", f"{session.client.url}  {click.style(word, fg=_COLOURS.get(word))}"),
                ("you", f"{clean(me.get('name'))} ({' '.join(me.get('scopes', []))})"),
                *((clean(check.get("name")), _check(check)) for check in health.get("checks", [])),
            ]
        )
    if health.get("status") == "unavailable":
        raise Stop(Exit.UNREACHABLE)


def _check(check: dict[str, Any]) -> str:
    """Give one line for a check that is well, and what to do below one that is not."""
    mark = click.style("ok", fg="green") if check.get("fine") else click.style("ill", fg="red")
    remedy = clean(check.get("remedy"))
    return f"{mark}  {clean(check.get('detail'))}" + (f"\n{remedy}" if remedy else "")


@click.command()
@output_options
@pass_session
def ping(session: Session) -> None:
    """Ask whether the broker is ready, and how fast it answers. Exit code 5 if it is not."""
    begin = time.monotonic()
    answer = session.client.ready()
    took = (time.monotonic() - begin) * 1000
    if session.as_json:
        print_json(session, {"url": session.client.url, "milliseconds": round(took, 1), **answer})
    else:
        click.echo(f"{session.client.url}  {answer.get('status')}  {took:.0f} ms")
    if answer.get("status") != "ok":
        raise Stop(Exit.UNREACHABLE)
