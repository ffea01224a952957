"""When a cancel is raised in job code, and when it has to wait."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from longshore.errors import JobCancelled
from worker.interrupts import Interrupts


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR2, signal.SIGTERM)}
    made = Interrupts()
    made.install()
    made.occupied = True
    yield made
    for number, handler in before.items():
        signal.signal(number, handler)


def poke(number: int = signal.SIGUSR2) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0)  # a bytecode boundary, at which Python runs the handler


def test_a_poke_raises_in_the_body_when_it_is_wanted(interrupts: Interrupts) -> None:
    with pytest.raises(JobCancelled), interrupts.body(lambda: True):
        poke()


def test_a_poke_that_nobody_wants_does_nothing(interrupts: Interrupts) -> None:
    with interrupts.body(lambda: False):
        poke()
    poke()


def test_a_cancel_that_came_before_the_body_is_raised_at_its_start(interrupts: Interrupts) -> None:
    entered = False
    with pytest.raises(JobCancelled), interrupts.body(lambda: True):
        entered = True
    assert not entered


def test_what_is_shielded_is_not_torn(interrupts: Interrupts) -> None:
    done: list[str] = []

    def job_code() -> None:
        with interrupts.shielded():
            with interrupts.shielded():
                done.append("asked")
                poke()
                done.append("inner")
            done.append("outer")
        done.append("never")

    with pytest.raises(JobCancelled), interrupts.body(lambda: bool(done)):
        job_code()
    assert done == ["asked", "inner", "outer"]


def test_code_that_tidies_up_is_not_torn_again_but_by_sigterm(interrupts: Interrupts) -> None:
    done: list[str] = []

    def job_code() -> None:
        try:
            done.append("asked")
            poke()
        except JobCancelled:
            poke()
            done.append("tidied up")
            poke(signal.SIGTERM)
        done.append("never")

    with pytest.raises(JobCancelled), interrupts.body(lambda: bool(done)):
        job_code()
    assert done == ["asked", "tidied up"]


def test_sigterm_to_an_idle_child_ends_it() -> None:
    child = os.fork()
    if not child:
        idle = Interrupts()
        idle.install()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
