"""Job types that tests run on real workers: LONGSHORE_JOBS=tests.jobs.

Those that tell tests something do it by files whose paths come with the args; each line of a trace is
`<attempt> <pid> <what>`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from longshore import Backoff, Input, Job, JobError, job_type

_STEP = 0.05
"""Seconds between two checkpoints of jobs that wait."""
_SOON = Backoff(first=0.1, factor=1, max=0.1)


def trace(job: Job[Any], path: Path | None, what: object) -> None:
    """Append a line that a kill -9 cannot take back."""
    if path is not None:
        with path.open("a") as file:
            file.write(f"{job.attempt} {os.getpid()} {what}\n")
            file.flush()
            os.fsync(file.fileno())


# ------------------------------------------------------------------------------------- quick and simple


@job_type("noop")
def noop(job: Job) -> None:
    """Do nothing at all."""


@job_type("echo")
def echo(job: Job) -> dict[str, Any]:
    """Give back the args."""
    return dict(job.args)


@job_type(
    "copy_files",
    inputs={"one": Input(), "more": Input(required=False, multiple=True)},
    stages=["copy"],
)
def copy_files(job: Job) -> list[str]:
    """Keep every input as an output."""
    more = job.inputs.get("more", [])
    paths = [job.input("one"), *(more if isinstance(more, list) else [more])]
    with job.stage("copy"):
        names = [f"{number}-{path.name}" for number, path in enumerate(job.track(paths))]
    for name, path in zip(names, paths, strict=True):
        job.save_output(name, shutil.copyfile(path, job.workdir / name))
    return names


@dataclass
class ChattyArgs:
    """How many lines to write to each of log, stdout and stderr."""

    lines: int = 10


@job_type("chatty", args=ChattyArgs)
def chatty(job: Job[ChattyArgs]) -> int:
    """Write to everything that is captured."""
    for number in range(job.args.lines):
        job.log.info("log line %d", number)
        print(f"stdout line {number}")
        print(f"stderr line {number}", file=sys.stderr)
    job.run(["sh", "-c", "echo a program speaks"])
    return job.args.lines


# ----------------------------------------------------------------------------------------- taking time


@dataclass
class SleepArgs:
    """How long to sleep, in seconds."""

    seconds: float = 1.0


@job_type("sleep", args=SleepArgs, stages=["sleep"], pause="both")
def sleep(job: Job[SleepArgs]) -> float:
    """Sleep, with a checkpoint every 50 ms that remembers how much is done."""
    slept: float = job.saved_state or 0.0
    job.stage("sleep")
    while slept < job.args.seconds:
        job.progress(slept, job.args.seconds)
        time.sleep(_STEP)
        slept += _STEP
        job.checkpoint(slept)
    return slept


@job_type("sleep_deaf", args=SleepArgs, pause="park", cancel="checkpoint")
def sleep_deaf(job: Job[SleepArgs]) -> float:
    """Sleep without a single checkpoint."""
    end = time.monotonic() + job.args.seconds
    while time.monotonic() < end:
        time.sleep(_STEP)
    return job.args.seconds


@job_type("burn_cpu", args=SleepArgs, pause="both")
def burn_cpu(job: Job[SleepArgs]) -> int:
    """Compute without ever asking for a checkpoint."""
    end, rounds = time.monotonic() + job.args.seconds, 0
    while time.monotonic() < end:
        rounds += sum(range(1000)) and 1
    return rounds


@dataclass
class GateArgs:
    """Files by which a test and the job meet: the job makes `arrived` and waits until there is `gate`."""

    gate: Path
    arrived: Path | None = None
    trace: Path | None = None
    checkpoints: bool = True


@job_type("gated", args=GateArgs, stages=["before", "gate", "after"], pause="both")
def gated(job: Job[GateArgs]) -> int:
    """Stand in the stage `gate` until a file exists, so that a test decides when it goes on."""
    trace(job, job.args.trace, "begins")
    job.stage("before")
    job.stage("gate")
    if job.args.arrived is not None:
        job.args.arrived.touch()
    while not job.args.gate.exists():
        time.sleep(_STEP)
        if job.args.checkpoints:
            job.checkpoint({"attempt": job.attempt})
    job.stage("after")
    trace(job, job.args.trace, "ends")
    return job.attempt


@dataclass
class CounterArgs:
    """Count to `upto`, waiting `delay` seconds before each number, and write each to `trace`."""

    upto: int = 10
    delay: float = 0.0
    trace: Path | None = None


@job_type("counter", args=CounterArgs, stages=["count"], pause="both", backoff=_SOON)
def counter(job: Job[CounterArgs]) -> dict[str, Any]:
    """Count with a checkpoint after each number, with a file that grows along."""
    numbers = job.workdir / "numbers.txt"
    job.stage("count")
    for number in range(job.saved_state or 0, job.args.upto):
        time.sleep(job.args.delay)
        with numbers.open("a") as file:
            file.write(f"{number}\n")
        trace(job, job.args.trace, number)
        job.progress(number + 1, job.args.upto)
        job.checkpoint(number + 1, files=[numbers])
    job.save_output("numbers.txt", numbers)
    return {"counted": len(numbers.read_text().split()), "attempt": job.attempt}


# -------------------------------------------------------------------------------------------- going wrong


@dataclass
class FailArgs:
    """In how many attempts to fail, and with which error."""

    attempts: int = 1
    name: str = "unlucky"
    category: Literal["SYSTEM", "DATA", "ALGORITHM"] = "SYSTEM"
    trace: Path | None = None


@job_type("fail_once", args=FailArgs, backoff=_SOON)
def fail_once(job: Job[FailArgs]) -> int:
    """Fail in the first attempts, succeed afterwards."""
    trace(job, job.args.trace, "begins")
    if job.attempt <= job.args.attempts:
        raise JobError(job.args.name, f"attempt {job.attempt} fails", job.args.category)
    return job.attempt


@job_type("fail", args=FailArgs, backoff=_SOON)
def fail(job: Job[FailArgs]) -> None:
    """Fail always."""
    trace(job, job.args.trace, "begins")
    raise JobError(job.args.name, "this always fails", job.args.category, details={"attempt": job.attempt})


@job_type("raise", backoff=_SOON, max_attempts=1)
def raise_plainly(job: Job) -> None:
    """Raise an exception that nobody named."""
    raise ZeroDivisionError(f"in job {job.id}")


@dataclass
class CrashArgs:
    """In how many attempts to die of which signal."""

    attempts: int = 1
    signal: int = int(signal.SIGKILL)
    trace: Path | None = None


@job_type("crash", args=CrashArgs, backoff=_SOON)
def crash(job: Job[CrashArgs]) -> int:
    """Have the process that runs the job die of a signal."""
    trace(job, job.args.trace, "begins")
    if job.attempt <= job.args.attempts:
        os.kill(os.getpid(), job.args.signal)
        time.sleep(30)
    return job.attempt


# ------------------------------------------------------------------------------------------- hostile jobs

_HOSTILE = """
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
if os.fork():  # leave the family: the parent ends, the child belongs to nobody
    os._exit(0)
