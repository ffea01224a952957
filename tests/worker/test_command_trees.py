from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.waiting import wait_for
from tests.worker.households import (
    FORK_LOOP,
    HOSTILE,
    PYTHON,
    pool_child,
    shell,
)
from tests.worker.test_command import run
from worker import trees


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_survives_the_end_of_the_command(tmp_path: Path, name: str) -> None:
    script, _ = HOSTILE[name]
    outcome, child = run(tmp_path, shell(f"({script}) & sleep 0.3; exit 7"))
    assert outcome.exit_code == 7
    assert child.processes() == []


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_survives_when_the_agent_kills_the_tree(tmp_path: Path, name: str) -> None:
    script, processes = HOSTILE[name]
    with pool_child(tmp_path, shell(script)) as child:
        wait_for(lambda: len(child.processes()) >= processes, 10, f"{processes} processes")
        trees.kill_tree(child.pid, include_root=False)
        assert child.processes() == []
        assert child.outcome(5).signal == signal.SIGKILL


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_survives_the_death_of_the_pool_child(tmp_path: Path, name: str) -> None:
    script, processes = HOSTILE[name]
    with pool_child(tmp_path, shell(script)) as child:
        wait_for(lambda: len(child.processes()) >= processes, 10, f"{processes} processes")
        os.kill(child.pid, signal.SIGKILL)
        wait_for(lambda: not child.processes(), 2, "the shim to end all")


def test_nothing_survives_the_death_of_the_pool_child_even_when_suspended(tmp_path: Path) -> None:
    with pool_child(tmp_path, shell("setsid sleep 1000 & sleep 1000")) as child:
        wait_for(lambda: len(child.processes()) >= 2, 10, "the processes")
        assert trees.stop_tree(child.pid, include_root=False)
        os.kill(child.pid, signal.SIGKILL)
        wait_for(lambda: not child.processes(), 2, "the shim to end all")


def test_nothing_survives_the_death_of_the_shim(tmp_path: Path) -> None:
    with pool_child(tmp_path, shell("setsid sleep 1000 & (sleep 1000 | sleep 1000) & sleep 1000")) as child:
        wait_for(lambda: len(child.processes()) >= 4, 10, "the processes")
        [shim] = trees.children(child.pid)
        os.kill(shim.pid, signal.SIGKILL)
        assert child.outcome(5).signal == signal.SIGKILL
        assert child.processes() == []


def test_a_fork_loop_is_ended_with_its_command(tmp_path: Path) -> None:
    outcome, child = run(tmp_path, shell(f"{PYTHON} '{FORK_LOOP}' & sleep 0.2; exit 6"))
    assert outcome.exit_code == 6
    assert child.processes() == []


ASKED = "trap 'echo asked' TERM; (trap 'echo me too; exit' TERM; sleep 1000 & wait) & wait; wait; exit 9"
"""A shell and another below it that tell how often they are asked to end."""


def test_sigterm_to_the_shim_reaches_the_whole_command(tmp_path: Path) -> None:
    with pool_child(tmp_path, shell(ASKED)) as child:
        wait_for(lambda: len(child.processes()) >= 3, 10, "the processes")
        [shim] = trees.children(child.pid)
        trees.stop_tree(shim.pid, include_root=False)
        subprocess.run(["kill", str(shim.pid)], check=True)
        assert child.outcome(5).exit_code == 9
        assert sorted(child.log().split(b"\n")) == [b"", b"asked", b"me too"]


def test_nobody_is_asked_twice_when_the_agent_asks_the_whole_tree(tmp_path: Path) -> None:
    with pool_child(tmp_path, shell(ASKED)) as child:
        wait_for(lambda: len(child.processes()) >= 3, 10, "the processes")
        assert trees.terminate_tree(child.pid, include_root=False) == 4
        assert child.outcome(5).exit_code == 9
        assert sorted(child.log().split(b"\n")) == [b"", b"asked", b"me too"]
