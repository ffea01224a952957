"""How the installation is: one check for each part, with the reason and the remedy when it is not well."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from api.installation import Installation
from shared import migrations, observe
from shared.errors import LongshoreError

LEAST_FREE = 256 * 1024 * 1024
"""bytes free in the file store under which it is reported"""

STALL = 2.0
"""seconds for which the feed may be held back before it is reported"""


@dataclass(frozen=True)
class Check:
    """What was found of one part."""

    name: str
    fine: bool
    detail: str
    remedy: str = ""
    vital: bool = False
    """whether nothing can be served without it"""

    def shown(self) -> dict[str, object]:
        """As the API shows it."""
        return asdict(self)


def database(made: Installation) -> Check:
    """Whether the database answers and has the tables of this release."""
    try:
        current = migrations.is_current(made.store)
    except LongshoreError:
        remedy = "Start it, or check LONGSHORE_DATABASE_URL."
        return Check("database", fine=False, detail="It does not answer.", remedy=remedy, vital=True)
    if not current:
        detail, remedy = "Its tables are of another release.", "Run `longshore db upgrade`."
        return Check("database", fine=False, detail=detail, remedy=remedy, vital=True)
    return Check("database", fine=True, detail="It answers.", vital=True)


def broker(made: Installation) -> Check:
    """Whether the broker answers; without it jobs start on the next tick instead of at once."""
    if not made.broker.answer():
        detail = "It does not answer; jobs are accepted, and start when it is back."
        return Check("broker", fine=False, detail=detail, remedy="Start it, or check LONGSHORE_BROKER_URL.")
    return Check("broker", fine=True, detail="It answers.")


def workers(made: Installation) -> Check:
    """Whether every queue with work that could start is served."""
    found = observe.queues(made.store, presence=made.settings.presence)
    unserved = [queue.name for queue in found if queue.due and not queue.slots and not queue.paused]
    if unserved:
        detail = f"Nobody serves: {', '.join(unserved)}."
        return Check("workers", fine=False, detail=detail, remedy="Start `longshore worker` with LONGSHORE_QUEUES.")
    present = observe.workers(made.store, presence=made.settings.presence, limit=1000).items
    slots = sum(row.slots for row in present)
    return Check("workers", fine=True, detail=f"Workers: {len(present)}; slots: {slots}.")


def files(made: Installation) -> Check:
    """Whether the file store can be written to and has room."""
    place = made.settings.files_dir
    if not os.access(place, os.W_OK):
        return Check("files", fine=False, detail="It cannot be written to.", remedy="Check LONGSHORE_FILES_DIR.")
    room = os.statvfs(place)
    free = room.f_bavail * room.f_frsize
    enough = free >= LEAST_FREE
    return Check("files", fine=enough, detail=f"{free >> 20} MiB are free.", remedy="" if enough else "Make room.")


def feed(made: Installation) -> Check:
    """Whether the feed goes on; a transaction that stays open holds it back."""
    stall = observe.feed_stall(made.store)
    if stall < STALL:
        return Check("feed", fine=True, detail="It is up to date.")
    remedy = "Look for a transaction that stays open on the database (pg_stat_activity)."
    return Check("feed", fine=False, detail=f"A record has been waiting for {stall:.0f} s.", remedy=remedy)


def streams(made: Installation) -> Check:
    """Whether there is room for another stream."""
    taken, most = made.feed.open_streams, made.settings.max_streams
    return Check("streams", fine=taken < most, detail=f"{taken} open streams of {most}.", remedy="")


_FURTHER: Sequence[tuple[str, Callable[[Installation], Check]]] = (
    ("broker", broker),
    ("workers", workers),
    ("files", files),
    ("feed", feed),
    ("streams", streams),
)


def checks(made: Installation) -> Sequence[Check]:
    """All checks, the vital one first; the others are not asked while it fails."""
    first = database(made)
    return [first, *(_tried(name, check, made) for name, check in _FURTHER)] if first.fine else [first]


def _tried(name: str, check: Callable[[Installation], Check], made: Installation) -> Check:
    try:
        return check(made)
    except LongshoreError as error:
        return Check(name, fine=False, detail=error.title)
