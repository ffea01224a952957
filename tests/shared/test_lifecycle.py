"""The law itself: what is possible, what flags lead to, and that nothing contradicts the invariants."""

from __future__ import annotations

import itertools

import pytest

from shared.lifecycle import (
    ACKNOWLEDGING,
    FINAL,
    POSSIBLE_FLAGS,
    TRANSITIONS,
    WITH_WORKER,
    Ask,
    Event,
    Flag,
    Move,
    Situation,
    State,
    Withdraw,
    already,
    before,
    effect,
    resolve,
)

EVERYTHING = [
    (event, situation, flag)
    for event, situation in itertools.product(Event, Situation)
    for flag in POSSIBLE_FLAGS.get(situation, (None,))
]


def test_nothing_leaves_a_final_state_but_a_rerun() -> None:
    leaving = {
        event for event, situation, flag in EVERYTHING if situation.state in FINAL and effect(event, situation, flag)
    }
    assert leaving == {Event.RERUN}


def test_a_cancel_on_record_is_never_lost() -> None:
    for event, situation, _ in EVERYTHING:
        if situation in WITH_WORKER and (what := effect(event, situation, Flag.CANCEL)):
            assert isinstance(what, Move), (event, situation)
            stays_with_worker = event is Event.SUSPEND and what.to is Situation.RUNNING
            assert what.to is Situation.CANCELLED or stays_with_worker, (event, situation, what)


def test_a_pause_on_record_keeps_the_job_from_being_queued_or_completed() -> None:
    for event in ACKNOWLEDGING - {Event.SUSPEND}:
        what = effect(event, Situation.RUNNING, Flag.PAUSE)
        assert isinstance(what, Move)
        assert what.to not in {Situation.QUEUED, Situation.COMPLETED}, event


def test_only_a_worker_takes_a_job_that_a_worker_holds_out_of_its_state() -> None:
    for event in set(Event) - ACKNOWLEDGING - {Event.STOP, Event.RESUME}:
        for flag in POSSIBLE_FLAGS[Situation.RUNNING]:
            assert not isinstance(effect(event, Situation.RUNNING, flag), Move), event


@pytest.mark.parametrize(
    ("flag", "target", "expected"),
    [
        (Flag.CANCEL, Situation.COMPLETED, Situation.CANCELLED),
        (Flag.CANCEL, Situation.FAILED, Situation.CANCELLED),
        (Flag.CANCEL, Situation.QUEUED, Situation.CANCELLED),
        (Flag.PAUSE, Situation.QUEUED, Situation.PARKED),
        (Flag.PAUSE, Situation.COMPLETED, Situation.HELD),
        (Flag.PAUSE, Situation.FAILED, Situation.FAILED),
        (None, Situation.QUEUED, Situation.QUEUED),
    ],
)
def test_flags_resolve(flag: Flag | None, target: Situation, expected: Situation) -> None:
    assert resolve(Event.RETRY, target, flag) is expected


def test_a_suspension_is_acknowledged_only_while_the_pause_stands() -> None:
    assert effect(Event.SUSPEND, Situation.RUNNING, Flag.PAUSE) == Move(Situation.SUSPENDED)
    assert effect(Event.SUSPEND, Situation.RUNNING, None) == Move(Situation.RUNNING)
    assert effect(Event.SUSPEND, Situation.RUNNING, Flag.CANCEL) == Move(Situation.RUNNING)


def test_resume_withdraws_a_pause_but_never_a_cancel() -> None:
    assert effect(Event.RESUME, Situation.RUNNING, Flag.PAUSE) == Withdraw()
    assert effect(Event.RESUME, Situation.RUNNING, Flag.CANCEL) is None
    assert effect(Event.RESUME, Situation.SUSPENDED, Flag.CANCEL) is None


def test_a_cancel_overrides_a_pause_and_not_the_other_way_round() -> None:
    assert effect(Event.CANCEL, Situation.RUNNING, Flag.PAUSE) == Ask(Flag.CANCEL)
    assert effect(Event.PAUSE, Situation.RUNNING, Flag.CANCEL) is None


def test_every_situation_is_reached_and_left() -> None:
    reached = {what.to for case in EVERYTHING if isinstance(what := effect(*case), Move)}
    assert reached | {Situation.DRAFT, Situation.STRANDED} == set(Situation)
    left = {situation for event, situation, flag in EVERYTHING if effect(event, situation, flag)}
    assert left == set(Situation) - {Situation.COMPLETED}


def test_before_names_states() -> None:
    assert before(Event.RERUN) == {State.FAILED, State.CANCELLED}
    assert before(Event.CLAIM) == {State.QUEUED}
    assert all(before(event) for event in TRANSITIONS)


@pytest.mark.parametrize(
    ("event", "state", "flag", "expected"),
    [
        (Event.PAUSE, State.PAUSED, None, True),
        (Event.PAUSE, State.RUNNING, Flag.PAUSE, True),
        (Event.PAUSE, State.RUNNING, None, False),
        (Event.RESUME, State.RUNNING, None, True),
        (Event.RESUME, State.RUNNING, Flag.CANCEL, False),
        (Event.CANCEL, State.CANCELLED, None, True),
        (Event.CANCEL, State.COMPLETED, None, False),
        (Event.RERUN, State.COMPLETED, None, False),
    ],
)
def test_asking_for_what_holds(event: Event, state: State, flag: Flag | None, expected: bool) -> None:
    assert already(event, state, flag) is expected
