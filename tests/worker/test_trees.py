from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.waiting import wait_for
from tests.worker.households import (
    FORK_LOOP,
    HELD_IN_VFORK,
    HOSTILE,
    LEADER_GONE,
    PYTHON,
    forked,
    household,
    living_in,
    stopped_in,
)
from worker import trees


@pytest.mark.parametrize("name", HOSTILE)
def test_no_process_survives_the_killing_of_its_tree(tmp_path: Path, name: str) -> None:
    script, processes = HOSTILE[name]
    with household(tmp_path, script) as root:
        wait_for(lambda: len(living_in(tmp_path)) > processes, 10, f"{processes} processes and their root")
        assert trees.kill_tree(root, include_root=False) == []
        assert living_in(tmp_path) == [root]
        assert trees.alive(root)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_tree_can_be_stopped_and_let_go_on(tmp_path: Path, name: str) -> None:
    script, processes = HOSTILE[name]
    with household(tmp_path, script) as root:
        wait_for(lambda: len(living_in(tmp_path)) > processes, 10, f"{processes} processes and their root")
        assert trees.stop_tree(root)
        assert stopped_in(tmp_path)
        before = set(living_in(tmp_path))
        assert trees.continue_tree(root) >= len(before)
        wait_for(lambda: not any(_is_stopped(pid) for pid in before), 5, "all to go on")


def _is_stopped(pid: int) -> bool:
    process = trees.read_process(pid)
    return process is not None and process.state in "Tt"


@pytest.mark.parametrize("include_root", [True, False])
def test_a_fork_loop_ends_within_its_bound(tmp_path: Path, include_root: bool) -> None:
    def body() -> None:
        with household(tmp_path, f"exec {PYTHON} '{FORK_LOOP}'") as root:
            wait_for(lambda: trees.children(root), 10, "the loop to start")
            left = trees.kill_tree(root, include_root=include_root, limit=20)
            well = not left and trees.alive(root) != include_root
        # what slips out of the household falls to this process
        left = trees.kill_tree(os.getpid(), include_root=False, limit=20)
        trees.reap_children()
        if well and not left and trees.childless():
            (tmp_path / "well").touch()

    with forked(body) as pid:
        wait_for(lambda: not trees.alive(pid), 60, "the killing")
    assert (tmp_path / "well").exists()
    assert living_in(tmp_path) == []


def test_processes_that_are_forked_while_the_tree_is_killed_die_too(tmp_path: Path) -> None:
    with household(tmp_path, "while true; do (sleep 1000 &) ; (setsid sleep 1000 &) ; done") as root:
        wait_for(lambda: len(living_in(tmp_path)) > 10, 10, "some processes")
        assert trees.kill_tree(root, include_root=False) == []
        assert living_in(tmp_path) == [root]


def test_a_stopped_tree_can_be_killed(tmp_path: Path) -> None:
    with household(tmp_path, "sleep 1000 | sleep 1000") as root:
        wait_for(lambda: len(living_in(tmp_path)) > 2, 10, "the pipeline")
        trees.stop_tree(root, include_root=False)
        assert trees.kill_tree(root, include_root=False) == []
        assert living_in(tmp_path) == [root]


def test_a_branch_that_is_spared_lives_on(tmp_path: Path) -> None:
    with household(tmp_path, "sleep 1000 & sleep 1000 & wait") as root:
        wait_for(lambda: len(trees.descendants(root)) > 2, 10, "the shell and two sleeps")
        spared = trees.descendants(root)[-1]
        assert trees.kill_tree(root, include_root=False, spare=[spared.pid]) == []
        assert trees.alive(*spared.identity)
        assert [process.pid for process in trees.descendants(root) if not process.dead] == [spared.pid]


def test_terminating_a_tree_asks_the_stopped_too(tmp_path: Path) -> None:
    with household(tmp_path, "sleep 1000 & sleep 1000") as root:
        wait_for(lambda: len(living_in(tmp_path)) > 2, 10, "the processes")
        trees.stop_tree(root, include_root=False)
        assert trees.terminate_tree(root, include_root=False) >= 2
        wait_for(lambda: living_in(tmp_path) == [root], 5, "them to end")


def test_a_reused_pid_is_not_hit(tmp_path: Path) -> None:
    with household(tmp_path, "sleep 1000") as root:
        wait_for(lambda: trees.descendants(root), 10, "the sleep")
        stranger = (trees.start_time(root) or 0) - 1
        assert trees.kill_tree(root, started=stranger) == []
        assert trees.signal_tree(root, signal.SIGKILL, started=stranger) == 0
        process = trees.descendants(root)[0]
        process.started -= 1
        assert not trees.send(process, signal.SIGKILL)
        assert not trees.alive(*process.identity)
        assert trees.alive(root)
        assert trees.alive(process.pid)


