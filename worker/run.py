"""The one Celery task: claim, resolve, perform, finish and claim the next.

The message that brought it here only says that its queue has work. Which job that is, SQL decides; with nothing due
the message is dropped. After a second of work the child returns to Celery, and says so with a new wake-up.
"""

from __future__ import annotations

import logging
import time

from shared import execute
from shared.errors import StaleExecution, Unavailable
from shared.execute import Claimed, Completed, End, Failed, Offer
from shared.store import Effects
from worker import commandjob
from worker.child import Child
from worker.insist import insist
from worker.runners.python import failed, run_python

log = logging.getLogger(__name__)

WORK_LIMIT = 1.0
"""Seconds of work after which a child returns to Celery between two jobs."""


def serve(child: Child, queue: str) -> None:
    """Runs the jobs of a queue until none is due or the time is up."""
    until = time.monotonic() + WORK_LIMIT
    claimed = _first(child, queue)
    while claimed is not None:
        in_time = time.monotonic() < until
        claimed = _perform(child, claimed, child.offer(queue) if in_time else None)
        if claimed is None and not in_time:
            child.courier.deliver(Effects(wake={queue}))


def _first(child: Child, queue: str) -> Claimed | None:
    if not child.ready():
        return None
    try:
        return execute.claim(child.store, child.offer(queue))
    except Unavailable as error:
        log.warning("nothing claimed from queue %s, to be woken again: %s", queue, error)
        return None


def _perform(child: Child, claimed: Claimed, then: Offer | None) -> Claimed | None:
    """One execution from claim to end; gives the next job if the end brought one."""
    with child.occupied(claimed):
        end = _run(child, claimed)
        child.slot.body_off()
        child.clear(claimed.lease)
        child.reporter.flush()
        return _finish(child, claimed, end, None if child.draining else then)


def _run(child: Child, claimed: Claimed) -> End:
    try:
        desk = child.desk(claimed)
        if claimed.kind == "python":
            return run_python(desk, claimed, child.job_types.get((claimed.type, claimed.type_version)))
        return commandjob.run(desk)
    except Exception as error:
        log.exception("job %s could not be run", claimed.lease.job_id)
        return failed(error)


def _finish(child: Child, claimed: Claimed, end: End, then: Offer | None) -> Claimed | None:
    try:
        return insist(lambda: execute.finish(child.store, claimed.lease, end, by=child.name, then=then)).next
    except StaleExecution:
        log.warning("job %s attempt %d was no longer ours", claimed.lease.job_id, claimed.lease.attempt)
    except Exception as error:
        if not isinstance(end, Completed):
            raise
        log.exception("the result of job %s could not be recorded", claimed.lease.job_id)
        return _finish(child, claimed, Failed(failed(error).error, retry=False), then)
    return None
