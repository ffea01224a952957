"""Jobs from submit to end on a real worker."""

from __future__ import annotations

from tests.worker.fleet import Fleet


def test_a_job_runs_from_submit_to_its_result(quick: Fleet) -> None:
    quick.start()
    job = quick.wait(quick.submit("echo", {"word": "hello"}), "completed")
    assert job.result == {"word": "hello"}
    assert job.progress == 1.0
    assert quick.events(job.id) == ["submit", "claim", "complete"]
