"""The guard: whatever is killed, nothing of a component is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import guard
from launcher.processes import Identity
from tests.waiting import wait_for

# Ignores SIGTERM, and has one child in a session of its own and one whose parent is gone.
HOSTILE = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
here = sys.argv[1]
for name, start in (("session", "setsid sleep 600 & echo $!"), ("orphan", "(trap '' TERM; sleep 600) & echo $!")):
    pid = subprocess.run(["sh", "-c", start + f" > {here}/{name}"], stdout=subprocess.DEVNULL)
open(f"{here}/ready", "w").close()
time.sleep(600)
"""


# Starts a guard over the program it is given.
PARENT = """
import os, subprocess, sys, time
python, guard, *program = sys.executable, *sys.argv[1:]
subprocess.Popen([python, "-I", "-S", guard, str(os.getpid()), "1", python, "-c", *program])
time.sleep(600)
"""


def start(*argv: str, grace: float = 1.0, parent: int | None = None) -> subprocess.Popen[bytes]:
    head = [sys.executable, "-I", "-S", guard.__file__, str(parent or os.getpid()), str(grace)]
    return subprocess.Popen([*head, *argv], start_new_session=True)


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[Identity]]]:
    """A guard over a hostile component, and every process below it."""
    process = start(sys.executable, "-c", HOSTILE, str(tmp_path))
    wait_for((tmp_path / "ready").exists, 10, "the hostile component")
    # The shell that started each of the two may still be on its way out.
    wait_for(lambda: len(guard.descendants(process.pid)) >= 3, 5, "its children")
    below = [found for pid in guard.descendants(process.pid) if (found := Identity.of(pid))]
    yield process, below
    process.kill()
    process.wait()
    for identity in below:
        identity.send(signal.SIGKILL)


def none_lives(below: list[Identity]) -> bool:
    return not any(each.lives() for each in below)


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)])
def test_the_status_is_the_components(script: str, status: int) -> None:
    assert start("sh", "-c", script).wait(10) == status


def test_a_program_that_is_missing_says_so() -> None:
    assert start("no-such-program").wait(10) == 127


def test_sigterm_is_passed_on() -> None:
    process = start(sys.executable, "-c", "import signal; print(flush=True); signal.pause()")
    wait_for(lambda: len(guard.descendants(process.pid)) == 1, 5, "the component")
    process.terminate()
    assert process.wait(10) == 128 + signal.SIGTERM


def test_sigquit_kills_the_tree_at_once(hostile: tuple[subprocess.Popen[bytes], list[Identity]]) -> None:
    process, below = hostile
    process.send_signal(signal.SIGQUIT)
    assert process.wait(5) == 128 + signal.SIGKILL
    assert none_lives(below)


def test_the_end_of_the_component_is_the_end_of_its_tree(
    hostile: tuple[subprocess.Popen[bytes], list[Identity]],
) -> None:
    process, below = hostile
    component = guard.children()[process.pid][0]
    os.kill(component, signal.SIGKILL)
    assert process.wait(5) == 128 + signal.SIGKILL
    assert none_lives(below)


def test_without_its_parent_everything_ends(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, guard.__file__, HOSTILE, str(tmp_path)])
    wait_for((tmp_path / "ready").exists, 10, "the hostile component")
    below = [found for pid in guard.descendants(parent.pid) if (found := Identity.of(pid))]
    assert len(below) >= 4
    parent.kill()
    parent.wait()
    wait_for(lambda: none_lives(below), 10, "the end of every process")


def test_a_process_is_not_taken_for_another_of_the_same_number() -> None:
    me = Identity.of(os.getpid())
    assert me is not None
    assert me.lives()
    assert not Identity(me.pid, me.started - 1).lives()
    assert not Identity(me.pid, me.started - 1).send(signal.SIGKILL)
