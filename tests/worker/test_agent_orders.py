"""What is wanted of an execution, what the agent does about strays, and how long a job may stay suspended."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy import select

from shared import execute
from shared.execute import Interrupted, Lost, Parked, Seen, Stopped
from shared.lifecycle import Flag, State
from shared.models import Worker
from tests.worker.fleet import Fleet
from worker.agent.charge import Cause, Charge, end_of
from worker.agent.orders import Abilities, Order, Wish, order_for
from worker.slots import Flag as SlotFlag
from worker.slots import Phase, Snapshot

NOW = 10**12


@pytest.mark.parametrize(
    ("state", "flag", "mode", "pauses", "wish"),
    [
        (State.RUNNING, None, None, ("park",), Wish.RUN),
        (State.RUNNING, Flag.CANCEL, None, ("park",), Wish.CANCEL),
        (State.PAUSED, Flag.CANCEL, "suspend", ("suspend",), Wish.CANCEL),
        (State.PAUSED, None, "suspend", ("suspend",), Wish.STAY),
        (State.RUNNING, Flag.PAUSE, None, ("park", "suspend"), Wish.PARK),
        (State.RUNNING, Flag.PAUSE, "suspend", ("park", "suspend"), Wish.SUSPEND),
        (State.RUNNING, Flag.PAUSE, "suspend", ("park",), Wish.PARK),
        (State.RUNNING, Flag.PAUSE, "park", ("suspend",), Wish.SUSPEND),
    ],
)
def test_what_sql_says_means(
    state: State, flag: Flag | None, mode: str | None, pauses: Sequence[str], wish: Wish
) -> None:
    order = order_for(Seen(state, flag, mode, 2.5), Abilities(pauses=pauses), NOW)
    assert order.wish is wish
    if flag is not None:
        assert order.at == NOW - 2_500_000_000


def _charge(*, begun: bool = True, wish: Wish = Wish.RUN, killed_for: Cause | None = None) -> Charge:
    seen = Snapshot(
        index=0, pid=1, started=1, mark=1, job_id=None, attempt=1, phase=Phase.BODY, begun_at=int(begun), limit_at=0,
        in_database=False, flag=SlotFlag.NONE, flag_at=0, stopped=False, stopped_ns=0,
    )  # fmt: skip
    lease = execute.Lease(None, 1)  # type: ignore[arg-type]  # nobody looks at it here
    return Charge(lease, seen, 0, order=Order(wish, 0), killed_for=killed_for)


@pytest.mark.parametrize(
    ("charge", "end"),
    [
        (_charge(), Lost),
        (_charge(begun=False), Interrupted),
        (_charge(wish=Wish.CANCEL), Stopped),
        (_charge(killed_for=Cause.CANCEL), Stopped),
        (_charge(killed_for=Cause.DRAIN), Interrupted),
        (_charge(killed_for=Cause.FENCE), Interrupted),
        (_charge(killed_for=Cause.SUSPEND_LIMIT), Parked),
        (_charge(killed_for=Cause.STALE), type(None)),
    ],
)
def test_a_dead_child_means(charge: Charge, end: type) -> None:
    assert type(end_of(charge, -9)) is end


def test_what_was_claimed_and_never_begun_is_given_back(running: Fleet) -> None:
    with running.store.reading() as connection:
        worker_id = connection.execute(select(Worker.id).where(Worker.pid == running.workers[0].pid)).scalar_one()
    running.store.after_commit = None
    job_id = running.submit("noop", queue="nobody-serves-it")
    running.store.after_commit = running.courier.deliver
    offer = running.offer()
    lost = execute.Offer(worker_id, "lost", "n", 1, "nobody-serves-it", offer.revisions)
    assert execute.claim(running.store, lost) is not None
    job = running.wait_until(job_id, lambda job: job.state == "queued", 10)
    assert (job.burnt, running.events(job_id)[-1]) == (0, "interrupt")


def test_a_job_that_stays_suspended_for_too_long_is_parked(quick: Fleet) -> None:
    quick.start(suspend_limit=1)
    job_id = quick.submit("sleep", {"seconds": 1})
    quick.wait(job_id, "running")
    quick.pause(job_id, "suspend")
    quick.wait_until(job_id, lambda job: job.state == "paused" and job.holder is None, 10, "the job to be parked")
    quick.resume(job_id)
    job = quick.wait(job_id, "completed")
    assert (job.burnt, job.attempt) == (0, 2)
