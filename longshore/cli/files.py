"""`longshore files`: inputs to upload, outputs to download."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import click

from longshore.cli.lazy import Noun
from longshore.cli.naming import JOB, find_job
from longshore.cli.output import Column, ago, clean, print_json, print_list, size
from longshore.cli.session import Session, output_options, pass_session

COLUMNS = [
    Column("id", lambda file: file.id),
    Column("role", lambda file: clean(file.role)),
    Column("size", lambda file: size(file.size)),
    Column("created", lambda file: ago(file.created_at)),
    Column("name", lambda file: clean(file.name)),
]


@click.group(cls=Noun)
@output_options
def files() -> None:
    """Upload inputs, list files, download outputs."""


@files.command("ls")
@click.argument("job", type=JOB, required=False)
@output_options
@pass_session
def ls(session: Session, job: str | None) -> None:
    """List the files of JOB, or without it all that you may see."""
    job_id = find_job(session.client, job).id if job else None
    print_list(session, session.client.files.list(job=job_id), COLUMNS, "No files.")


@files.command("upload")
@click.argument(
    "paths",
    metavar="PATH...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option("--name", help="Name to store it under (default: the file's own).")
@output_options
@pass_session
def upload(session: Session, paths: Sequence[Path], name: str | None) -> None:
    """Upload files, and print the ids that `submit --input` takes."""
    if name and len(paths) > 1:
        raise click.UsageError("--name goes with one file only.")
    stored = [session.client.files.upload(path, name=name, progress=session.is_watched) for path in paths]
    if session.as_json:
        documents = [dict(file.raw) for file in stored]
        print_json(session, documents[0] if len(documents) == 1 else documents)
    else:
        for file in stored:
            click.echo(f"{file.id}  {clean(file.name)}  {size(file.size)}")


@files.command("download")
@click.argument("job", type=JOB, metavar="JOB|FILE")
@click.argument("names", nargs=-1)
@click.option(
    "-d",
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Where to (default: here).",
)
@output_options
@pass_session
def download(session: Session, job: str, names: Sequence[str], directory: Path) -> None:
    """Download the outputs of JOB (all, or those named), or one file by its id.

    What was begun is continued, what is there already is kept, and everything is checked by its SHA-256.
    """
    paths = _one_file(session, job, directory) or find_job(session.client, job).download(
        directory, names or None, progress=session.is_watched
    )
    if session.as_json:
        print_json(session, [str(path) for path in paths])
    else:
        for path in paths:
            click.echo(path)
    if not paths:
        session.note("This job has no outputs.")


def _one_file(session: Session, name: str, directory: Path) -> list[Path]:
    """Download a file if the name is the id of one; a job's id leads nowhere here."""
    from longshore.client import NotFound  # noqa: PLC0415 - keeps the shell's completion of this command light
    from longshore.client.storage import target_below  # noqa: PLC0415 - the same

    try:
        stored = session.client.files.get(str(UUID(name)))
    except (ValueError, NotFound):
        return []
    target = target_below(directory, stored.name)
    return [session.client.files.download(stored, target, progress=session.is_watched)]
