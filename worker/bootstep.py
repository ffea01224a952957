"""Celery main's part: it is beside an agent, says how its children ended, and never outlives the agent's right.

It opens no database connection and starts no thread. Where `celery -A worker worker` was run by hand there is no
agent yet: this process then forks, the parent becomes the agent, and the child goes on as Celery main. So the agent
is always the parent, to which the kernel hands every orphan.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery import bootsteps
from celery.concurrency.prefork import TaskPool

from broker_config import Settings
from longshore.declare import load
from longshore.errors import JobModuleError
from worker import exits, launch, trees
from worker.clocks import boottime_ns
from worker.slots import Phase, Slots, attach

log = logging.getLogger(__name__)

LOOK = 1.0
"""seconds between two looks at the agent and the fence"""
AGENT_WITHIN = 30.0
"""seconds that a new agent may take to be there"""

_agent = 0


def agent_of_this_worker() -> int:
    """The agent's process id; known before the pool is forked."""
    return _agent


class BesideAgent(bootsteps.StartStopStep):
    """The step that joins Celery main and its agent."""

    requires = ("celery.worker.components:Hub", "celery.worker.components:Pool")

    def __init__(self, worker: Any, **options: Any) -> None:
        """Refuses pools that cannot do what is promised, and finds or makes the agent."""
        _refuse_other_pools(worker)
        super().__init__(worker, **options)
        self._settings = Settings.from_env()
        self._slots = self._join_agent(worker)
        _load_jobs(self._settings)

    def register_with_event_loop(self, worker: Any, hub: Any) -> None:
        """Looks after agent, fence and pool; called anew for each connection, whose loss ends these timers."""
        hub.call_soon(self._tell_exits, worker)
        hub.call_repeatedly(LOOK, self._look)
        # Celery looks for dead children every 5 s, where it has not seen the end of one as it happened.
        hub.call_repeatedly(LOOK, worker.pool.maintain_pool)

    def _join_agent(self, worker: Any) -> Slots:
        global _agent  # noqa: PLW0603 - one process is one Celery main
        parent = os.getppid()
        attached = _slots_of(self._settings.run_dir, parent)
        if attached is None:
            parent = _fork_agent(worker)
            attached = _await_slots(self._settings.run_dir, parent)
        _agent = parent
        signal.signal(signal.SIGUSR2, lambda *_: self._look())
        trees.set_pdeathsig(signal.SIGUSR2)
        return attached

    def _look(self) -> None:
        if os.getppid() != _agent:
            log.critical("the agent is gone: all jobs of this worker are killed")
            trees.kill_tree(os.getpid(), include_root=False)
            os._exit(1)
        if self._slots.fence_passed(boottime_ns()):
            self._kill_jobs()

    def _kill_jobs(self) -> None:
        """The lease is about to go to others: nothing of ours may run then. The agent does the same."""
        for seen in self._slots.snapshots():
            if seen.phase is Phase.BODY and seen.alive:
                log.critical("no heartbeat for too long: killing job %s", seen.job_id)
                trees.kill_tree(seen.pid, started=seen.started, limit=0.5)

    def _tell_exits(self, worker: Any) -> None:
        pool = worker.pool._pool  # noqa: SLF001 - Celery has no public way to learn of a child's end
        pool.on_process_down = _telling(pool.on_process_down, exits.Teller(self._settings.run_dir, _agent))


def _telling(inner: Callable[[Any], None], teller: exits.Teller) -> Callable[[Any], None]:
    def on_process_down(process: Any) -> None:
        teller.tell(process.pid, process.exitcode)
        inner(process)

    return on_process_down


def _refuse_other_pools(worker: Any) -> None:
    if not (isinstance(worker.pool_cls, type) and issubclass(worker.pool_cls, TaskPool)):
        name = getattr(worker.pool_cls, "__module__", str(worker.pool_cls)).rpartition(".")[2]
        raise SystemExit(
            f"Longshore runs jobs on Celery's prefork pool only, not on {name!r}: no other pool can stop, suspend "
            "or kill a job. Start the worker with --pool prefork, or leave the option out."
        )


def _load_jobs(settings: Settings) -> None:
    """Imports job types before the pool is forked: its children share them."""
    try:
        load(settings.jobs)
    except JobModuleError as error:
        raise SystemExit(f"the worker cannot start: {error}") from error


def _slots_of(run_dir: Path, agent: int) -> Slots | None:
    try:
        attached = attach(launch.slots_file(run_dir, agent))
    except (FileNotFoundError, ValueError):
        return None
    return attached if attached.agent_pid == agent and attached.agent_alive() else None


def _await_slots(run_dir: Path, agent: int) -> Slots:
    deadline = time.monotonic() + AGENT_WITHIN
    while os.getppid() == agent and time.monotonic() < deadline:
        if attached := _slots_of(run_dir, agent):
            return attached
        time.sleep(0.02)
    raise SystemExit("the worker cannot start: its agent did not")


def _fork_agent(worker: Any) -> int:
    """Goes on in a child; what was this process becomes the agent."""
    agent = os.getpid()
    main = os.fork()
    if main:
        queues = ",".join(worker.app.amqp.queues.consume_from)
        words = ["--adopt", str(main), "--slots", str(worker.concurrency), "--queues", queues]
        with suppress(OSError):
            os.execv(sys.executable, [sys.executable, "-m", "worker.agent", *words])  # noqa: S606 - no shell wanted
        os._exit(1)
    return agent
