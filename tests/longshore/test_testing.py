from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from longshore import Input, Job, JobError, job_type
from longshore.declare import JobType
from longshore.errors import InvalidArguments, JobCancelled, JobParked, UndeclaredStage
from longshore.testing import Outcome, run_job


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longshore.declare.REGISTRY", {})


def run(body: Any, args: Any = None, **options: Any) -> Outcome:
    """Declare a body and run it; what `run_job` does not know is an option of the job type."""
    moments = ("pause_at_checkpoint", "cancel_at", "interrupt_at", "resume_from")
    kit = {name: options.pop(name) for name in moments if name in options}
    kit["inputs"] = options.pop("files", None)
    return run_job(job_type("tried", **options)(body), args, **kit)


@dataclass
class CountArgs:
    upto: int


def count_to(counted: list[int]) -> JobType[CountArgs]:
    """Make a job that counts, saves how far it came after each number, and keeps the numbers in a file."""

    @job_type("count", args=CountArgs, stages=["count", "sum"])
    def count(job: Job[CountArgs]) -> dict[str, int]:
        begin = job.saved_state or 0
        with job.stage("count"):
            for number in range(begin, job.args.upto):
                counted.append(number)
                with (job.workdir / "numbers.txt").open("a") as file:
                    file.write(f"{number}\n")
                job.progress(number + 1, job.args.upto)
                job.checkpoint(number + 1, files=["numbers.txt"])
        with job.stage("sum"):
            numbers = (job.workdir / "numbers.txt").read_text().split()
            return {"sum": sum(map(int, numbers))}

    return count


# --------------------------------------------------------------------------------- outcomes of one attempt


def test_a_job_runs_to_its_result() -> None:
    outcome = run_job(count_to([]), CountArgs(4))
    assert (outcome.state, outcome.result, outcome.stages) == ("completed", {"sum": 6}, ["count", "sum"])
    assert outcome.progress[-1].progress == 1.0
    assert outcome.attempt == 1


