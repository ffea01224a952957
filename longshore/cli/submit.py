"""`longshore submit`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from longshore.cli.exits import Stop, exit_of
from longshore.cli.filters import moment
from longshore.cli.output import print_job, print_json, state_word
from longshore.cli.session import Session, output_options, pass_session
from longshore.models import FINAL_STATES

if TYPE_CHECKING:
    from longshore.client import JobHandle


_EXAMPLES = """\b
  longshore submit create_subtraction --input genome=genome.fna.gz --arg k=21 --watch
  longshore submit align --args @args.json --wait -o json
"""


@click.command(epilog=_EXAMPLES)
@click.argument("type", metavar="TYPE")
@click.option("--version", metavar="VERSION", help="Version of the job type (default: the newest).")
@click.option("-a", "--arg", "pairs", multiple=True, metavar="NAME=VALUE", help="One arg; JSON if it reads as such.")
@click.option("--args", "args_text", metavar="JSON|@FILE", help="All args as JSON; @- reads standard input.")
@click.option("-i", "--input", "inputs", multiple=True, metavar="NAME=PATH", help="Input file, or the id of one.")
@click.option("--title", help="What it is, for people.")
@click.option("-l", "--label", "labels", multiple=True, help="Label; may be repeated.")
@click.option("--priority", type=int, help="Lower is more urgent (default 100).")
@click.option("--queue", help="Which workers may take it.")
@click.option("--not-before", metavar="WHEN", help="Not run earlier: an instant, or 90m, 2h, 1d from now.")
@click.option("--timeout", type=float, metavar="SECONDS", help="How long an attempt may run.")
@click.option("--max-attempts", type=click.IntRange(1), help="How many attempts may be burnt.")
@click.option("--pause-at", metavar="STAGE", help="Pause when this stage is reached.")
@click.option("--expires-after", metavar="TIME", help="How long it is kept after its end, for example 30d.")
@click.option("--draft", is_flag=True, help="Keep it as a draft; `longshore send` submits it.")
@click.option("--idempotency-key", metavar="KEY", help="Accept it once under this key, however often this is run.")
@click.option("-w", "--wait", is_flag=True, help="Wait for the end; the exit code tells how it ended.")
@click.option("--wait-timeout", type=float, metavar="SECONDS", help="Longest wait (exit code 3 after it).")
@click.option("--watch", is_flag=True, help="Watch it live until the end; the exit code tells how it ended.")
@output_options
@pass_session
def submit(
    session: Session,
    /,
    *,
    type: str,
    pairs: Sequence[str],
    args_text: str | None,
    inputs: Sequence[str],
    wait: bool,
    wait_timeout: float | None,
    watch: bool,
    **wishes: Any,
) -> None:
    """Submit a job of TYPE, and print its number and id."""
    args = {**_json_object(args_text), **_pairs(pairs)}
    handle = session.client.submit(type, args, inputs=_inputs(inputs), **_fields(wishes))
    if not (wait or watch):
        print_job(session, handle.job)
        return
    session.note(f"Job {handle.number}  {handle.id}")
    _see_to_end(session, handle, wait_timeout, watch=watch)
    raise Stop(exit_of(handle.job))


def _fields(wishes: Mapping[str, Any]) -> dict[str, Any]:
    """Give what was wished, in the client's form."""
    fields = {name: value for name, value in wishes.items() if value not in (None, (), False)}
    for name in fields.keys() & {"not_before", "expires_after"}:
        fields[name] = moment(fields[name])
    if "labels" in fields:
        fields["labels"] = list(fields["labels"])
    return fields


def _see_to_end(session: Session, handle: JobHandle, timeout: float | None, *, watch: bool) -> None:
    from longshore.cli.watch import follow, leave_running  # noqa: PLC0415 - rich is not needed without --watch

    try:
        if watch:
            follow(session, handle, interval=None, timeout=timeout)
        else:
            _wait(session, handle, timeout)
    except KeyboardInterrupt:
        leave_running(session, handle)
    if not session.as_json:
        _print_end(handle)
    elif not watch:  # watching has printed the end already
        print_json(session, dict(handle.job.raw))


def _wait(session: Session, handle: JobHandle, timeout: float | None) -> None:
    """Wait for the end; a pause ends no waiting, but somebody who does not know of it would wait for ever."""
    began = time.monotonic()
    if handle.wait(timeout, until={"paused", *FINAL_STATES}).state == "paused":
        session.note(f"Job {handle.number} is paused. It goes on with: longshore resume {handle.number}")
        handle.wait(None if timeout is None else max(0.0, timeout - (time.monotonic() - began)))


def _print_end(handle: JobHandle) -> None:
    job = handle.job
    click.echo(f"{job.number}  {job.id}  {state_word(job.state)}")
    if job.error:
        click.echo(f"{job.error.name}: {job.error.message}", err=True)
    if job.result is not None:
        click.echo(json.dumps(job.result, indent=2, ensure_ascii=False))


# ------------------------------------------------------------------------------------- reading what is given


def _json_object(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        value = json.loads(read_argument(text))
    except ValueError as error:
        raise click.BadParameter(f"--args is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise click.BadParameter("--args must be a JSON object")
    return value


def read_argument(text: str) -> str:
    """Give the text itself, or what stands in the file behind an @ (@- is standard input)."""
    if not text.startswith("@"):
        return text
    return sys.stdin.read() if text == "@-" else Path(text[1:]).read_text()


def _pairs(pairs: Sequence[str]) -> dict[str, Any]:
    return {name: _value(text) for name, text in (_split(pair, "--arg") for pair in pairs)}


def _split(pair: str, option: str) -> tuple[str, str]:
    name, sign, text = pair.partition("=")
    if not (name and sign):
        raise click.BadParameter(f"{option} wants NAME=VALUE, not {pair!r}")
    return name, text


def _value(text: str) -> Any:
    """Read numbers, true, false, null, lists and objects as JSON, and anything else as text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _inputs(pairs: Sequence[str]) -> dict[str, Any]:
    """Read inputs; a name that is given several times becomes a list."""
    found: dict[str, list[Any]] = {}
    for name, text in (_split(pair, "--input") for pair in pairs):
        found.setdefault(name, []).append(_file(name, text))
    return {name: files[0] if len(files) == 1 else files for name, files in found.items()}


def _file(name: str, text: str) -> Path | str:
    path = Path(text)
    if path.is_file():
        return path
    try:
        return str(UUID(text))
    except ValueError:
        raise click.BadParameter(f"--input {name}: {text} is neither a file nor the id of a stored one") from None
