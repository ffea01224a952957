from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_for
from tests.worker.households import (
    JOB,
    RecordingContext,
    forked,
    living_in,
    pool_child,
    shell,
    stopped_in,
)
from worker import slots, trees
from worker.clocks import boottime_ns
from worker.runners.command import CommandError, CommandExecution, CommandOutcome, run_command
from worker.slots import Flag

MEBIBYTE = 1 << 20
GLIBC_ONLY = 0b11 << 31
"""signals 32 and 33, which make leaves ignored, and which no program can set"""


def run(directory: Path, execution: CommandExecution, **context: Any) -> tuple[CommandOutcome, Any]:
    with pool_child(directory, execution, **context) as child:
        return child.outcome(), child


def python(code: str, **execution: Any) -> CommandExecution:
    argv = [sys.executable, "-I", "-S", "-c", code]
    return CommandExecution({"argv": argv, **execution.pop("command", {})}, **execution)


# ------------------------------------------------------------------------------------------------ its end


def test_a_command_that_ends_well_has_completed(tmp_path: Path) -> None:
    outcome, child = run(tmp_path, shell("echo out; echo err >&2"))
    assert (outcome.exit_code, outcome.signal, outcome.error, outcome.timed_out) == (0, None, None, False)
    assert (child.log("stdout"), child.log("stderr")) == (b"out\n", b"err\n")
    assert outcome.max_rss_kib > 0


def test_an_exit_code_passes_through(tmp_path: Path) -> None:
    outcome, _ = run(tmp_path, shell("exit 7"))
    assert outcome.exit_code == 7
    assert outcome.error == CommandError("exit-7", "The command failed.", "ALGORITHM", "exit code 7")
    assert not outcome.error.retry


@pytest.mark.parametrize(("category", "retry"), [("SYSTEM", True), ("DATA", False)])
def test_a_declared_exit_code_is_that_error(tmp_path: Path, category: str, retry: bool) -> None:
    codes = {"3": {"name": "bad-input", "title": "Not a genome", "category": category}}
    outcome, _ = run(tmp_path, CommandExecution({"argv": ["sh", "-c", "exit 3"], "exit_codes": codes}))
    assert outcome.error == CommandError("bad-input", "Not a genome", category, "Not a genome (exit code 3)")
    assert outcome.error.retry is retry


def test_a_signal_is_told_by_its_number(tmp_path: Path) -> None:
    outcome, _ = run(tmp_path, shell("kill -SEGV $$"))
    assert (outcome.exit_code, outcome.signal) == (None, 11)
    assert outcome.error == CommandError("signal-11", "The command was ended by a signal.", "SYSTEM", "SIGSEGV")


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    outcome, _ = run(tmp_path, CommandExecution({"argv": ["no-such-program"]}))
    assert outcome.error is not None
    assert (outcome.error.name, outcome.error.category) == ("cannot-start", "SYSTEM")
    assert "no-such-program" in outcome.error.message


def test_values_that_cannot_be_filled_in_are_told(tmp_path: Path) -> None:
    outcome, _ = run(tmp_path, CommandExecution({"argv": ["echo", "${args.k}"]}))
    assert outcome.error is not None
    assert (outcome.error.name, outcome.error.category) == ("bad-arguments", "DATA")


def test_args_inputs_and_defaults_reach_the_command_unparsed(tmp_path: Path) -> None:
    schema = {"properties": {"mode": {"default": "fast"}}}
    execution = CommandExecution(
        {"argv": ["printf", "%s|", "${args.text}", "${args.mode}", "${input}", "${job_output_dir}"]}, schema
    )
    outcome, child = run(tmp_path, execution, args={"text": "$(id) ; a  b"}, inputs={"genome": Path("/in/g.fa")})
    assert outcome.error is None
    assert child.log() == f"$(id) ; a  b|fast|/in/g.fa|{child.workdir}/output|".encode()


# ----------------------------------------------------------------------------------------- its surroundings


