"""`longshore demo`: a real genome indexed before your eyes, paused in the middle, resumed where it stopped.

It starts an installation of its own, does everything over HTTP as any user would, checks what it claims, and stops
all of it again. The exit status is 0 only when everything held.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from broker_config import Settings
from launcher.components import installation
from launcher.datadir import DataDirectory
from launcher.demo.display import StageLines
from launcher.demo.proof import DemoFailed, expect, first_done_after_resume, leftovers
from launcher.logs import last_lines
from launcher.processes import Child
from longshore.client import Client, ClientError, JobHandle
from longshore.models import Job

CHECKOUT = Path(__file__).parents[2]
DATA = CHECKOUT / "examples" / "data"
GENOME, SMALL_GENOME = DATA / "NC_008253.fna.gz", DATA / "lambda_virus.fa.gz"
JOBS, JOB_TYPE = "examples.subtraction", "create_subtraction"
STAGE = "bowtie_build"
PAUSE_AFTER, PAUSE_AT = 1.5, 0.25
"""seconds in the stage, or share of it, after which it is paused: well inside it, however fast the machine"""
BLOCKS = 40
START_WITHIN, EACH_WAIT = 90.0, 150.0


def run(data_dir: Path | None, output_dir: Path) -> int:
    """Play the demo; returns the exit status."""
    if not GENOME.exists():
        raise DemoFailed(f"{DATA} has no genomes; run the demo from a checkout of the project")
    begun = time.monotonic()
    click.secho("Longshore: a genome indexed, paused in the middle, and resumed", bold=True)
    with _directory(data_dir) as directory, _installation(directory) as (settings, pid, client):
        try:
            job = _play(settings, pid, client, output_dir)
        except ClientError as error:
            raise DemoFailed(str(error)) from error
        _tell_results(job, output_dir)
    _tell_next(time.monotonic() - begun)
    return 0


# -------------------------------------------------------------------------------------------- the play


def _play(settings: Settings, pid: int, client: Client, output_dir: Path) -> JobHandle:
    _step(2, f"Submitting the genome of E. coli over HTTP ({GENOME.stat().st_size / 1e6:.1f} MB)")
    job = client.submit(JOB_TYPE, {"blocks": BLOCKS}, inputs={"genome": GENOME}, title="E. coli", progress=False)
    _step(3, f"Job {job.number} runs")
    lines = StageLines()
    _follow(job, lines, _Ripe())
    asked = time.monotonic()
    job.pause(mode="park", reason="to show it")
    paused = job.wait(EACH_WAIT, until="paused", progress=False)
    lines.end_stage("paused")
    _expect_paused(paused)
    _step(4, f"Paused in {STAGE} within {time.monotonic() - asked:.2f} s; {_place(paused)}")
    _check_parked(settings, pid, client)
    _step(5, "Resuming")
    job.resume(reason="seen enough")
    _follow(job, lines, lambda each: each.is_final)
    lines.end_stage()
    _check_outcome(job, paused)
    job.download(output_dir, progress=False)
    return job


class _Ripe:
    """Whether the job is well inside the stage in which it is to be paused."""

    def __init__(self) -> None:
        self._since: float | None = None

    def __call__(self, job: Job) -> bool:
        if job.stage != STAGE:
            return job.is_final
        self._since = self._since or time.monotonic()
        share = (job.done or 0.0) / (job.total or 1.0)
        return job.is_final or share >= PAUSE_AT or time.monotonic() - self._since > PAUSE_AFTER


def _follow(job: JobHandle, lines: StageLines, enough: Callable[[Job], bool]) -> None:
    for snapshot in job.snapshots(EACH_WAIT):
        lines.show(snapshot)
        if enough(snapshot):
            return


def _place(job: Job) -> str:
    counted = job.done is not None and job.total
    return f"{job.done:g} of {job.total:g} blocks are saved" if counted else "what it has computed so far is saved"


def _expect_paused(job: Job) -> None:
    if job.state != "paused" or job.stage != STAGE:
        raise DemoFailed(f"the job is {job.state} in stage {job.stage}, not paused in {STAGE}")


def _check_parked(settings: Settings, pid: int, client: Client) -> None:
    """Nothing of the parked job is left, and the only slot there is takes another job."""
    expect(lambda: not leftovers(settings, pid), "no process and no work directory of the parked job is left")
    _note("no process of it is left, and no work directory")
    begun = time.monotonic()
    other = client.submit(JOB_TYPE, {"blocks": 4}, inputs={"genome": SMALL_GENOME}, progress=False)
    done = other.wait(EACH_WAIT, progress=False)
    if done.state != "completed":
        raise DemoFailed(f"job {other.number}, in the slot left free, is {done.state}: {done.error}")
    took = time.monotonic() - begun
    _note(f"its slot is free: meanwhile job {other.number} indexed the lambda virus there, in {took:.1f} s")


def _check_outcome(job: JobHandle, paused: Job) -> None:
    """It is completed; and where the stage counts what it has done, it went on counting where it was."""
    final = job.status()
    if final.state != "completed":
        raise DemoFailed(f"the job is {final.state}: {final.error}")
    if paused.done is None:
        return
    went_on = first_done_after_resume(job, STAGE)
    if went_on is None or went_on < paused.done:
        raise DemoFailed(f"the stage went on at {went_on}, although {paused.done:g} were done before the pause")
    _note(f"it went on at block {went_on:g}: what was done before was not done again")


# ------------------------------------------------------------------------------- what it stands on


@contextmanager
def _directory(given: Path | None) -> Iterator[Path]:
    """The data directory: the one given, which stays, or one that goes with the demo."""
    if given is not None:
        yield given.absolute()
        return
    made = Path(tempfile.mkdtemp(prefix="longshore-demo-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def _installation(directory: Path) -> Iterator[tuple[Settings, int, Client]]:
    """An installation of one slot on a free port, which ends with this process whatever happens."""
    begun = time.monotonic()
    _step(1, "Starting a private broker, the API and a worker with one slot")
    settings = Settings.from_env(data_dir=directory, port=0, slots=1, jobs=JOBS, drain=5.0)
    holder = DataDirectory(settings)
    holder.make(settings)
    child = Child(installation(settings), holder.logs / "up.log")
    child.start()
    try:
        url = _await_url(child, holder)
        with Client(url, holder.token_file.read_text().strip()) as client:
            expect(lambda: _offers(client), f"a worker offers {JOB_TYPE}", START_WITHIN)
            _note(f"{url}, after {time.monotonic() - begun:.1f} s")
            found = holder.holder()
            yield settings, found.identity.pid if found else 0, client
    finally:
        _end(child)


def _await_url(child: Child, directory: DataDirectory) -> str:
    def serves() -> bool:
        if child.ended() is not None:
            raise DemoFailed(f"it did not start:\n{last_lines(child.log)}")
        found = directory.holder()
        return found is not None and bool(found.url)

    expect(serves, "the installation serves", START_WITHIN)
    found = directory.holder()
    return found.url if found else ""


def _offers(client: Client) -> bool:
    try:
        return client.types.get(JOB_TYPE) is not None
    except ClientError:
        return False


def _end(child: Child) -> None:
    child.signal(signal.SIGTERM)
    deadline = time.monotonic() + child.component.stops_within
    while child.ended() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    child.signal(signal.SIGQUIT)


# ----------------------------------------------------------------------------------------- the words


def _step(number: int, text: str) -> None:
    click.echo(f"{click.style(f'{number}.', fg='cyan', bold=True)} {text}")


def _note(text: str) -> None:
    click.echo(f"   {text}")


def _tell_results(job: JobHandle, output_dir: Path) -> None:
    result = job.job.result
    _step(6, f"Job {job.number} is completed, in {job.job.attempt} executions")
    for name, value in result.items():
        if not isinstance(value, (dict, list)):
            _note(f"{name:<12} {value:,}" if isinstance(value, int) else f"{name:<12} {value}")
    for name, value in result["index"].items():
        _note(f"index {name:<6} {value}")
    _note(f"Outputs are in {output_dir}:")
    for each in sorted(output_dir.iterdir()):
        _note(f"  {each.name}  {each.stat().st_size:,} bytes")


def _tell_next(took: float) -> None:
    click.secho(f"All of it held, in {took:.1f} s; everything is stopped.", bold=True)
    click.echo("Go on with your own installation:")
    click.echo(f"   longshore up --jobs {JOBS}")
    genome = GENOME.relative_to(CHECKOUT)
    click.echo(f"   longshore submit {JOB_TYPE} --input genome={genome} --pause-at {STAGE}")
    click.echo("   longshore watch, pause, resume, logs, files ... --help; docs/tutorial/index-a-genome.md")
    sys.stdout.flush()
