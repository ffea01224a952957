"""Runs a declared function as the body of a job, in the pool child itself."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from typing import Any

from longshore.declare import JobType
from longshore.errors import JobCancelled, JobError, JobInterrupted, JobParked, failure_of
from longshore.jsonable import jsonable
from longshore.support import Assignment
from shared.execute import Claimed, Completed, End, Failed, Interrupted, Parked, Stopped
from worker import inputs
from worker.capture import Capture
from worker.context import WorkerJob
from worker.desk import Desk
from worker.joblog import logging_to
from worker.slots import Flag

MAX_MESSAGE = 2000
MAX_TRACEBACK = 20_000


def run_python(desk: Desk, claimed: Claimed, declared: JobType[Any] | None) -> End:
    """Performs one execution and says how it ended; what the job wrote has been taken down by then."""
    with Capture(desk.ledger.write) as capture, logging_to(lambda line: desk.ledger.write("log", line)):
        end = _prepared(desk, claimed, declared)
    desk.clear()
    capture.finish()
    return end


def _prepared(desk: Desk, claimed: Claimed, declared: JobType[Any] | None) -> End:
    if declared is None:
        return failed(_unknown(claimed))
    try:
        job = WorkerJob(_assignment(desk, claimed, declared), desk.slot, desk.ledger, claimed.pause_at)
    except Exception as error:
        logging.getLogger(claimed.type).exception("the job could not be prepared")
        return failed(error)
    return _body(desk, declared, job)


def _unknown(claimed: Claimed) -> JobError:
    return JobError("unknown-job-type", f"no module here declares {claimed.type} {claimed.type_version}", "SYSTEM")


def _assignment(desk: Desk, claimed: Claimed, declared: JobType[Any]) -> Assignment:
    saved = claimed.saved
    given = inputs.fetch(desk)
    restored = inputs.restore(desk, saved.files if saved else ())
    # To decode args is the author's code already: an attempt that dies of it has begun, or it would be made for ever.
    desk.slot_body(claimed.timeout)
    return Assignment(
        id=str(claimed.lease.job_id),
        attempt=claimed.lease.attempt,
        args=declared.arguments.decode(claimed.args),
        workdir=desk.workdir,
        log=logging.getLogger(claimed.type),
        stages=claimed.declaration.get("stages") or (),
        inputs=given,
        saved_state=saved.state if saved else None,
        saved_files=restored,
    )


def _body(desk: Desk, declared: JobType[Any], job: WorkerJob) -> End:
    try:
        with desk.body():
            result = declared.function(job)
        return Completed(jsonable(result, "the result"))
    except JobCancelled as stop:
        if desk.slot.flag is not Flag.CANCEL:
            return failed(stop, "job code raised JobCancelled, but nobody cancelled the job")
        job.call_cancel_hooks()
        return Stopped()
    except JobParked:
        return Parked()
    except JobInterrupted:
        return Interrupted()
    except BaseException as error:
        job.log.exception("the job failed")
        return failed(error)


def failed(error: BaseException, message: str = "") -> Failed:
    """How an exception that ended an execution is recorded."""
    failure = failure_of(error)
    text = "".join(traceback.format_exception(error))
    found = {"traceback": text[-MAX_TRACEBACK:]}
    details: Mapping[str, Any] = {**found, **failure.details} if isinstance(failure.details, Mapping) else {
        **found, **({} if failure.details is None else {"data": failure.details})
    }  # fmt: skip
    return Failed(
        error={
            "name": failure.name,
            "title": failure.title,
            "category": failure.category,
            "message": (message or failure.message)[:MAX_MESSAGE],
            "details": jsonable_or_text(details),
        },
        retry=failure.retry,
    )


def jsonable_or_text(value: Any) -> Any:
    """The JSON form of `value`, or what Python shows of it: an error's details must never hide the error."""
    try:
        return jsonable(value, "details")
    except Exception:  # noqa: BLE001 - see above
        return {"text": repr(value)[:MAX_TRACEBACK]}