def test_the_environment_holds_what_is_declared_and_nothing_of_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    command = {"argv": ["env"], "environment": {"THREADS": "2", "LANG": "de_DE.UTF-8"}}
    _, child = run(tmp_path, CommandExecution(command, search_path="/usr/bin:/bin"))
    assert dict(line.split("=", 1) for line in child.log().decode().splitlines()) == {
        "PATH": "/usr/bin:/bin",
        "LANG": "de_DE.UTF-8",
        "THREADS": "2",
        "HOME": str(child.workdir),
        "TMPDIR": str(child.workdir / "tmp"),
        "LONGSHORE_JOB_ID": str(JOB),
        "LONGSHORE_JOB_ATTEMPT": "1",
        "LONGSHORE_JOB_URL": "http://127.0.0.1:1/api/v1/jobs/42",
        "LONGSHORE_JOB_TOKEN": "lst_secret",
    }


def test_a_command_stands_in_its_own_directory_and_session_with_no_strange_files_open(tmp_path: Path) -> None:
    code = (
        "import os; print(os.getcwd(), os.umask(0), os.getsid(0) == os.getpid(),"
        " sorted(int(fd) for fd in os.listdir('/proc/self/fd'))[:4], open(0).read() == '')"
    )
    with (tmp_path / "strange").open("w") as strange:
        os.set_inheritable(strange.fileno(), True)
        _, child = run(tmp_path, python(code))
    assert child.log().decode() == f"{child.workdir} 63 True [0, 1, 2, 3] True\n"


def test_signals_and_limits_are_those_of_an_ordinary_process_without_privileges(tmp_path: Path) -> None:
    _, child = run(tmp_path, shell("cat /proc/self/status; cat /proc/self/oom_score_adj; ulimit -c"))
    lines = child.log().decode().splitlines()
    status = dict(line.split(":\t", 1) for line in lines[:-2])
    assert (status["NoNewPrivs"], int(status["SigBlk"], 16)) == ("1", 0)
    assert int(status["SigIgn"], 16) & ~GLIBC_ONLY == 0
    assert lines[-2:] == ["500", "0"]


def test_the_memory_limit_holds(tmp_path: Path) -> None:
    limited = {"limits": {"memory_mib": 200}}
    outcome, child = run(tmp_path, python("print('begun'); bytearray(400 << 20)", command=limited))
    assert (child.log(), outcome.exit_code) == (b"begun\n", 1)
    assert b"MemoryError" in child.log("stderr")


def test_the_other_limits_hold(tmp_path: Path) -> None:
    limited = {"limits": {"file_mib": 1, "open_files": 32}}
    code = "import resource as r; print(r.getrlimit(r.RLIMIT_NOFILE)); open('big', 'wb').write(bytes(3 << 20))"
    outcome, child = run(tmp_path, python(code, command=limited))
    assert child.log() == b"(32, 32)\n"
    assert outcome.error is not None
    assert (child.workdir / "big").stat().st_size <= MEBIBYTE


def test_a_command_can_run_as_another_user(tmp_path: Path) -> None:
    outcome, child = run(tmp_path, shell("id -un; id -G; echo x > output/f", run_as="nobody"))
    if os.getuid() != 0:  # only root may change to another user
        assert outcome.error is not None
        assert (outcome.error.name, child.log()) == ("cannot-start", b"")
        return
    assert outcome.error is None, child.log("stderr")
    name, groups = child.log().decode().split()
    assert name == "nobody"
    assert "0" not in groups.split()
    assert child.told() == [["output", "f", "x\n"]]


def test_a_user_that_does_not_exist_is_told(tmp_path: Path) -> None:
    outcome, _ = run(tmp_path, shell("true", run_as="no-such-user"))
    assert outcome.error is not None
    assert outcome.error.name == "cannot-start"


# ------------------------------------------------------------------------------------------------ its output


def test_output_is_seen_while_the_command_runs(tmp_path: Path) -> None:
    with pool_child(tmp_path, shell("echo first; echo '::stage two'; read line < go; echo last; exec cat go")) as child:
        os.mkfifo(child.workdir / "go")
        wait_for(lambda: child.told() == [["stage", "two"]], 10, "the stage")
        assert child.log() == b"first\n::stage two\n"
        assert not child.ended()


