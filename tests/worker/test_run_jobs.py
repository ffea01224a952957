"""Jobs on a real worker, from submit to end."""

from __future__ import annotations

from pathlib import Path

from tests.waiting import wait_for
from tests.worker.fleet import Fleet


def test_a_job_runs_from_submit_to_its_result(running: Fleet) -> None:
    job = running.wait(running.submit("echo", {"word": "hello"}), "completed")
    assert job.result == {"word": "hello"}
    assert job.progress == 1.0
    assert running.events(job.id) == ["submit", "claim", "complete"]


def test_no_slot_and_no_work_directory_is_kept(running: Fleet) -> None:
    running.wait(running.submit("noop"), "completed")
    wait_for(lambda: not any(running.settings.work_dir.iterdir()), 5, "the work directory to be gone")


def test_stages_and_the_last_progress_are_on_record(running: Fleet, tmp_path: Path) -> None:
    job = running.wait(running.submit("counter", {"upto": 300, "trace": tmp_path / "trace"}), "completed")
    reports = [record for record in running.records(job.id) if record.event == "report"]
    assert reports[0].stage == "count"
    assert (reports[-1].done, reports[-1].total) == (300, 300)
    assert len(reports) < 20, "progress is coalesced"


def test_an_output_is_kept_and_counted(running: Fleet) -> None:
    job = running.wait(running.submit("counter", {"upto": 5}), "completed")
    output = running.outputs(job.id)[0]
    assert (output.name, output.role, output.attempt) == ("numbers.txt", "output", 1)
    assert (running.settings.files_dir / output.path).read_text() == "0\n1\n2\n3\n4\n"


def test_what_a_job_writes_is_its_log(running: Fleet) -> None:
    job = running.wait(running.submit("chatty", {"lines": 50}), "completed")
    assert running.log(job.id, "stdout") == "".join(f"stdout line {n}\n" for n in range(50))
    assert running.log(job.id, "stderr") == "".join(f"stderr line {n}\n" for n in range(50))
    log = running.log(job.id, "log")
    assert log.count("log line") == 50
    assert "a program speaks" in log


def test_a_failure_carries_its_traceback_and_is_tried_as_often_as_allowed(running: Fleet) -> None:
    job = running.wait(running.submit("fail", max_attempts=2), "failed")
    assert job.burnt == 2
    assert (job.error["name"], job.error["category"]) == ("unlucky", "SYSTEM")
    assert "JobError" in job.error["details"]["traceback"]
    assert job.error["details"]["attempt"] == 2


def test_bad_data_is_not_tried_again(running: Fleet) -> None:
    job = running.wait(running.submit("fail", {"category": "DATA"}), "failed")
    assert job.attempt == 1


def test_an_exception_that_nobody_named_has_its_class_for_a_name(running: Fleet) -> None:
    job = running.wait(running.submit("raise"), "failed")
    assert job.error["name"] == "ZeroDivisionError"


def test_a_retry_that_succeeds_completes_the_job(running: Fleet) -> None:
    job = running.wait(running.submit("fail_once"), "completed")
    assert (job.result, job.attempt, job.burnt, job.error) == (2, 2, 1, None)


def test_a_time_limit_ends_the_job(running: Fleet) -> None:
    job = running.wait(running.submit("sleep_deaf", {"seconds": 60}, timeout=0.5), "failed", 10)
    assert job.error["name"] == "timed-out"
    assert job.attempt == 1


def test_more_jobs_than_slots_are_all_run(running: Fleet) -> None:
    ids = [running.submit("noop") for _ in range(60)]
    for job_id in ids:
        running.wait(job_id, "completed")
        assert running.events(job_id) == ["submit", "claim", "complete"]
