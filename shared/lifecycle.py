"""The law: states, events, and what each event does to a job. Pure data and two pure functions.

A job's *state* is one of nine words. Three circumstances of a paused job matter to the law, and all can be read from
its row: whether a worker still holds it (suspended), whether that worker's lease has run out (stranded), and whether
its outcome is already known (held). `Situation` names a state together with that circumstance; every rule is written
for situations, and `store.advance` turns the rules into SQL, so that rule and write are one statement.

Pause and cancel are *flags* while a worker holds the job: the worker acknowledges them. `resolve` says what becomes of
a flag when the worker's own event arrives first; it is applied in the same UPDATE as that event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """Where a job is in its life. The last three are final."""

    DRAFT = "draft"
    PENDING = "pending"
    BLOCKED = "blocked"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED})


class Flag(StrEnum):
    """What was asked of a worker and not yet acknowledged."""

    PAUSE = "pause"
    CANCEL = "cancel"


class PauseMode(StrEnum):
    """How a running job is paused: `park` saves, ends the process and frees the slot; `suspend` stops the process."""

    PARK = "park"
    SUSPEND = "suspend"


class Situation(StrEnum):
    """A state with the circumstance of its row that the law depends on."""

    DRAFT = "draft"
    PENDING = "pending"
    BLOCKED = "blocked"
    QUEUED = "queued"
    RUNNING = "running"
    SUSPENDED = "suspended"
    """paused, a worker holds its stopped process under a valid lease"""
    STRANDED = "stranded"
    """paused, the lease of the worker that held it has run out"""
    PARKED = "parked"
    """paused, no worker holds it"""
    HELD = "held"
    """paused with its outcome known: it ended well after a pause had been promised"""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def state(self) -> State:
        """The public word for this situation."""
        return State.PAUSED if self in PAUSED_SITUATIONS else State(self.value)


PAUSED_SITUATIONS = frozenset({Situation.SUSPENDED, Situation.STRANDED, Situation.PARKED, Situation.HELD})
WITH_WORKER = frozenset({Situation.RUNNING, Situation.SUSPENDED, Situation.STRANDED})


POSSIBLE_FLAGS: Mapping[Situation, tuple[Flag | None, ...]] = MappingProxyType(
    {
        Situation.RUNNING: (None, Flag.PAUSE, Flag.CANCEL),
        Situation.SUSPENDED: (None, Flag.CANCEL),
        Situation.STRANDED: (None, Flag.CANCEL),
    }
)
"""Which flags can be recorded where; in every other situation none can."""


class Event(StrEnum):
    """What can happen to a job."""

    SUBMIT = "submit"
    RELEASE = "release"
    BLOCK = "block"
    UNBLOCK = "unblock"
    CLAIM = "claim"
    PAUSE = "pause"
    PARK = "park"
    SUSPEND = "suspend"
    RESUME = "resume"
    CANCEL = "cancel"
    STOP = "stop"
    COMPLETE = "complete"
    FAIL = "fail"
    RETRY = "retry"
    LOSE = "lose"
    INTERRUPT = "interrupt"
    RERUN = "rerun"


@dataclass(frozen=True)
class Move:
    """The job goes to another situation; a flag on it is used up."""

    to: Situation


@dataclass(frozen=True)
class Ask:
    """A flag is recorded for the worker that holds the job; the state stays."""

    flag: Flag


@dataclass(frozen=True)
class Withdraw:
    """The pause flag on the job is taken back; the state stays."""


Effect = Move | Ask | Withdraw
_S = Situation
_QUEUE = Move(_S.QUEUED)
_CANCEL = Move(_S.CANCELLED)
_PARK = Move(_S.PARKED)

TRANSITIONS: Mapping[Event, Mapping[Situation, Effect]] = MappingProxyType(
    {
        Event.SUBMIT: {_S.DRAFT: _QUEUE},
        Event.RELEASE: {_S.PENDING: _QUEUE},
        Event.BLOCK: {_S.PENDING: Move(_S.BLOCKED)},
        Event.UNBLOCK: {_S.BLOCKED: Move(_S.PENDING)},
        Event.CLAIM: {_S.QUEUED: Move(_S.RUNNING)},
        Event.PAUSE: {_S.QUEUED: _PARK, _S.PENDING: _PARK, _S.BLOCKED: _PARK, _S.RUNNING: Ask(Flag.PAUSE)},
        Event.PARK: {_S.RUNNING: _QUEUE, _S.SUSPENDED: _PARK, _S.STRANDED: _PARK},
        Event.SUSPEND: {_S.RUNNING: Move(_S.RUNNING)},
        Event.RESUME: {
            _S.RUNNING: Withdraw(),
            _S.SUSPENDED: Move(_S.RUNNING),
            _S.STRANDED: _QUEUE,
            _S.PARKED: _QUEUE,
            _S.HELD: Move(_S.COMPLETED),
        },
        Event.CANCEL: {
            _S.DRAFT: _CANCEL,
            _S.PENDING: _CANCEL,
            _S.BLOCKED: _CANCEL,
            _S.QUEUED: _CANCEL,
            _S.PARKED: _CANCEL,
            _S.HELD: _CANCEL,
            _S.STRANDED: _CANCEL,
            _S.RUNNING: Ask(Flag.CANCEL),
            _S.SUSPENDED: Ask(Flag.CANCEL),
        },
        Event.STOP: {_S.RUNNING: _CANCEL, _S.SUSPENDED: _CANCEL, _S.STRANDED: _CANCEL},
        Event.COMPLETE: {_S.RUNNING: Move(_S.COMPLETED)},
        Event.FAIL: {_S.RUNNING: Move(_S.FAILED)},
        Event.RETRY: {_S.RUNNING: _QUEUE},
        Event.LOSE: {_S.RUNNING: _QUEUE, _S.SUSPENDED: _PARK, _S.STRANDED: _PARK},
        Event.INTERRUPT: {_S.RUNNING: _QUEUE, _S.SUSPENDED: _PARK, _S.STRANDED: _PARK},
        Event.RERUN: {_S.FAILED: _QUEUE, _S.CANCELLED: _QUEUE},
    }
)

BURNING = frozenset({Event.FAIL, Event.RETRY})
"""Events that always burn an attempt; `lose` burns one of a running job and none of a suspended one."""

ACKNOWLEDGING = frozenset(
    {Event.PARK, Event.SUSPEND, Event.COMPLETE, Event.FAIL, Event.RETRY, Event.LOSE, Event.INTERRUPT}
)
"""Events of the worker's side (or in its place) in which a recorded flag is resolved."""


