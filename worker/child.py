"""A pool child: the process of Celery's prefork pool that runs one job at a time.

It is set up after the fork: a session of its own, so that signals to Celery's group do not reach job code; a
subreaper, so that no process of a job leaves its tree; a slot; and connections that nobody else has.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from broker_config import Settings, broker_connection, timings
from longshore.declare import REGISTRY, JobType
from shared import catalog, report
from shared.enqueue import Courier
from shared.execute import Claimed, Lease, Offer
from shared.files import FileStore
from shared.report import LogPiece
from shared.store import Effects
from shared.wire import Wire
from worker import launch, trees, workspace
from worker.childstore import ChildStore, Guard
from worker.clocks import boottime_ns
from worker.desk import Desk
from worker.insist import insist
from worker.interrupts import Interrupts
from worker.launch import Launch
from worker.ledger import Ledger
from worker.reporter import Reporter
from worker.slots import Flag, Slot, Slots, attach

log = logging.getLogger(__name__)

OFFERS_FRESH = 5.0
"""seconds after which a child asks again which revisions its code can run"""
LAUNCH_WITHIN = 60.0
"""seconds that the agent may take from its start to the declarations on record"""
FENCE_WITHIN = 5.0
"""seconds that a child waits for the agent to reach the database again before it claims"""


def _present_umask() -> int:
    """The only way to read it is to set it."""
    before = os.umask(0o077)
    os.umask(before)
    return before


@dataclass
class Child:
    """Everything a pool child holds, from one execution to the next."""

    settings: Settings
    agent: int
    slots: Slots
    slot: Slot
    interrupts: Interrupts = field(default_factory=Interrupts)
    _offered: frozenset[str] = frozenset()
    _offered_until: float = 0.0
    _home: str = field(default_factory=os.getcwd)
    _umask: int = field(default_factory=_present_umask)

    # ------------------------------------------------------------------------------- what it works with

    @cached_property
    def guard(self) -> Guard:
        """The way into the database."""
        return Guard(self.slot.mark_in_database, self.interrupts.shielded)

    @cached_property
    def wire(self) -> Wire:
        """The broker."""
        return Wire(*broker_connection(self.settings))

    @cached_property
    def store(self) -> ChildStore:
        """The database; opened by the first job, after the fork."""
        store = ChildStore(self.settings.database_url, self.guard, pool_size=2, keep_seconds=self.settings.keep)
        store.after_commit = self._deliver
        return store

    def _deliver(self, effects: Effects) -> None:
        self.courier.deliver(effects)

    @cached_property
    def courier(self) -> Courier:
        """What carries effects to the broker."""
        return Courier(self.store, self.wire, timings(self.settings).presence)

    @cached_property
    def files(self) -> FileStore:
        """The files of all jobs."""
        return FileStore(self.settings.files_dir, self.settings.max_upload)

    @cached_property
    def reporter(self) -> Reporter:
        """What writes down what job code says."""
        return Reporter(self._push, self._write_log)

    @cached_property
    def launch(self) -> Launch:
        """The launch that this child belongs to; waits until its agent has made it known."""
        deadline = time.monotonic() + LAUNCH_WITHIN
        while (found := launch.read(self.settings.run_dir, self.agent)) is None:
            if time.monotonic() > deadline:
                raise TimeoutError("the agent did not say in time what this worker offers")
            time.sleep(0.02)
        return found

    @property
    def name(self) -> str:
        """The worker's name in status records."""
        return self.launch.name

    @property
    def job_types(self) -> dict[tuple[str, str], JobType[Any]]:
        """The python job types whose code is here."""
        return REGISTRY

    @property
    def draining(self) -> bool:
        """Whether nothing more is to be claimed."""
        return self.slots.draining

    def ready(self) -> bool:
        """Waits a little for a worker that was cut off from the database; whether it may claim."""
        deadline = time.monotonic() + FENCE_WITHIN
        while self.slots.fence_passed(boottime_ns()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return not self.draining

    # ------------------------------------------------------------------------------------ one execution

    def offer(self, queue: str) -> Offer:
        """What this child can run of a queue."""
        known = self.launch
        if time.monotonic() > self._offered_until:
            self._offered = insist(lambda: catalog.with_interfaces(self.store, known.interfaces))
            self._offered_until = time.monotonic() + OFFERS_FRESH
        return Offer(known.worker_id, known.name, known.node, os.getpid(), queue, self._offered, self.settings.lease)

    @contextmanager
    def occupied(self, claimed: Claimed) -> Iterator[None]:
        """The child has an execution. If this ends badly the child does too, and so the agent ends the execution."""
        self.slot.enter(claimed.lease.job_id, claimed.lease.attempt)
        self.interrupts.install()  # for each execution: billiard takes SIGTERM for itself once the child is set up
        self.interrupts.occupied = True
        self.reporter.begin(claimed.lease)
        try:
            yield
        except BaseException:
            # A living child that runs nothing and holds its lease would hold it for ever.
            log.critical("job %s has no end: this process ends for it", claimed.lease.job_id, exc_info=True)
            os._exit(1)
        self.slot.leave()
        self.reporter.end()
        self.interrupts.occupied = False

    def desk(self, claimed: Claimed) -> Desk:
        """The place for one execution, with a fresh work directory."""
        saved = claimed.saved.files if claimed.saved else ()
        ledger = Ledger(
            lease=claimed.lease,
            by=self.name,
            store=self.store,
            files=self.files,
            reporter=self.reporter,
            shield=self.interrupts.shielded,
            saved_files={each["name"]: each for each in saved},
            pause_asked=self._ask_to_park,
        )
        workdir = workspace.create(self.settings.work_dir, claimed.lease)
        return Desk(claimed, workdir, self.slot, ledger, self.files, self.interrupts, self.settings)

    def clear(self, lease: Lease) -> None:
        """Leaves nothing of an execution: no process, no work directory, and not the places that job code went to."""
        if not trees.childless():
            trees.kill_tree(os.getpid(), include_root=False)
            trees.reap_children()
        os.chdir(self._home)
        os.umask(self._umask)
        workspace.remove(workspace.place(self.settings.work_dir, lease))

    def _ask_to_park(self, lease: Lease) -> None:
        self.slots.set_flag(self.slot.index, lease.job_id, lease.attempt, Flag.PAUSE_PARK, boottime_ns())

    def _push(self, lease: Lease, reports: Any) -> None:
        told = [report.Report(*each) for each in reports]
        report.push(self.store, lease.job_id, lease.attempt, told, self.name)

    def _write_log(self, lease: Lease, pieces: Sequence[LogPiece]) -> None:
        report.write_log(self.store, lease.job_id, lease.attempt, pieces, self.settings.max_log)

    # ----------------------------------------------------------------------------- forks made by job code

    def watch_forks(self) -> None:
        """Keeps what job code forks from using this child's connections, locks and signals."""
        os.register_at_fork(
            before=self.guard.before_fork,
            after_in_parent=self.guard.after_fork,
            after_in_child=self._forget_after_fork,
        )

    def _forget_after_fork(self) -> None:
        self.guard.forget_after_fork()
        self.interrupts.forget_after_fork()
        self.reporter.forget_after_fork()
        self.store.dispose_after_fork()


SECRETS = ("LONGSHORE_DATABASE_URL", "LONGSHORE_BROKER_URL")
"""settings that may hold passwords: job code, and the programs that it runs, find them nowhere in its environment"""

_child: Child | None = None


def begin(settings: Settings, agent: int) -> Child:
    """Makes this process, freshly forked from Celery main, a pool child of `agent`'s worker."""
    global _child  # noqa: PLW0603 - one process is one pool child
    os.setsid()
    trees.set_subreaper()
    for name in SECRETS:
        os.environ.pop(name, None)  # noqa: TID251 - nothing is read here, it is only forgotten
    # Job code may use multiprocessing: the children of a daemonic process, which billiard makes this one, are refused.
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]  # noqa: SLF001 - no other way
    attached = attach(launch.slots_file(settings.run_dir, agent))
    _child = Child(settings, agent, attached, attached.take())
    _child.interrupts.install()
    _child.watch_forks()
    return _child


def current() -> Child:
    """The pool child that this process is."""
    if _child is None:
        raise RuntimeError("this process is no pool child")
    return _child