def test_whoever_kills_a_tree_does_not_kill_itself(tmp_path: Path) -> None:
    def body() -> None:
        os.chdir(tmp_path)
        sleeper = subprocess.Popen(["sleep", "1000"])
        if os.fork() == 0:
            left = trees.kill_tree(os.getppid(), include_root=False)
            (tmp_path / "left").write_text(f"{len(left)} {trees.alive(sleeper.pid)}")
            os._exit(0)
        os.wait()

    with forked(body):
        wait_for((tmp_path / "left").exists, 10, "the killer to tell")
        wait_for(lambda: (tmp_path / "left").read_text() == "0 False", 5, "what it has to tell")


def test_a_zombie_is_not_alive() -> None:
    process = subprocess.Popen(["true"])
    wait_for(lambda: not trees.alive(process.pid), 5, "it to end")
    seen = trees.read_process(process.pid)
    assert seen is not None
    assert seen.dead
    process.wait()
    assert trees.read_process(process.pid) is None
    assert not trees.alive(0)


def test_a_process_whose_leader_has_ended_is_alive_and_can_be_stopped(tmp_path: Path) -> None:
    with household(tmp_path, f"exec {PYTHON} '{LEADER_GONE}'") as root:
        leader = wait_for(lambda: trees.children(root), 5, "the process")[0].pid
        stat = Path(f"/proc/{leader}/stat")
        wait_for(lambda: " Z " in stat.read_text(), 5, "its leader to end")
        assert trees.alive(leader)
        assert trees.stop_tree(root)
        assert trees.kill_tree(root, include_root=False) == []
        assert not trees.alive(leader)


def _is_held(process: trees.Process) -> bool:
    """Whether it waits for its child, which waits for the pipe."""
    return process.state == "D" and any(child.state == "S" for child in trees.children(process.pid))


def test_a_process_that_waits_in_the_kernel_does_not_hold_up_its_tree(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    with household(tmp_path, f"exec {PYTHON} '{HELD_IN_VFORK}'") as root:
        waiting = wait_for(lambda: [one for one in trees.descendants(root) if _is_held(one)], 10, "a vfork")
        assert trees.stop_tree(root)
        process = trees.read_process(waiting[0].pid)
        assert process is not None
        assert process.state == "D"
        assert trees.kill_tree(root, include_root=False) == []
        assert living_in(tmp_path) == [root]


def test_odd_process_names_are_read(tmp_path: Path) -> None:
    script = tmp_path / "a) Z 1 (b"
    script.write_text("#!/bin/sh\nsleep 1000\n")
    script.chmod(0o755)
    with household(tmp_path, f"exec '{script}'") as root:
        [child] = wait_for(lambda: [one for one in trees.children(root) if not one.dead], 5, "the script")
        wait_for(lambda: trees.children(child.pid), 5, "its sleep")
        assert (child.parent, child.started) == (root, trees.start_time(child.pid))


def test_children_in_use_are_not_reaped() -> None:
    def body() -> None:
        kept, other = subprocess.Popen(["sh", "-c", "exit 3"]), subprocess.Popen(["sh", "-c", "exit 4"])
        wait_for(lambda: not trees.alive(kept.pid) and not trees.alive(other.pid), 5, "both to end")
        assert trees.reap_children(spare=[kept.pid]) == [(other.pid, 4)]
        assert not trees.childless()
        assert kept.wait() == 3
        assert trees.childless()

    with forked(body) as pid:
        assert os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT) is not None
        assert os.waitstatus_to_exitcode(_status(pid)) == 0


def _status(pid: int) -> int:
    found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert found is not None
    return found.si_status << 8 if found.si_code == os.CLD_EXITED else found.si_status


def test_a_process_is_told_of_the_death_of_its_parent(tmp_path: Path) -> None:
    def grandchild() -> None:
        trees.set_pdeathsig(signal.SIGUSR1)
        (tmp_path / "ready").touch()
        signal.sigwait([signal.SIGUSR1])
        (tmp_path / "heard").touch()

    def body() -> None:
        if os.fork() == 0:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
            grandchild()
            os._exit(0)
        wait_for((tmp_path / "ready").exists, 5, "the child")

    with forked(body):
        wait_for((tmp_path / "heard").exists, 5, "the signal")


def test_without_the_kernels_lists_of_children_all_processes_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "_OWN_CHILDREN", "/proc/none")
    with household(tmp_path, "setsid sleep 1000 & sleep 1000 | sleep 1000") as root:
        wait_for(lambda: len(trees.descendants(root)) > 3, 10, "the processes")
        assert trees.kill_tree(root, include_root=False) == []
        assert living_in(tmp_path) == [root]
