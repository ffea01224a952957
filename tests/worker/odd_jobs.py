"""Job types that do what ordinary ones do not: fork, exit, swallow, return what is no JSON."""

# ruff: noqa: ARG001 - many of these have no use for the job they are given
from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longshore import Job, job_type


@job_type("forks", stages=["fork"], pause="both")
def forks(job: Job) -> int:
    """Fork again and again while reports are being written; the forked speak and checkpoint too."""
    job.stage("fork")
    for number in range(60):
        job.progress(number, 60)
        job.log.info("before fork %d", number)
        child = os.fork()
        if not child:
            job.progress(number + 0.5)
            job.checkpoint()
            print(f"from fork {number}", flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        job.checkpoint(number)
    return 60


def _square(number: int) -> int:
    return number * number


@job_type("pools")
def pools(job: Job) -> list[int]:
    """Use a pool of processes."""
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(_square, range(10))


@job_type("odd_result", max_attempts=1)
def odd_result(job: Job) -> Any:
    """Return what is no JSON."""
    return {"what": object()}


@job_type("huge_text", max_attempts=1)
def huge_text(job: Job) -> Any:
    """Return text that no database column of JSON takes on every database."""
    return {"text": "a\x00b"}


@job_type("poison", max_attempts=1)
def poison(job: Job) -> Any:
    """Fail with words that no database keeps, after reports that none keeps either."""
    job.message("a\x00b" + "x" * 5000)
    raise ValueError("a\x00b\ud800")


@job_type("secrets")
def secrets(job: Job) -> list[str]:
    """Tell what of the worker's settings the job could read from its environment."""
    return sorted(name for name in os.environ if name.startswith("LONGSHORE_"))


@job_type("breaks_worker", max_attempts=1)
def breaks_worker(job: Job) -> None:
    """Break the pool child that it runs in, so that it cannot record any end."""
    from worker.child import Child  # noqa: PLC0415 - what no job code should do

    def clear(*_: object) -> None:
        raise RuntimeError("broken by job code")

    Child.clear = clear  # type: ignore[assignment]


@dataclass
class Deadly:
    """Arguments that end whoever reads them."""

    number: int = 0

    def __post_init__(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@job_type("deadly_args", args=Deadly, max_attempts=1)
def deadly_args(job: Job) -> None:
    """Never be reached."""


@job_type("exits", max_attempts=1)
def exits(job: Job) -> None:
    """End the interpreter."""
    sys.exit(3)


@job_type("raises_cancelled", max_attempts=1)
def raises_cancelled(job: Job) -> None:
    """Claim to be cancelled."""
    from longshore.errors import JobCancelled  # noqa: PLC0415 - seldom needed by job code

    raise JobCancelled


@job_type("loud", max_attempts=1)
def loud(job: Job) -> None:
    """Write to the descriptors themselves, and through other loggers."""
    os.write(1, b"raw stdout\n")
    os.write(2, b"raw stderr\n")
    os.system("echo from a shell")  # noqa: S605 - a plain child that inherits the descriptors
    logging.getLogger("some.library").warning("a library warns")
    sys.stdout.write("no end of line")


@job_type("wanders", max_attempts=1)
def wanders(job: Job) -> list[Any]:
    """Say where it is, and go elsewhere."""
    found = [str(Path.cwd()), os.umask(0)]
    os.chdir(job.workdir)
    return found


@job_type("leaves_children", max_attempts=1)
def leaves_children(job: Job) -> int:
    """Complete while a child still runs."""
    child = os.fork()
    if not child:
        os.setsid()
        os.execvp("sleep", ["sleep", "300"])  # noqa: S606 - no shell is wanted
    return child
