"""Real workers over a real broker and database, started and watched from a test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil
from sqlalchemy import insert, select
from sqlalchemy.engine import Row

from broker_config import Settings, broker_connection, environment, timings
from longshore.declare import load
from shared import catalog, control, persist
from shared.enqueue import Courier
from shared.execute import Offer
from shared.lifecycle import Event, PauseMode
from shared.migrations import upgrade
from shared.models import Execution, Job, LogChunk, Revision, StatusRecord, StoredFile, User, Worker
from shared.persist import Order
from shared.principal import Principal, Scope
from shared.store import Store
from shared.wire import Wire
from tests.waiting import wait_for
from worker.insist import insist

ROOT = Path(__file__).resolve().parents[2]
MARKER = "LONGSHORE_TEST_RUN"


class WorkerProcess:
    """One `python -m worker.agent` with everything below it."""

    def __init__(self, settings: Settings, log: Path, argv: Sequence[str]) -> None:
        self.log = log
        with log.open("ab") as file:
            self.popen = subprocess.Popen(
                argv,
                cwd=ROOT,
                env={**os.environ, **environment(settings), "PYTHONUNBUFFERED": "1", MARKER: uuid4().hex},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self._agent = psutil.Process(self.popen.pid)
        self._seen: dict[int, psutil.Process] = {}

    @property
    def pid(self) -> int:
        return self.popen.pid

    def tree(self) -> list[psutil.Process]:
        """The agent and everything below it."""
        with_dead = [self._agent, *self._agent.children(recursive=True)] if self._agent.is_running() else []
        self._seen.update({process.pid: process for process in with_dead})
        return with_dead

    def celery_main(self) -> psutil.Process:
        return next(child for child in self._agent.children() if "worker.celery_main" in " ".join(child.cmdline()))

    def pool_children(self) -> list[psutil.Process]:
        return list(self.celery_main().children())

    def alive(self) -> bool:
        return self.popen.poll() is None

    def terminate(self) -> None:
        self.tree()
        self.popen.send_signal(signal.SIGTERM)

    def kill_all(self) -> None:
        """As a machine that loses power: everything at once."""
        for process in self.tree():
            with_suppressed_kill(process)
        self.popen.wait()

    def survivors(self) -> list[psutil.Process]:
        """Processes seen in the tree that still run."""
        self.tree()
        return [each for each in self._seen.values() if _runs(each)]

    def close(self) -> None:
        if self.alive():
            self.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.popen.wait(15)
        for process in [*self.tree(), *self._seen.values()]:
            with_suppressed_kill(process)
        self.popen.wait()


def with_suppressed_kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Fleet:
    """One installation without API: a database, a broker, workers, and a user who submits."""

    def __init__(self, directory: Path, database_url: str, broker_url: str, **overrides: Any) -> None:
        self.directory = directory
        self.settings = Settings.from_env(
            {},
            data_dir=directory / "data",
            database_url=database_url,
            broker_url=broker_url,
            jobs="tests.jobs,tests.worker.odd_jobs",
            slots=2,
            **overrides,
        )
        upgrade(self.settings.database_url)
        self.wire = Wire(*broker_connection(self.settings))
        self.store = Store(self.settings.database_url)
        self.courier = Courier(self.store, self.wire, timings(self.settings).presence)
        self.store.after_commit = self.courier.deliver
        self.user = self._user("alice")
        self.workers: list[WorkerProcess] = []

    def _user(self, name: str) -> Principal:
        principal = Principal(uuid4(), name, frozenset({Scope.ADMIN}))
        with self.store.transaction() as tx:
            tx.execute(insert(User).values(id=principal.user_id, name=name, scopes=[Scope.ADMIN.value]))
        return principal

    # ------------------------------------------------------------------------------------------- workers

    def start(self, **changes: Any) -> WorkerProcess:
        """A worker that has said that it is there and can claim."""
        worker = self.launch([sys.executable, "-P", "-m", "worker.agent"], **changes)
        self.await_ready(worker)
        return worker

    def launch(self, argv: Sequence[str], **changes: Any) -> WorkerProcess:
        settings = Settings.from_env(environment(self.settings), **changes) if changes else self.settings
        worker = WorkerProcess(settings, self.directory / f"worker-{len(self.workers)}.log", argv)
        self.workers.append(worker)
        return worker

    def await_ready(self, worker: WorkerProcess) -> None:
        try:
            wait_for(lambda: self._is_present(worker), 20, "the worker to be there")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{worker.log.read_text()[-4000:]}") from None

    def _is_present(self, worker: WorkerProcess) -> bool:
        assert worker.alive(), worker.log.read_text()[-4000:]
        with self.store.reading() as connection:
            return bool(connection.execute(select(Worker.id).where(Worker.pid == worker.pid)).first())

    # ---------------------------------------------------------------------------------------------- jobs

    def declare(self) -> None:
        """The job types of `tests.jobs`, as a worker that starts puts them on record."""
        catalog.declare(
            self.store, [each.declaration for each in load(["tests.jobs", "tests.worker.odd_jobs"]).values()], "test"
        )

    def offer(self) -> Offer:
        """What a worker that runs everything would offer."""
        with self.store.reading() as connection:
            revisions = frozenset(connection.execute(select(Revision.hash)).scalars())
        return Offer(self.user.user_id, "test", "node", os.getpid(), "default", revisions)

    def define(self, declaration: dict[str, Any]) -> None:
        """A command type."""
        catalog.define(self.store, self.user, declaration)

    def submit(self, type: str, args: dict[str, Any] | None = None, **wishes: Any) -> UUID:
        order = Order(type=type, args=_plain(args or {}), **wishes)
        return persist.submit(self.store, self.user, order).jobs[0].id  # type: ignore[no-any-return]

    def act(self, event: Event, job_id: UUID, mode: PauseMode | None = None) -> control.Answer:
        return control.act(self.store, self.user, event, job_id, mode=mode, reason="test")

    def cancel(self, job_id: UUID) -> control.Answer:
        return self.act(Event.CANCEL, job_id)

    def pause(self, job_id: UUID, mode: str | None = None) -> control.Answer:
        return self.act(Event.PAUSE, job_id, PauseMode(mode) if mode else None)

    def resume(self, job_id: UUID) -> control.Answer:
        return self.act(Event.RESUME, job_id)

    def job(self, job_id: UUID) -> Row[Any]:
        return self._rows(select(*Job.__table__.columns).where(Job.id == job_id))[0]

    def records(self, job_id: UUID) -> list[Row[Any]]:
        columns = StatusRecord.__table__.columns
        return self._rows(select(*columns).where(StatusRecord.job_id == job_id).order_by(StatusRecord.seq))

    def events(self, job_id: UUID) -> list[str]:
        return [record.event for record in self.records(job_id)]

    def executions(self, job_id: UUID) -> list[Row[Any]]:
        columns = Execution.__table__.columns
        return self._rows(select(*columns).where(Execution.job_id == job_id).order_by(Execution.attempt))

    def outputs(self, job_id: UUID) -> list[Row[Any]]:
        return self._rows(select(*StoredFile.__table__.columns).where(StoredFile.job_id == job_id))

    def started_before(self, instant: int) -> list[Row[Any]]:
        return self._rows(select(*Job.__table__.columns).where(Job.started_at < instant))

    def log(self, job_id: UUID, stream: str) -> str:
        query = select(LogChunk.data).where(LogChunk.job_id == job_id, LogChunk.stream == stream)
        return b"".join(row.data for row in self._rows(query.order_by(LogChunk.attempt, LogChunk.start))).decode()

    def _rows(self, query: Any) -> list[Row[Any]]:
        def read() -> list[Row[Any]]:
            with self.store.reading() as connection:
                return list(connection.execute(query).all())

        return insist(read)

    def wait(self, job_id: UUID, state: str, timeout: float = 20) -> Row[Any]:
        """Waits for a state, and tells all there is to know if it does not come."""

        def reached() -> Row[Any] | None:
            row = self.job(job_id)
            return row if row.state == state else None

        try:
            return wait_for(reached, timeout, f"the job to be {state}")  # type: ignore[return-value]
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.describe(job_id)}") from None

    def wait_until(
        self, job_id: UUID, holds: Any, timeout: float = 20, what: str = "the job to be as wanted"
    ) -> Row[Any]:
        def reached() -> Row[Any] | None:
            row = self.job(job_id)
            return row if holds(row) else None

        try:
            return wait_for(reached, timeout, what)  # type: ignore[return-value]
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.describe(job_id)}") from None

    def describe(self, job_id: UUID) -> str:
        told = [f"{r.seq} {r.event} {r.state} flag={r.flag} stage={r.stage} {r.error}" for r in self.records(job_id)]
        logs = [worker.log.read_text()[-3000:] for worker in self.workers]
        return "\n".join([str(self.job(job_id)._asdict()), *told, *logs])

    def close(self) -> None:
        for worker in self.workers:
            worker.close()
        self.courier.close()
        self.store.close()
        self.wire.close()


def _plain(args: dict[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in args.items()}


@contextmanager
def fleet(directory: Path, database_url: str, broker_url: str, **overrides: Any) -> Iterator[Fleet]:
    made = Fleet(directory, database_url, broker_url, **overrides)
    try:
        yield made
    finally:
        made.close()