os.setsid()
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()}\\n")
for _ in range(300):  # a bound, so that a test that fails leaves nothing for good
    time.sleep(1)
"""


@dataclass
class StubbornArgs:
    """`pids` is where every process writes its id; `deaf` has the job itself swallow what stops it."""

    pids: Path
    deaf: bool = False
    seconds: float = 300.0
    environment: dict[str, str] = field(default_factory=dict)


@job_type("stubborn", args=StubbornArgs, stages=["resist"], pause="both")
def stubborn(job: Job[StubbornArgs]) -> None:
    """Start processes that ignore SIGTERM, leave the session and clear their environment; then wait."""
    command = [sys.executable, "-c", _HOSTILE, str(job.args.pids)]
    for _ in range(2):
        subprocess.Popen(command, env=job.args.environment, start_new_session=True)
    deaf_shell = f"trap '' TERM INT; echo $$ >> '{job.args.pids}'; for i in $(seq 300); do sleep 1; done"
    subprocess.Popen(["sh", "-c", deaf_shell])
    with job.args.pids.open("a") as file:
        file.write(f"{os.getpid()}\n")
    job.stage("resist")
    end = time.monotonic() + job.args.seconds
    while time.monotonic() < end:
        _wait(job, deaf=job.args.deaf)


def _wait(job: Job[Any], *, deaf: bool) -> None:
    try:
        time.sleep(_STEP)
        job.checkpoint()
    except BaseException:
        if not deaf:
            raise


@job_type("run_program", args={"properties": {"argv": {"type": "array"}}, "required": ["argv"]}, pause="both")
def run_program(job: Job) -> int:
    """Run a program through `job.run`."""
    return job.run(job.args["argv"]).exit_code


@dataclass
class HookArgs:
    """Where the `on_cancel` hook leaves its mark."""

    mark: Path
    arrived: Path


@job_type("with_hook", args=HookArgs, grace=20)
def with_hook(job: Job[HookArgs]) -> None:
    """Wait until cancelled; the hook writes whether the work directory was still there."""
    job.on_cancel(lambda: job.args.mark.write_text(str(job.workdir.is_dir())))
    job.args.arrived.touch()
    while True:
        time.sleep(_STEP)
        job.checkpoint()