def test_args_and_inputs_are_checked_as_the_broker_does(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("a")

    def body(job: Job) -> list[Any]:
        return [job.input("one").read_text(), [path.name for path in job.inputs["several"]]]  # type: ignore[union-attr]

    options = {"inputs": {"one": Input(), "several": Input(multiple=True, required=False)}}
    outcome = run(body, files={"one": text, "several": [text, text]}, **options)
    assert outcome.result == ["a", ["text", "text"]]
    for wrong, field in [
        ({}, "one"),
        ({"one": text, "two": text}, "two"),
        ({"one": [text, text]}, "one"),
        ({"one": tmp_path / "absent"}, "one"),
    ]:
        with pytest.raises(InvalidArguments) as raised:
            run(body, files=wrong, **options)
        assert [problem.field for problem in raised.value.problems] == [f"inputs.{field}"]
    with pytest.raises(InvalidArguments, match=r"args\.upto"):
        run_job(count_to([]), {"upto": "x"})


def test_an_error_with_a_name_keeps_it() -> None:
    def body(_: Job) -> None:
        raise JobError("bad-input", "line 3 is no sequence", "DATA", details={"line": 3})

    outcome = run(body)
    assert outcome.state == "failed"
    assert outcome.error is not None
    assert outcome.error._asdict() == {
        "name": "bad-input",
        "title": "Bad input",
        "category": "DATA",
        "message": "line 3 is no sequence",
        "retry": False,
        "details": {"line": 3},
    }


def test_any_other_exception_is_worth_a_retry() -> None:
    def body(_: Job) -> None:
        raise ConnectionResetError("the other side left")

    error = run(body).error
    assert error is not None
    assert (error.name, error.category, error.retry) == ("ConnectionResetError", "SYSTEM", True)


def test_leaving_the_interpreter_fails_the_job_alone() -> None:
    error = run(lambda _: sys.exit(3)).error
    assert error is not None
    assert (error.name, error.message) == ("SystemExit", "3")


def test_a_result_that_is_no_json_fails_by_name() -> None:
    outcome = run(lambda _: {"a": object()})
    assert outcome.error is not None
    assert outcome.error.message == "the result.a is a object, which cannot be stored as JSON"


def test_the_log_holds_what_the_job_wrote_and_why_it_failed(caplog: pytest.LogCaptureFixture) -> None:
    def body(job: Job) -> None:
        job.log.debug("looking at %s", "it")
        raise ValueError("no")

    with caplog.at_level(logging.DEBUG):
        outcome = run(body)
    assert outcome.log[0] == "looking at it"
    assert "ValueError: no" in outcome.log[-1]
    assert "looking at it" in caplog.text


# --------------------------------------------------------------------------------- pause, resume, cancel


def test_a_parked_job_goes_on_where_it_stopped() -> None:
    counted: list[int] = []
    count = count_to(counted)
    first = run_job(count, CountArgs(5), pause_at_checkpoint=2)
    assert (first.state, first.result, first.saved_state) == ("paused", None, 2)
    assert first.saved_files["numbers.txt"].read_text() == "0\n1\n"
    second = run_job(count, CountArgs(5), resume_from=first)
    assert (second.state, second.result, second.attempt) == ("completed", {"sum": 10}, 2)
    assert counted == [0, 1, 2, 3, 4]
    assert first.saved_files["numbers.txt"].read_text() == "0\n1\n", "an earlier outcome stays what it was"


def test_only_what_was_checkpointed_survives() -> None:
    def body(job: Job) -> list[str]:
        found = sorted(path.name for path in job.workdir.rglob("*") if path.is_file())
        (job.workdir / "kept").mkdir(exist_ok=True)
        (job.workdir / "kept" / "a.txt").write_text("a")
        (job.workdir / "lost.txt").write_text("lost")
        job.checkpoint({"step": 1}, files=["kept/a.txt"])
        (job.workdir / "kept" / "a.txt").write_text("changed after the checkpoint")
        job.checkpoint()
        return [*found, *job.saved_files]

    first = run(body, pause_at_checkpoint=2)
    assert (first.checkpoints, first.saved_state) == (2, {"step": 1})
    assert first.saved_files["kept/a.txt"].read_text() == "a"
    second = run(body, resume_from=first)
    assert second.result == ["a.txt", "kept/a.txt"]


def test_files_can_be_kept_under_names_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.bin").write_bytes(b"1")

    def body(job: Job) -> list[str]:
        job.checkpoint(1, files={"index/part-1": tmp_path / "elsewhere.bin"})
        return list(job.saved_files)

    first = run(body, interrupt_at=1)
    assert (first.state, list(first.saved_files)) == ("queued", ["index/part-1"])
    assert run(body, resume_from=first).result == ["index/part-1"]


@pytest.mark.parametrize("name", ["../out", "/abs", "", "a\nb"])
def test_a_checkpointed_file_stays_below_the_work_directory(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outcome = run(lambda job: job.checkpoint(1, files={name: tmp_path / "file"}))
    assert isinstance(outcome.exception, ValueError)


def test_a_missing_file_is_no_checkpoint() -> None:
    outcome = run(lambda job: job.checkpoint(1, files=["absent"]))
    assert isinstance(outcome.exception, FileNotFoundError)
    assert outcome.saved_state is None


def test_cancel_reaches_the_job_at_a_checkpoint_and_calls_its_hooks() -> None:
    called: list[str] = []

    def body(job: Job) -> None:
        job.on_cancel(lambda: called.append("first"))
        job.on_cancel(lambda: 1 / 0)

        @job.on_cancel
        def last() -> None:
            called.append("last")

        try:
            job.checkpoint()
        except Exception:  # noqa: BLE001 - what careless job code does; a cancel must pass through
            called.append("swallowed")
        finally:
            called.append("tidied")

    outcome = run(body, cancel_at=1)
    assert (outcome.state, called) == ("cancelled", ["tidied", "last", "first"])
    assert "ZeroDivisionError" in outcome.log[-1]


def test_cancel_interrupts_unless_the_type_says_otherwise() -> None:
    reached: list[str] = []

    def body(job: Job) -> None:
        job.stage("delicate")
        reached.append("inside")
        job.checkpoint()
        reached.append("behind")

    assert run(body, stages=["delicate"], cancel_at="delicate").state == "cancelled"
    assert reached == []
    careful = job_type("careful", stages=["delicate"], cancel="checkpoint")(body)
    assert run_job(careful, cancel_at="delicate").state == "cancelled"
    assert reached == ["inside"]


def test_a_pause_can_wait_for_a_stage() -> None:
    first = run_job(count_to([]), CountArgs(2), pause_at_checkpoint="count")
    assert (first.state, first.saved_state) == ("paused", 1)


def test_a_flag_that_the_job_swallowed_holds_all_the_same() -> None:
    def body(job: Job) -> str:
        try:
            job.checkpoint()
        except (JobCancelled, JobParked):
            return "went on"
        return "was not asked"

    assert run(body, cancel_at=1).state == "cancelled"
    held = run_job(job_type("held")(body), pause_at_checkpoint=1)
    assert (held.state, held.result) == ("paused", "went on")


def test_a_work_directory_does_not_outlive_its_attempt() -> None:
    assert not Path(run(lambda job: job.workdir).result).exists()


# ---------------------------------------------------------------------------------- stages and progress


def test_progress_runs_over_all_stages() -> None:
    def body(job: Job) -> None:
        with job.stage("a"):
            job.progress(1, 4)
            job.progress(2, message="half")
        job.stage("b")
        for _ in job.track(range(2)):
            pass

    reports = run(body, stages=["a", "b"]).progress
    seen = [(r.stage, r.progress, r.done, r.total, r.message) for r in reports]
    assert seen[:5] == [
        ("a", 0.0, None, None, ""),
        ("a", 0.125, 1, 4, ""),
        ("a", 0.25, 2, 4, "half"),
        ("a", 0.5, 2, 4, ""),
        ("b", 0.5, None, None, ""),
    ]
    assert seen[-1] == ("b", 1.0, 2, 2, "")


def test_a_stage_that_breaks_off_is_not_done() -> None:
    def body(job: Job) -> None:
        with job.stage("a"):
            raise ValueError("no")

    assert run(body, stages=["a"]).progress[-1].progress == 0.0


def test_a_stage_must_be_declared() -> None:
    outcome = run(lambda job: job.stage("c"), stages=["a", "b"])
    assert isinstance(outcome.exception, UndeclaredStage)
    assert str(outcome.exception) == "stage 'c' is not declared by this job type (declared: a, b)"


def test_without_a_total_a_count_moves_no_bar() -> None:
    def body(job: Job) -> None:
        for _ in job.track(iter("abc")):
            pass
        job.message("counted")
        job.progress(0, 0)

    reports = run(body).progress
    assert (reports[-3].done, reports[-3].total, reports[-3].progress) == (3, None, 0.0)
    assert reports[-2].message == "counted"
    assert reports[-1].progress == 1.0


@pytest.mark.parametrize(("done", "total"), [(-1, 4), (float("nan"), 4), (1, -4), (1, float("inf"))])
def test_progress_must_be_a_sensible_number(done: float, total: float) -> None:
    assert isinstance(run(lambda job: job.progress(done, total)).exception, ValueError)


def test_more_than_everything_is_everything() -> None:
    assert run(lambda job: job.progress(7, 5)).progress[-1].progress == 1.0


def test_tracking_a_fast_loop_is_cheap() -> None:
    outcome = run(lambda job: sum(job.track(range(100_000))))
    assert outcome.result == sum(range(100_000))
    assert len(outcome.progress) < 1000


# -------------------------------------------------------------------------------------------- outputs


def test_outputs_are_kept_with_their_media_type() -> None:
    def body(job: Job) -> None:
        for name in ("stats.json", "index.bin", "table"):
            (job.workdir / name).write_text(name)
        job.save_output("stats.json", "stats.json")
        job.save_output("index.bin", job.workdir / "index.bin")
        job.save_output("table.tsv", "table", media_type="text/x-table")

    outputs = run(body).outputs
    assert {name: output.media_type for name, output in outputs.items()} == {
        "stats.json": "application/json",
        "index.bin": "application/octet-stream",
        "table.tsv": "text/x-table",
    }
    assert outputs["table.tsv"].path.read_text() == "table"


@pytest.mark.parametrize("name", ["a/b", "..", "", "a\\b", "a\x00", "x" * 256])
def test_an_output_has_a_safe_name(name: str) -> None:
    def body(job: Job) -> None:
        (job.workdir / "file").write_text("")
        job.save_output(name, "file")

    assert isinstance(run(body).exception, ValueError)
