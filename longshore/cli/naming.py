"""Which job is meant: by number, by id, or by the beginning of an id; and completing it in the shell."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import click
from click.shell_completion import CompletionItem

from longshore.cli.output import ago, clean
from longshore.cli.session import Session

if TYPE_CHECKING:
    from longshore.client import Client, JobHandle

Command = TypeVar("Command", bound=Callable[..., Any])

SHORTEST_PREFIX = 4
SHOWN = 5
"""How many of the jobs are named that a beginning fits"""
OFFERED = 20
_NUMBER = re.compile(r"#?(\d{1,12})")
_PREFIX = re.compile(r"[0-9a-f-]{4,36}", re.IGNORECASE)


class JobName(click.ParamType[str]):
    """A job as people name it."""

    name = "job"

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Offer the newest jobs; a broker that does not answer offers none."""
        session = Session()
        session.patience = 0.0
        try:
            found = [handle.job for handle in session.client.jobs(limit=OFFERED)]
        except Exception:  # noqa: BLE001 - an error here would be printed into the line being typed
            return []
        finally:
            session.close()
        return [
            CompletionItem(name, help=f"{job.type} {job.shown_state} {clean(job.title)} {ago(job.created_at)}")
            for job in found
            for name in (str(job.number), job.id)
            if name.startswith(incomplete) and (incomplete or name != job.id)
        ]


JOB = JobName()


def job_argument(command: Command) -> Command:
    """Give a command the argument JOB."""
    return click.argument("job", type=JOB)(command)


def jobs_argument(command: Command) -> Command:
    """Give a command the argument JOB..., one or several."""
    return click.argument("jobs", type=JOB, nargs=-1, required=True)(command)


def find_job(client: Client, name: str) -> JobHandle:
    """Give the job that is meant. Raises NotFound, or UsageError when several are."""
    if _is_id(name):
        return client.get(str(UUID(name)))
    if number := _NUMBER.fullmatch(name):
        return client.get(int(number[1]))
    if _PREFIX.fullmatch(name):
        return _by_prefix(client, name.replace("-", "").lower())
    raise click.BadParameter(
        f"{name!r} names no job: give a number, an id, or at least {SHORTEST_PREFIX} characters of one"
    )


def _is_id(name: str) -> bool:
    try:
        UUID(name)
    except ValueError:
        return False
    return True


def _by_prefix(client: Client, prefix: str) -> JobHandle:
    lowest, highest = UUID(prefix.ljust(32, "0")), UUID(prefix.ljust(32, "f"))
    query = {"id": {"$gte": str(lowest), "$lte": str(highest)}}
    found = list(client.jobs(query=query, limit=SHOWN + 1))
    if not found:
        raise _not_found(f"There is no job with an id that begins with {prefix!r}.")
    if len(found) > 1:
        names = ", ".join(f"{each.number} ({each.id})" for each in found[:SHOWN])
        raise click.BadParameter(f"{prefix!r} is the beginning of several ids: {names}")
    return found[0]


def _not_found(text: str) -> Exception:
    from longshore.client import NotFound  # noqa: PLC0415 - keeps this module light for completion

    return NotFound(text)