def test_directives_report_and_all_else_is_output(tmp_path: Path) -> None:
    lines = [
        "::stage align",
        "::progress 3 10 three of ten",
        "::progress 0.5 1",
        "::message half way",
        "::progress many",
        "::nonsense",
        " ::stage indented",
        "::stage last without a newline",
    ]
    outcome, child = run(tmp_path, CommandExecution({"argv": ["printf", "%s", "\n".join(lines)]}))
    assert outcome.error is None
    assert child.told() == [
        ["stage", "align"],
        ["progress", 3, 10, "three of ten"],
        ["progress", 0.5, 1, ""],
        ["message", "half way"],
        ["stage", "last without a newline"],
    ]
    assert child.log().decode().splitlines() == lines


def test_ten_mebibytes_of_output_are_all_there(tmp_path: Path) -> None:
    code = "import sys\nfor i in range(10240): sys.stdout.write(f'{i:1023}\\n')"
    outcome, child = run(tmp_path, python(code))
    assert outcome.exit_code == 0
    assert child.log() == "".join(f"{number:1023}\n" for number in range(10240)).encode()


def test_output_of_both_streams_at_once_is_all_there(tmp_path: Path) -> None:
    script = "head -c 3000000 /dev/zero & head -c 3000000 /dev/zero >&2; wait"
    _, child = run(tmp_path, shell(script))
    assert (len(child.log("stdout")), len(child.log("stderr"))) == (3_000_000, 3_000_000)


def test_binary_output_stays_as_it_is(tmp_path: Path) -> None:
    code = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 4 + b'\\n::stage \\xff\\n')"
    _, child = run(tmp_path, python(code))
    assert child.log() == bytes(range(256)) * 4 + b"\n::stage \xff\n"
    assert child.told() == [["stage", "\ufffd"]]


def test_a_very_long_line_is_output_and_no_directive(tmp_path: Path) -> None:
    code = "print('::message ' + 'x' * 3_000_000, end='')"
    _, child = run(tmp_path, python(code))
    assert len(child.log()) == 3_000_010
    assert child.told() == []


def test_a_command_may_close_its_output_and_go_on(tmp_path: Path) -> None:
    outcome, child = run(tmp_path, shell("echo said; exec >&- 2>&-; sleep 0.3; exit 5"))
    assert (outcome.exit_code, child.log()) == (5, b"said\n")


def test_a_command_may_print_and_be_gone(tmp_path: Path) -> None:
    for number in range(5):
        folder = tmp_path / str(number)
        folder.mkdir()
        _, child = run(folder, shell("head -c 60000 /dev/zero"))
        assert len(child.log()) == 60000


# -------------------------------------------------------------------------------------------- its outputs


def test_every_file_in_the_output_directory_is_an_output(tmp_path: Path) -> None:
    script = "mkdir -p output/sub && echo a > output/a.txt && echo b > output/sub/b.txt && echo c > other"
    _, child = run(tmp_path, shell(script))
    assert child.told() == [["output", "a.txt", "a\n"], ["output", "sub/b.txt", "b\n"]]


