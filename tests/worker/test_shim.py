from __future__ import annotations

import os
import resource
import select
import signal
from collections.abc import Callable
from pathlib import Path

from tests.waiting import wait_for
from tests.worker.households import forked, living_in
from worker import trees
from worker.runners.shim_process import Exit, ShimProcess


def start(directory: Path, script: str) -> ShimProcess:
    return ShimProcess(["sh", "-c", script], {"PATH": os.defpath}, directory, {})


def in_subreaper(directory: Path, body: Callable[[], str]) -> str:
    """Runs a body in a process that is a subreaper, as a pool child is; gives what it returned."""
    told = directory.parent / f"{directory.name}.told"

    def tell() -> None:
        told.write_text(body())

    with forked(tell) as pid:
        wait_for(lambda: not trees.alive(pid), 20, "the process to end")
    return told.read_text()


def reported(shim: ShimProcess) -> Exit:
    readable, _, _ = select.select([shim.results], [], [], 10)
    assert readable
    shim.read_report()
    end = shim.exit()
    shim.close()
    return end


def test_it_needs_less_than_sixty_milliseconds_of_the_processor(tmp_path: Path) -> None:
    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    def once() -> float:
        before = used()
        reported(start(tmp_path, "echo ready"))
        return used() - before

    assert min(once() for _ in range(10)) < 0.060


def test_it_reports_the_end_only_when_nothing_is_left(tmp_path: Path) -> None:
    def body() -> str:
        shim = start(tmp_path, "(trap '' TERM; setsid sleep 1000) & sleep 0.1; exit 3")
        select.select([shim.results], [], [], 10)
        left = living_in(tmp_path)
        return f"{left} {reported(shim).exit_code} {trees.childless()}"

    assert in_subreaper(tmp_path, body) == "[] 3 True"


def test_it_leads_a_session_of_its_own_and_so_does_the_command(tmp_path: Path) -> None:
    def body() -> str:
        shim = start(tmp_path, "read line < go")
        [command] = wait_for(lambda: living_in(tmp_path), 5, "the command")
        sessions = [os.getsid(shim.pid) == shim.pid, os.getsid(command) == command]
        shim.close()
        return f"{sessions} {living_in(tmp_path)}"

    os.mkfifo(tmp_path / "go")
    assert in_subreaper(tmp_path, body) == "[True, True] []"


def test_a_command_that_kills_its_own_group_does_not_hit_the_shim(tmp_path: Path) -> None:
    end = reported(start(tmp_path, "kill -KILL 0"))
    assert (end.exit_code, end.signal) == (None, signal.SIGKILL)


def test_the_pipes_end_with_the_command_and_not_with_the_shim(tmp_path: Path) -> None:
    shim = start(tmp_path, "exec >&- 2>&-; read line < go")
    os.mkfifo(tmp_path / "go")
    assert (os.read(shim.stdout, 10), os.read(shim.stderr, 10)) == (b"", b"")
    assert trees.alive(shim.pid)
    shim.close()
    assert living_in(tmp_path) == []


def test_a_stopped_shim_is_ended_all_the_same(tmp_path: Path) -> None:
    shim = start(tmp_path, "sleep 1000")
    wait_for(lambda: living_in(tmp_path), 5, "the command")
    assert trees.stop_tree(shim.pid)
    shim.close()
    assert living_in(tmp_path) == []
    assert not trees.alive(shim.pid)


def test_a_directory_that_is_gone_is_told(tmp_path: Path) -> None:
    end = reported(start(tmp_path / "gone", "true"))
    assert "No such file or directory" in end.error


def test_a_long_command_line_is_no_trouble(tmp_path: Path) -> None:
    argv = ["sh", "-c", "exit $#", "sh", *("x" * 100_000 for _ in range(10))]
    assert reported(ShimProcess(argv, {"PATH": os.defpath}, tmp_path, {})).exit_code == 10


def test_what_is_too_long_for_the_system_is_told(tmp_path: Path) -> None:
    end = reported(ShimProcess(["true", "x" * 3_000_000], {"PATH": os.defpath}, tmp_path, {}))
    assert "Argument list too long" in end.error


def test_orphans_are_the_shims_own_and_are_reaped_while_the_command_runs(tmp_path: Path) -> None:
    def body() -> str:
        shim = start(tmp_path, "for i in 1 2 3; do (sh -c 'exit 1' &) ; done; read line < go")
        wait_for(lambda: living_in(tmp_path), 5, "the command")
        wait_for(lambda: len(trees.descendants(shim.pid)) == 1, 5, "the orphans to be reaped")
        shim.close()
        return "reaped"

    os.mkfifo(tmp_path / "go")
    assert in_subreaper(tmp_path, body) == "reaped"
