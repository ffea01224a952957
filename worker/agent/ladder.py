"""Acts on an execution until it does what is wanted: pokes, stops, lets go on, ends, kills.

The cancel ladder counts from the moment the flag was set, not from when the agent heard of it: (1) JobCancelled for a
python body, SIGTERM for a command's processes; (2) SIGTERM for all that is left; (3) SIGKILL for the whole tree of the
pool child, which Celery then replaces.

Nothing is killed on an old look: the child is stopped first, and only if its slot still names the same execution,
with its outcome not being written, is it killed. So a kill never hits the next job.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from uuid import UUID

from shared.timings import Timings
from worker import trees
from worker.agent.charge import Cause, Charge, Standstill
from worker.agent.orders import Abilities, Wish
from worker.clocks import NANOSECONDS, boottime_ns
from worker.slots import Flag, Phase, Slots, Snapshot

log = logging.getLogger(__name__)

DELICATE = 3.0
"""seconds before the last rung at which SIGTERM goes to a job that is cancelled at its checkpoints only"""
KILL_WITHIN = 1.0
"""seconds that the main loop gives one attempt to kill a tree; what is left is tried again"""
STOP_WITHIN = 0.5


class Ladder:
    """Takes the step that is due for an execution."""

    def __init__(self, slots: Slots, timings: Timings, acknowledge: Callable[[Charge], None]) -> None:
        """`acknowledge` has it recorded that an execution's processes are stopped."""
        self._slots = slots
        self._timings = timings
        self._acknowledge = acknowledge

    def step(self, charge: Charge, now: int) -> None:
        """Does what is due now; returns soon."""
        if charge.killed_for is not None:
            trees.kill_tree(charge.seen.pid, started=charge.seen.started, limit=KILL_WITHIN)
        elif self._limit_passed(charge, now):
            self.kill(charge, Cause.TIME_LIMIT)
        else:
            self._obey(charge, now)

    def _obey(self, charge: Charge, now: int) -> None:
        match charge.order.wish:
            case Wish.CANCEL:
                self._cancel(charge, charge.can or Abilities(), now)
            case Wish.SUSPEND:
                self._suspend(charge, charge.can or Abilities(), now)
            case Wish.STAY:
                self._stay(charge, charge.can or Abilities(), now)
            case Wish.PARK:
                self._park(charge, charge.can or Abilities())
            case Wish.STALE:
                self._set(charge, Flag.STALE)
                self.kill(charge, Cause.STALE)
            case Wish.RUN:
                self._go_on(charge)

    def _limit_passed(self, charge: Charge, now: int) -> bool:
        seen = charge.seen
        return 0 < seen.limit_at < now - seen.stopped_ns and not seen.stopped and charge.has_job_code

    # ------------------------------------------------------------------------------------------- cancel

    def _cancel(self, charge: Charge, can: Abilities, now: int) -> None:
        self._set(charge, Flag.CANCEL)
        self.let_go_on(charge)
        waited = (now - charge.order.at) / NANOSECONDS
        if waited >= can.grace:
            self.kill(charge, Cause.CANCEL)
        elif charge.rung < 1:
            charge.rung = 1
            self._first_word(charge, can)
        elif charge.rung < 2 and waited >= self._term_at(can):  # noqa: PLR2004 - the second rung
            charge.rung = 2
            self._terminate(charge, include_child=can.runs_in_child)

    def _term_at(self, can: Abilities) -> float:
        if can.runs_in_child and can.cancel == "checkpoint":
            return max(self._timings.grace_term, can.grace - DELICATE)
        return self._timings.grace_term

    def _first_word(self, charge: Charge, can: Abilities) -> None:
        if can.runs_in_child:
            self._poke(charge)
        else:
            self._terminate(charge, include_child=False)

    def _poke(self, charge: Charge) -> None:
        process = trees.read_process(charge.seen.pid)
        if process and process.started == charge.seen.started:
            trees.send(process, signal.SIGUSR2)

    def _terminate(self, charge: Charge, *, include_child: bool) -> None:
        if charge.has_job_code:
            trees.terminate_tree(charge.seen.pid, include_root=include_child, started=charge.seen.started)

    # ------------------------------------------------------------------------------------ park, suspend

    def _park(self, charge: Charge, can: Abilities) -> None:
        """Python code parks itself at its next checkpoint; a command that can be parked is simply ended."""
        if charge.seen.flag is Flag.PAUSE_PARK:
            return
        self._set(charge, Flag.PAUSE_PARK)
        if not can.runs_in_child:
            self._terminate(charge, include_child=False)

    def _suspend(self, charge: Charge, can: Abilities, now: int) -> None:
        if charge.standstill is not Standstill.NONE or charge.seen.phase is not Phase.BODY:
            return
        seen = charge.seen
        stopped = trees.stop_tree(seen.pid, include_root=can.runs_in_child, started=seen.started)
        fresh = self._slots.snapshot(seen.index)
        fit = fresh.mark == seen.mark and fresh.phase is Phase.BODY
        ready = not fresh.in_database if can.runs_in_child else bool(trees.descendants(seen.pid))
        if not stopped or not fit or not ready:
            # Not now: it holds a transaction, has not started its command, or has ended. Another look follows.
            trees.continue_tree(seen.pid, started=seen.started)
            return
        self._slots.set_flag(seen.index, *_name(charge), Flag.PAUSE_SUSPEND, charge.order.at)
        self._slots.set_stopped(seen.index, *_name(charge), stopped=True, at=now)
        charge.standstill, charge.stopped_at = Standstill.STOPPED, now
        self._acknowledge(charge)

    def _stay(self, charge: Charge, can: Abilities, now: int) -> None:
        if charge.standstill is Standstill.NONE:
            return
        if (now - charge.stopped_at) / NANOSECONDS > can.suspend_limit:
            self.kill(charge, Cause.SUSPEND_LIMIT)

    def let_go_on(self, charge: Charge) -> None:
        """Lets a suspended execution go on."""
        if charge.standstill is not Standstill.NONE:
            self._slots.set_stopped(charge.seen.index, *_name(charge), stopped=False, at=boottime_ns())
            trees.continue_tree(charge.seen.pid, started=charge.seen.started)
            charge.standstill = Standstill.NONE

    def _go_on(self, charge: Charge) -> None:
        if charge.standstill is Standstill.ACKNOWLEDGED:
            self.let_go_on(charge)
        if charge.order.at and charge.seen.flag in {Flag.PAUSE_PARK, Flag.PAUSE_SUSPEND}:
            self._set(charge, Flag.NONE)

    # --------------------------------------------------------------------------------------------- kill

    def kill(self, charge: Charge, cause: Cause) -> None:
        """Kills the tree of the child, if it still runs job code of this execution."""
        seen = charge.seen
        process = trees.read_process(seen.pid)
        if process is None or process.started != seen.started or process.dead:
            return
        trees.send(process, signal.SIGSTOP)
        fresh = self._when_stopped(seen)
        if fresh.mark != seen.mark or fresh.phase not in {Phase.CLAIMED, Phase.BODY}:
            trees.send(process, signal.SIGCONT)
            return
        log.warning("killing job %s attempt %d: %s", charge.lease.job_id, charge.lease.attempt, cause)
        charge.killed_for = cause
        trees.kill_tree(seen.pid, started=seen.started, limit=KILL_WITHIN)

    def _when_stopped(self, seen: Snapshot) -> Snapshot:
        until = time.monotonic() + STOP_WITHIN
        while time.monotonic() < until:
            process = trees.read_process(seen.pid)
            if process is None or process.halted:
                break
            time.sleep(0.001)
        return self._slots.snapshot(seen.index)

    def drain(self, charge: Charge) -> None:
        """The worker shuts down: job code that can be parked ends at its next checkpoint."""
        if charge.seen.flag is Flag.NONE:
            self._set(charge, Flag.DRAIN)

    def _set(self, charge: Charge, flag: Flag) -> None:
        if charge.seen.flag is not flag:
            self._slots.set_flag(charge.seen.index, *_name(charge), flag, charge.order.at)


def _name(charge: Charge) -> tuple[UUID, int]:
    return charge.lease.job_id, charge.lease.attempt
