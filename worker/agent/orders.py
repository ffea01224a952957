"""What an execution is to do, concluded from what SQL says of it and what its job type can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import select

from shared.execute import Lease, Seen
from shared.lifecycle import Flag, State
from shared.models import Job, Revision
from shared.store import Store
from shared.timings import Timings
from worker.clocks import NANOSECONDS


class Wish(StrEnum):
    """What is wanted of an execution."""

    RUN = "run"
    PARK = "park"
    SUSPEND = "suspend"
    STAY = "stay"
    """it is suspended, and shall be"""
    CANCEL = "cancel"
    STALE = "stale"
    """it holds the job no more"""


@dataclass(frozen=True)
class Order:
    """A wish and since when it is wished, in ns of CLOCK_BOOTTIME."""

    wish: Wish
    at: int


@dataclass(frozen=True)
class Abilities:
    """What the declaration of an execution's job type says about stopping it."""

    kind: str = "python"
    pauses: Sequence[str] = ("park",)
    cancel: str = "interrupt"
    grace: float = 13.0
    suspend_limit: float = 3600.0

    @property
    def runs_in_child(self) -> bool:
        """Whether the pool child itself runs the job code; otherwise a process below it does."""
        return self.kind == "python"


def abilities(store: Store, leases: Sequence[Lease], timings: Timings) -> dict[UUID, Abilities]:
    """What is declared for the jobs of these leases, by job id."""
    query = (
        select(Job.id, Job.kind, Revision.declaration)
        .join(Revision, Revision.hash == Job.revision)
        .where(Job.id.in_([lease.job_id for lease in leases]))
    )
    with store.reading() as connection:
        rows = connection.execute(query).all()
    return {row.id: _abilities(row.kind, row.declaration, timings) for row in rows}


def _abilities(kind: str, declaration: Mapping[str, Any], timings: Timings) -> Abilities:
    usual = "park" if kind == "python" else "suspend"
    longer = declaration.get("grace", Abilities.grace)
    limit = declaration.get("suspend_limit", Abilities.suspend_limit)
    return Abilities(
        kind=kind,
        pauses=tuple(declaration.get("pause") or (usual,)),
        cancel=declaration.get("cancel", "interrupt"),
        # Declared times differ from the usual ones only where an author wanted them to.
        grace=timings.grace_kill if longer == Abilities.grace else longer,
        suspend_limit=timings.suspend_limit if limit == Abilities.suspend_limit else limit,
    )


def order_for(seen: Seen, can: Abilities, now: int) -> Order:
    """What SQL's word means for the execution."""
    at = now - round(seen.flag_age * NANOSECONDS)
    if seen.flag is Flag.CANCEL:
        return Order(Wish.CANCEL, at)
    if seen.state is State.PAUSED:
        return Order(Wish.STAY, now)
    if seen.flag is Flag.PAUSE:
        mode = seen.flag_mode if seen.flag_mode in can.pauses else can.pauses[0]
        return Order(Wish.SUSPEND if mode == "suspend" else Wish.PARK, at)
    return Order(Wish.RUN, now)
