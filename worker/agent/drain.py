"""Ends a worker in good order: nothing new is claimed, what can be parked goes back to its queue, the rest gets time.

Nothing that a drain ends is burnt. Suspended jobs are ended first, for Celery's warm shutdown waits for every child.
"""

from __future__ import annotations

import logging
import time

from worker.agent.celery import CeleryMain
from worker.agent.charge import Cause, Charge, Standstill
from worker.agent.ladder import Ladder
from worker.agent.orders import Abilities, Wish
from worker.agent.roster import Roster
from worker.slots import Slots

log = logging.getLogger(__name__)

CELERY_WITHIN = 5.0
"""seconds that Celery main may take to end once no job runs"""
HURRY = 5.0
"""seconds that jobs get at most when the worker's launcher is gone"""
RECORD_WITHIN = 10.0
"""seconds that the last ends may take to be recorded, should the database be away"""


class Drain:
    """The way from SIGTERM to the agent's end."""

    def __init__(self, seconds: float, slots: Slots, roster: Roster, ladder: Ladder, main: CeleryMain) -> None:
        self._seconds = seconds
        self._slots = slots
        self._roster = roster
        self._ladder = ladder
        self._main = main
        self._until: float | None = None
        self._idle_since: float | None = None

    @property
    def begun(self) -> bool:
        """Whether the worker shuts down."""
        return self._until is not None

    def begin(self, *, hurry: bool = False) -> None:
        """Starts it; a second call changes nothing. `hurry`: whoever started the worker is gone."""
        if self._until is None:
            seconds = min(self._seconds, HURRY) if hurry else self._seconds
            log.info("draining: jobs get %g s", seconds)
            self._until = time.monotonic() + seconds
            self._slots.draining = True
            self._main.ask_to_end()

    def step(self) -> None:
        """Does what is due."""
        charges = self._roster.all()
        for charge in charges:
            self._step(charge)
        if charges or not self._main.alive:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > CELERY_WITHIN:
            log.warning("Celery main does not end by itself: killing it")
            self._main.kill()

    def _step(self, charge: Charge) -> None:
        if charge.killed_for is not None or charge.order.wish is Wish.CANCEL:
            return
        if charge.standstill is not Standstill.NONE or self._time_is_up():
            self._ladder.kill(charge, Cause.DRAIN)
        elif "park" in (charge.can or Abilities()).pauses:
            self._ladder.drain(charge)

    def _time_is_up(self) -> bool:
        return self._until is not None and time.monotonic() > self._until

    def is_over(self) -> bool:
        """Whether nothing is left to wait for."""
        if self._until is None or self._main.alive:
            return False
        return not self._roster.all() or time.monotonic() > self._until + RECORD_WITHIN