def resolve(event: Event, target: Situation, flag: Flag | None) -> Situation:
    """Where an acknowledging event with its own `target` really leads while `flag` is recorded.

    A cancel outranks everything but an acknowledged suspension, which keeps its worker so that the worker can end the
    process. A pause keeps the job from being queued again, and holds back a good outcome until it is resumed.
    """
    if event is Event.SUSPEND:
        return Situation.SUSPENDED if flag is Flag.PAUSE else Situation.RUNNING
    if flag is Flag.CANCEL:
        return Situation.CANCELLED
    if flag is Flag.PAUSE and target is Situation.QUEUED:
        return Situation.PARKED
    if flag is Flag.PAUSE and target is Situation.COMPLETED:
        return Situation.HELD
    return target


def effect(event: Event, situation: Situation, flag: Flag | None) -> Effect | None:
    """What `event` does to a job in `situation` with `flag` recorded; None when it is not possible."""
    rule = TRANSITIONS[event].get(situation)
    if event in ACKNOWLEDGING and isinstance(rule, Move):
        return Move(resolve(event, rule.to, flag))
    if event is Event.RESUME and flag is Flag.CANCEL:
        return None
    if isinstance(rule, Withdraw) and flag is not Flag.PAUSE:
        return None
    if isinstance(rule, Ask) and flag in {rule.flag, Flag.CANCEL}:
        return None
    return rule


def before(event: Event) -> frozenset[State]:
    """The states from which `event` is possible."""
    return frozenset(situation.state for situation in TRANSITIONS[event])


def already(event: Event, state: State, flag: Flag | None) -> bool:
    """Whether what `event` asks for holds already, so that asking again is no error and changes nothing."""
    if event is Event.PAUSE:
        return state is State.PAUSED or flag is Flag.PAUSE
    if event is Event.RESUME:
        return state in {State.QUEUED, State.RUNNING} and flag is None
    if event is Event.CANCEL:
        return state is State.CANCELLED or flag is Flag.CANCEL
    if event is Event.SUBMIT:
        return state in {State.QUEUED, State.PENDING, State.BLOCKED, State.RUNNING}
    return event is Event.RERUN and state in {State.QUEUED, State.RUNNING}


ASKABLE = (Event.SUBMIT, Event.PAUSE, Event.RESUME, Event.CANCEL, Event.RERUN)
"""Events that people and programs ask for; the others happen by themselves."""


def situation(state: State, *, with_worker: bool, held: bool) -> Situation:
    """The situation of a job as its row tells it, the lease of a worker that holds it taken as valid."""
    if state is not State.PAUSED:
        return Situation(state.value)
    if with_worker:
        return Situation.SUSPENDED
    return Situation.HELD if held else Situation.PARKED


def legal(where: Situation, flag: Flag | None) -> tuple[Event, ...]:
    """What may be asked of a job now, so that pages and programs offer nothing that would be refused."""
    return tuple(event for event in ASKABLE if effect(event, where, flag) is not None)


def view(state: State, flag: Flag | None) -> str:
    """The word for people: `pausing` or `cancelling` while the worker has yet to acknowledge it, else the state."""
    return {Flag.PAUSE: "pausing", Flag.CANCEL: "cancelling", None: state.value}[flag]
