"""One execution in the agent's charge: what is known of it, what is wanted, and what has been done about that."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from shared.execute import End, Failed, Interrupted, Lease, Lost, Parked, Stopped
from worker.agent.orders import Abilities, Order, Wish
from worker.slots import Phase, Snapshot


class Cause(StrEnum):
    """Why the agent killed an execution."""

    CANCEL = "cancel"
    TIME_LIMIT = "time-limit"
    SUSPEND_LIMIT = "suspend-limit"
    FENCE = "fence"
    DRAIN = "drain"
    STALE = "stale"


class Standstill(StrEnum):
    """How far a suspension is."""

    NONE = "none"
    STOPPED = "stopped"
    """the processes are stopped, SQL does not know it yet"""
    ACKNOWLEDGED = "acknowledged"
    """SQL says paused"""


@dataclass
class Charge:
    """What the agent remembers of an execution, from the moment it saw it in a slot to its end."""

    lease: Lease
    seen: Snapshot
    since: int
    """when the agent saw it first, ns of CLOCK_BOOTTIME"""
    can: Abilities | None = None
    """None until something is wanted of it"""
    order: Order = field(default_factory=lambda: Order(Wish.RUN, 0))
    rung: int = 0
    """steps of the cancel ladder that were taken"""
    standstill: Standstill = Standstill.NONE
    stopped_at: int = 0
    killed_for: Cause | None = None
    ended: bool = False
    """whether its end was handed over to be recorded"""

    @property
    def lives(self) -> bool:
        """Whether its lease is to be renewed: its child lives and runs it."""
        return not self.ended and self.killed_for is None and self.seen.alive

    @property
    def has_job_code(self) -> bool:
        """Whether job code runs, or is about to: while the outcome is being written nothing is left to stop."""
        return self.seen.phase in {Phase.CLAIMED, Phase.BODY}


def end_of(charge: Charge, exit_code: int | None) -> End | None:
    """How an execution ended whose pool child is dead; None where it is not ours to say."""
    cause = charge.killed_for
    if cause is Cause.STALE:
        return None
    if cause is Cause.CANCEL or charge.order.wish is Wish.CANCEL:
        return Stopped()
    if cause is Cause.SUSPEND_LIMIT:
        return Parked()
    if cause in {Cause.FENCE, Cause.DRAIN} or not charge.seen.begun:
        return Interrupted()
    if cause is Cause.TIME_LIMIT:
        return _timed_out()
    return _lost(exit_code)


def _timed_out() -> Failed:
    message = "The job ran longer than its time limit and was stopped."
    error = {**_error("timed-out", "The time limit has passed.", message), "category": "ALGORITHM"}
    return Failed(error, retry=False, signal=9)


def _lost(exit_code: int | None) -> Lost:
    if exit_code is None:
        how = "ended without a word"
    elif exit_code < 0:
        how = f"was ended by signal {-exit_code}"
    else:
        how = f"ended with exit code {exit_code}"
    signal = -exit_code if exit_code is not None and exit_code < 0 else None
    return Lost(_error("worker-lost", "Worker process lost", f"The process that ran the job {how}.", signal), signal)


def _error(name: str, title: str, message: str, signal: int | None = None) -> dict[str, object]:
    details = {} if signal is None else {"signal": signal}
    return {"name": name, "title": title, "category": "SYSTEM", "message": message, "details": details}
