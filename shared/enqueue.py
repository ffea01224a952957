"""Verb: let workers know that there is work. The relay's rule, and the courier that carries effects to the broker."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections import Counter
from collections.abc import Collection

from sqlalchemy import select, update

from shared.due import is_due
from shared.errors import LongshoreError
from shared.models import Job
from shared.presence import workers_present
from shared.store import Effects, Store, in_order, wakeup_id
from shared.wire import Wire

log = logging.getLogger(__name__)


def refill(store: Store, wire: Wire, presence: float, queues: Collection[str] | None = None) -> int:
    """Publishes the wake-ups that are missing, and returns how many those were.

    A queue should have as many waiting as jobs are due, at most as many as its workers have slots; those that wait
    in the broker already are counted off, so that a lost wake-up is replaced by the same rule. So an urgent job never
    stands behind a backlog: which job a wake-up brings is decided when it is claimed.
    """
    return sum(
        _refill_queue(store, wire, name, slots)
        for name, slots in slots_by_queue(store, presence).items()
        if queues is None or name in queues
    )


def slots_by_queue(store: Store, presence: float) -> Counter[str]:
    """How many slots the present workers offer each queue."""
    slots: Counter[str] = Counter()
    with store.reading() as connection:
        for worker in workers_present(connection, presence):
            if not worker.draining:
                slots.update(dict.fromkeys(worker.queues, worker.slots))
    return slots


def _refill_queue(store: Store, wire: Wire, name: str, slots: int) -> int:
    first_due = select(Job.id).where(Job.queue == name, is_due()).order_by(Job.priority, Job.number).limit(slots)
    with store.reading() as connection:
        due = list(connection.execute(first_due).scalars())
    missing = len(due) - wire.depth(name) if due else 0
    if missing <= 0:
        return 0
    counted = update(Job).where(in_order(Job.id.in_(due[:missing]))).values(wakeups=Job.wakeups + 1)
    with store.transaction() as tx:
        rows = tx.execute(counted.returning(Job.id, Job.wakeups)).all()
    wire.wake(name, [wakeup_id(row.id, row.wakeups) for row in rows])
    return len(rows)


class Courier:
    """Carries the effects of committed transactions to the broker from a thread of its own.

    It is a short cut: what it fails to deliver is made good by the relay's tick and by heartbeats. The thread is
    started by the first delivery, so that it lives in the process that serves and not in one that has been forked.
    """

    def __init__(self, store: Store, wire: Wire, presence: float) -> None:
        self._store = store
        self._wire = wire
        self._presence = presence
        self._inbox: queue.SimpleQueue[Effects | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._lock = threading.Lock()

    def deliver(self, effects: Effects) -> None:
        """Takes effects over and returns at once."""
        if self._pid != os.getpid() or self._thread is None:
            self._start()
        self._inbox.put(effects)

    def close(self, timeout: float = 2.0) -> None:
        """Delivers what it holds and ends, within `timeout` seconds."""
        if self._thread is not None and self._pid == os.getpid():
            self._inbox.put(None)
            self._thread.join(timeout)

    def _start(self) -> None:
        with self._lock:
            if self._pid != os.getpid() or self._thread is None:
                self._inbox = queue.SimpleQueue()
                self._thread = threading.Thread(target=self._run, name="courier", daemon=True)
                self._thread.start()
                self._pid = os.getpid()

    def _run(self) -> None:
        ended = False
        while not ended:
            effects, ended = self._collect()
            try:
                self._carry(effects)
            except LongshoreError as error:
                log.warning("left to the next tick: %s", error)
            except Exception:
                log.exception("the courier goes on after an unexpected error")

    def _collect(self) -> tuple[Effects, bool]:
        """Waits for effects and merges all that have come in, so that a burst costs one round."""
        merged = Effects()
        item = self._inbox.get()
        while item is not None:
            merged.wake |= item.wake
            merged.look |= item.look
            merged.revoke += item.revoke
            try:
                item = self._inbox.get_nowait()
            except queue.Empty:
                return merged, False
        return merged, True

    def _carry(self, effects: Effects) -> None:
        if effects.look:
            self._wire.look(effects.look)
        if effects.wake:
            refill(self._store, self._wire, self._presence, effects.wake)
        if effects.revoke:
            self._wire.revoke(effects.revoke)
