"""The server side's commands of `longshore`: up, down, doctor, demo, api, worker, db."""
# ruff: noqa: PLC0415 - each command imports what it needs itself, so that `longshore --help` is not kept waiting

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from broker_config import Settings, child_environment
from shared.errors import LongshoreError

DATA_DIR = click.option(
    "--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Directory of everything kept."
)


def plain_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Show an error of ours as one message, not as a traceback."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except LongshoreError as error:
            raise click.ClickException(error.detail) from error

    return run


@click.command()
@click.option("--host", help="Address the API listens on (127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port of the API (8080); 0 takes a free one.")
@DATA_DIR
@click.option("--slots", type=click.IntRange(1), help="How many jobs run at once (number of cores).")
@click.option("--jobs", help="Modules of job types to import, by commas.")
@click.option("--detach", "-d", is_flag=True, help="Return as soon as it serves; stop it with `longshore down`.")
@click.option("--quiet", "-q", is_flag=True, help="Do not show the components' log lines.")
@plain_errors
def up(detach: bool, quiet: bool, **given: Any) -> None:
    """Run broker, API and worker on this machine until Ctrl-C."""
    settings = Settings.from_env(**given)
    if detach:
        _up_detached(settings)
    else:
        from launcher import attached

        attached.run(settings, show_logs=not quiet)


def _up_detached(settings: Settings) -> None:
    from launcher import detached
    from launcher.datadir import DataDirectory
    from launcher.screen import start_screen

    holder = detached.start(settings)
    stop_with = f"longshore down --data-dir {settings.data_dir}"
    click.echo(start_screen(settings, DataDirectory(settings), holder.url, stop_with))


@click.command()
@DATA_DIR
@click.option("--now", is_flag=True, help="Do not wait for running jobs: kill them.")
@plain_errors
def down(now: bool, **given: Any) -> None:
    """Stop what `longshore up` runs on a data directory, and wait until it is gone."""
    from launcher import detached

    settings = Settings.from_env(**given)
    holder = detached.stop(settings, now=now)
    where = settings.data_dir
    click.echo(f"Stopped process {holder.identity.pid}" if holder else f"Nothing runs on {where}", err=True)


@click.command()
@DATA_DIR
@click.option("-o", "--output", type=click.Choice(["table", "json"]), help="Form of the report (table).")
@click.pass_context
@plain_errors
def doctor(context: click.Context, output: str | None, **given: Any) -> None:
    """Check broker, database, clock, disk, versions and workers, and say what to do."""
    from launcher.doctor import examine

    form = output or context.find_root().params.get("output")
    sys.exit(examine(Settings.from_env(**given), as_json=form == "json"))


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Keep the data there.")
@click.option("--output-dir", type=click.Path(path_type=Path, file_okay=False), default=Path("demo-output"),
              help="Where the results are put (./demo-output).")  # fmt: skip
@plain_errors
def demo(data_dir: Path | None, output_dir: Path) -> None:
    """Index a real genome: submitted over HTTP, watched live, paused, resumed, finished."""
    from launcher.demo import run

    sys.exit(run(data_dir, output_dir))


@click.command()
@click.option("--host", help="Address to listen on (127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port to listen on (8080).")
@DATA_DIR
@plain_errors
def api(**given: Any) -> None:
    """Serve the API alone; broker and database are those of the settings."""
    from launcher import web
    from launcher.datadir import DataDirectory

    settings = Settings.from_env(**given)
    DataDirectory(settings).make(settings)
    web.serve(settings)


@click.command()
@DATA_DIR
@click.option("--slots", type=click.IntRange(1), help="How many jobs run at once (number of cores).")
@click.option("--queues", help="Queues to serve, by commas (default).")
@click.option("--jobs", help="Modules of job types to import, by commas.")
@click.option("--node", help="Name of this machine in lists (the host name).")
@plain_errors
def worker(**given: Any) -> None:
    """Run jobs from the queues; broker and database are those of the settings."""
    from launcher.datadir import DataDirectory

    settings = Settings.from_env(**given)
    DataDirectory(settings).make(settings)
    arguments = [sys.executable, "-P", "-m", "worker.agent"]
    os.execve(sys.executable, arguments, child_environment(settings))  # noqa: S606 - no shell is wanted


@click.group()
def db() -> None:
    """Look after the database."""


@db.command()
@DATA_DIR
@plain_errors
def upgrade(**given: Any) -> None:
    """Create the tables or bring them to this release; write the first admin's token."""
    from launcher.prepare import prepare
    from shared import migrations

    settings = Settings.from_env(**given)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    prepare(settings)
    click.echo(f"The database is at revision {migrations.current(settings.database_url)}", err=True)


@db.command()
@DATA_DIR
@plain_errors
def current(**given: Any) -> None:
    """Print the database's revision."""
    from launcher.prepare import is_yet_to_be_made
    from shared import migrations

    settings = Settings.from_env(**given)
    found = None if is_yet_to_be_made(settings) else migrations.current(settings.database_url)
    click.echo(found or "none: run `longshore db upgrade`")
