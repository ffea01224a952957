"""The supervisor in the foreground: the start screen, then the components' log lines until somebody stops it."""

from __future__ import annotations

import sys
from contextlib import suppress

import click

from broker_config import Settings, base_url
from launcher.datadir import DataDirectory
from launcher.logs import LogView
from launcher.screen import start_screen
from launcher.supervisor import Supervisor


def run(settings: Settings, *, show_logs: bool) -> None:
    """Run everything until a signal asks to stop. Raises what `Supervisor.run` raises."""
    directory = DataDirectory(settings)
    names = ("broker", "api", "worker") if settings.broker_is_embedded else ("api", "worker")
    view = LogView(directory.logs, names, sys.stdout if show_logs else None)

    def ready(settings: Settings, directory: DataDirectory) -> None:
        url = base_url(settings.host, settings.port)
        click.echo(start_screen(settings, directory, url, "Ctrl-C" if show_logs else "longshore down"))
        view.start()

    try:
        Supervisor(settings, say, ready).run()
    finally:
        view.stop()


def say(text: str) -> None:
    """News of the supervisor itself, apart from the components' lines."""
    with suppress(OSError):  # a terminal that is gone is no reason to stop
        click.echo(text, err=True)
