"""The law as SQL: for each event, the condition under which it is possible and what it makes of a job's columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Float, and_, bindparam, case, cast, false, func, literal, null, or_, true
from sqlalchemy.sql.elements import ColumnElement

from shared.lifecycle import (
    ACKNOWLEDGING,
    FINAL,
    POSSIBLE_FLAGS,
    TRANSITIONS,
    WITH_WORKER,
    Ask,
    Effect,
    Event,
    Flag,
    Move,
    Situation,
    effect,
)
from shared.models import Job
from shared.models.types import MICROSECONDS, boot_id, greatest, lease_now, now

ENDS_EXECUTION = (ACKNOWLEDGING | {Event.STOP, Event.CANCEL, Event.RESUME}) - {Event.SUSPEND}
"""Events after which a job without a holder has an execution less."""

KEEP = "keep_seconds"
"""Parameter of each rule that makes jobs final: for how long they are kept unless they say so themselves."""


def lease_is_valid() -> ColumnElement[bool]:
    """Whether the lease on a job's row still runs."""
    return and_(Job.lease_until > lease_now(), Job.lease_boot == boot_id())


def lease_is_void() -> ColumnElement[bool]:
    """Whether the lease on a held job's row has run out, or belongs to another boot of the machine."""
    return or_(Job.lease_until <= lease_now(), Job.lease_boot != boot_id())


def _is_in(situation: Situation) -> ColumnElement[bool]:
    state = Job.state == situation.state.value
    circumstances = {
        Situation.SUSPENDED: and_(Job.holder.is_not(None), lease_is_valid()),
        Situation.STRANDED: and_(Job.holder.is_not(None), lease_is_void()),
        Situation.PARKED: and_(Job.holder.is_(None), Job.held.is_(False)),
        Situation.HELD: Job.held.is_(True),
    }
    return and_(state, circumstances[situation]) if situation in circumstances else state


def _flag_is(flag: Flag | None) -> ColumnElement[bool]:
    return Job.flag.is_(None) if flag is None else Job.flag == flag.value


@dataclass(frozen=True)
class Rule:
    """The law of one event as SQL: when it is possible, and what the columns become."""

    guard: ColumnElement[bool]
    changes: Mapping[str, Any]


@cache
def rule(event: Event) -> Rule:
    """The rule of an event."""
    branches: list[tuple[ColumnElement[bool], Effect]] = []
    for situation in TRANSITIONS[event]:
        branches += _branches(event, situation)
    guard = or_(*(_possible(event, situation) for situation in TRANSITIONS[event]))
    return Rule(guard, _changes(event, branches))


def _branches(event: Event, situation: Situation) -> list[tuple[ColumnElement[bool], Effect]]:
    flags = POSSIBLE_FLAGS.get(situation, (None,))
    found = [(flag, what) for flag in flags if (what := effect(event, situation, flag))]
    if len(found) == len(flags) and len({what for _, what in found}) == 1:
        return [(_is_in(situation), found[0][1])]
    return [(and_(_is_in(situation), _flag_is(flag)), what) for flag, what in found]


def _possible(event: Event, situation: Situation) -> ColumnElement[bool]:
    flags = POSSIBLE_FLAGS.get(situation, (None,))
    allowed = [flag for flag in flags if effect(event, situation, flag)]
    if len(allowed) == len(flags):
        return _is_in(situation)
    return and_(_is_in(situation), or_(*(_flag_is(flag) for flag in allowed)))


def _changes(event: Event, branches: Sequence[tuple[ColumnElement[bool], Effect]]) -> Mapping[str, Any]:
    moves = [(when, what.to) for when, what in branches if isinstance(what, Move)]
    asks = [(when, what.flag) for when, what in branches if isinstance(what, Ask)]
    changes = _moved(event, moves, len(moves) == len(branches)) if moves else {}
    if asks:
        changes["flag"] = case(*((when, literal(flag.value)) for when, flag in asks), else_=null())
    else:
        changes["flag"] = case((Job.flag == Flag.CANCEL.value, Job.flag)) if event is Event.SUSPEND else null()
    return changes


def _moved(event: Event, moves: Sequence[tuple[ColumnElement[bool], Situation]], always: bool) -> dict[str, Any]:  # noqa: FBT001 - read at one call
    """The columns that a move sets; `always` when every effect of the event is a move."""

    def where(wanted: Callable[[Situation], bool], then: Any, otherwise: Any) -> Any:
        chosen = [when for when, to in moves if wanted(to)]
        if always and len(chosen) == len(moves):
            return then
        return case((or_(*chosen), then), else_=otherwise) if chosen else otherwise

    state = where(lambda to: to is moves[0][1], literal(moves[0][1].state.value), None)
    if state is None or not always or len({to for _, to in moves}) > 1:
        state = case(*((when, literal(to.state.value)) for when, to in moves), else_=Job.state)
    changes: dict[str, Any] = {
        "state": state,
        "state_at": where(lambda _: True, case((state != Job.state, moment()), else_=Job.state_at), Job.state_at),
        "held": where(lambda to: to is Situation.HELD, true(), false()),
    }
    if any(to.state in FINAL for _, to in moves):
        changes["finished_at"] = where(lambda to: to.state in FINAL, moment(), Job.finished_at)
        changes["expires_at"] = where(lambda to: to.state in FINAL, _EXPIRY, Job.expires_at)
    if event in ENDS_EXECUTION:
        for column in ("holder", "lease_until", "lease_boot"):
            changes[column] = where(lambda to: to not in WITH_WORKER, null(), getattr(Job, column))
    return changes


def moment() -> ColumnElement[int]:
    """The time of a record that is written now: the later of now and the job's last one."""
    return greatest(now(), Job.updated_at)


_KEPT = func.coalesce(Job.expires_after, bindparam(KEEP, type_=Float)) * MICROSECONDS
_EXPIRY = now() + cast(_KEPT, BigInteger)