def test_links_devices_and_unsafe_names_are_no_outputs(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("secret")
    script = f"""
        cd output; ln -s {tmp_path}/secret/key link; ln -s {tmp_path}/secret folder; mkfifo pipe
        echo x > 'a\\b'; echo x > "$(printf 'new\\nline')"; echo x > ' space'; echo fine > fine
    """
    _, child = run(tmp_path, shell(script))
    assert child.told() == [["output", "fine", "fine\n"]]
    assert child.log("log").count(b"not taken as an output") == 6
    assert b"secret" not in child.log("log")


def test_a_failed_command_has_no_outputs(tmp_path: Path) -> None:
    _, child = run(tmp_path, shell("echo a > output/a; exit 1"))
    assert child.told() == []


# ------------------------------------------------------------------------------------- suspended, and flags


def test_a_command_is_suspended_and_resumed_without_loss(tmp_path: Path) -> None:
    code = "import time\nfor i in range(40): print(i, flush=True); time.sleep(0.01)"
    with pool_child(tmp_path, python(code)) as child:
        wait_for(lambda: b"3\n" in child.log(), 10, "some output")
        assert trees.stop_tree(child.pid, include_root=False)
        assert stopped_in(child.workdir)
        said = child.log()
        time.sleep(0.3)  # that nothing happens can only be seen by waiting
        assert child.log().startswith(said)
        assert len(child.log()) - len(said) < 10
        assert not child.ended()
        trees.continue_tree(child.pid, include_root=False)
        assert child.outcome().exit_code == 0
        assert child.log() == "".join(f"{number}\n" for number in range(40)).encode()


def test_the_time_limit_ends_a_command_that_listens(tmp_path: Path) -> None:
    begun = time.monotonic()
    outcome, child = run(tmp_path, shell("echo begun; exec sleep 1000", timeout=0.5, grace=60))
    assert time.monotonic() - begun < 5
    assert (outcome.timed_out, outcome.signal) == (True, signal.SIGTERM)
    assert outcome.error is not None
    assert (outcome.error.name, outcome.error.category) == ("timeout", "ALGORITHM")
    assert child.processes() == []


def test_the_time_limit_ends_a_command_that_does_not_listen(tmp_path: Path) -> None:
    script = "trap '' TERM; echo begun; setsid sleep 1000 & while true; do sleep 1000; done"
    outcome, child = run(tmp_path, shell(script, timeout=0.5, grace=0.5))
    assert (outcome.timed_out, outcome.signal) == (True, signal.SIGKILL)
    assert child.processes() == []


def test_the_time_limit_stands_still_while_suspended(tmp_path: Path) -> None:
    with pool_child(tmp_path, shell("sleep 0.2; exit 3", timeout=1.5)) as child:
        wait_for(lambda: len(child.processes()) >= 2, 10, "the processes")
        child.slots.set_stopped(0, JOB, 1, stopped=True, at=boottime_ns())
        assert trees.stop_tree(child.pid, include_root=False)
        time.sleep(2)  # longer than the limit: that is the point
        assert not child.ended()
        child.slots.set_stopped(0, JOB, 1, stopped=False, at=boottime_ns())
        trees.continue_tree(child.pid, include_root=False)
        outcome = child.outcome()
        assert (outcome.exit_code, outcome.timed_out) == (3, False)


def test_the_outcome_names_the_flag_in_force(tmp_path: Path) -> None:
    with pool_child(tmp_path, shell("sleep 1000")) as child:
        wait_for(lambda: len(child.processes()) >= 2, 10, "the processes")
        assert child.slots.set_flag(0, JOB, 1, Flag.CANCEL, at=boottime_ns())
        trees.terminate_tree(child.pid, include_root=False)
        assert child.outcome(5).flag is Flag.CANCEL


def test_a_stale_command_is_killed_as_soon_as_its_child_is_poked(tmp_path: Path) -> None:
    with pool_child(tmp_path, shell("trap '' TERM; while true; do sleep 1000; done")) as child:
        wait_for(lambda: len(child.processes()) >= 2, 10, "the processes")
        assert child.slots.set_flag(0, JOB, 1, Flag.STALE, at=boottime_ns())
        os.kill(child.pid, signal.SIGUSR2)
        outcome = child.outcome(5)
        assert (outcome.flag, outcome.signal) == (Flag.STALE, signal.SIGKILL)
        assert child.processes() == []


def test_what_the_context_raises_ends_the_command_and_is_not_hidden(tmp_path: Path) -> None:
    class Broken(RecordingContext):
        def write_log(self, *_: Any, **__: Any) -> None:
            raise OSError("no space left")

    workdir = tmp_path / "work"
    workdir.mkdir()
    slot = slots.create(tmp_path / "worker.slots", 1).take()

    def body() -> None:
        with pytest.raises(OSError, match="no space left"):
            run_command(shell("echo x; setsid sleep 1000 & sleep 1000"), Broken(workdir, tmp_path, slot))
        assert living_in(workdir) == []
        assert trees.childless()
        (tmp_path / "well").touch()

    with forked(body) as pid:
        wait_for(lambda: not trees.alive(pid), 10, "the runner to end")
        assert (tmp_path / "well").exists()
