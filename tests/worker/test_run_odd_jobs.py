"""Job code that does unusual things, on a real worker."""

from __future__ import annotations

import pytest

from tests.worker.fleet import Fleet
from tests.worker.test_agent_control import lives


def test_job_code_may_fork_while_reports_are_written(running: Fleet) -> None:
    job = running.wait(running.submit("forks"), "completed", 60)
    assert job.result == 60
    assert running.log(job.id, "log").count("before fork") == 60
    assert running.log(job.id, "stdout") == "".join(f"from fork {number}\n" for number in range(60))
    done = [record.done for record in running.records(job.id) if record.event == "report" and record.done is not None]
    assert all(each == int(each) for each in done), "a forked process reports nothing"


def test_job_code_may_use_a_pool_of_processes(running: Fleet) -> None:
    job = running.wait(running.submit("pools"), "completed")
    assert job.result == [number * number for number in range(10)]


@pytest.mark.parametrize(
    ("type", "error"),
    [
        ("odd_result", "NotJson"),
        ("huge_text", "InvalidInput"),
        ("poison", "ValueError"),
        ("breaks_worker", "worker-lost"),
        ("deadly_args", "worker-lost"),
        ("exits", "SystemExit"),
        ("raises_cancelled", "JobCancelled"),
    ],
)
def test_odd_ends_are_failures_with_a_name(running: Fleet, type: str, error: str) -> None:
    job = running.wait(running.submit(type), "failed")
    assert job.error["name"] == error
    running.wait(running.submit("noop"), "completed")


def test_all_that_is_written_is_captured(running: Fleet) -> None:
    job = running.wait(running.submit("loud"), "completed")
    assert running.log(job.id, "stdout") == "raw stdout\nfrom a shell\nno end of line"
    assert running.log(job.id, "stderr") == "raw stderr\n"
    assert "WARNING some.library: a library warns" in running.log(job.id, "log")


def test_a_child_that_is_left_behind_ends_with_the_job(running: Fleet) -> None:
    job = running.wait(running.submit("leaves_children"), "completed")
    assert not lives(job.result)


def test_the_addresses_of_database_and_broker_do_not_reach_job_code(running: Fleet) -> None:
    """They may hold passwords."""
    job = running.wait(running.submit("secrets"), "completed")
    assert not {"LONGSHORE_DATABASE_URL", "LONGSHORE_BROKER_URL"} & set(job.result)


def test_where_a_job_went_is_no_matter_of_the_next(running: Fleet) -> None:
    found = [running.wait(running.submit("wanders"), "completed").result for _ in range(6)]
    assert all(each == found[0] for each in found), found
