"""Jobs: submit one or many, list, read, change, remove, and ask why one waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import marshmallow as ma
from flask import Response, request

from api.answers import created, nothing, page, rendered, tagged
from api.auth import Access, current_principal
from api.fields import QueryTruth
from api.installation import installation
from api.native.job_filter import CountsQuery, ListQuery, filters
from api.native.job_shape import JobSchema, shown
from api.native.order_body import BatchBody, ChangesBody, OrderBody, order
from api.paging import page_of
from api.resource import Answer, Body, Resource
from api.times import iso
from shared import observe, persist
from shared.errors import EditConflict, FieldProblem, InvalidInput
from shared.lifecycle import State
from shared.principal import Scope

resource = Resource("jobs", __name__, url_prefix="/api/v1", description="Jobs: requests, and where they stand.")

READ = Access(Scope.READ)
SUBMIT = Access(Scope.SUBMIT)
_ONE = "/jobs/<uuid:job_id>"
_DIGITS = 9
"""more digits no version has"""

_KEY = {
    "in": "header",
    "name": "Idempotency-Key",
    "description": "Sent again with the same body, the same key gives the same jobs instead of new ones.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_IF_NONE_MATCH = {
    "in": "header",
    "name": "If-None-Match",
    "description": "Entity tag of the version you hold; 304 while it is still that one.",
    "schema": {"type": "string"},
}
_IF_MATCH = {
    "in": "header",
    "name": "If-Match",
    "description": "Entity tag of the version you mean to change; 412 when it is another one by now.",
    "schema": {"type": "string"},
}


class AcceptedSchema(ma.Schema):
    """A job accepted with others."""

    id = ma.fields.UUID(required=True)
    number = ma.fields.Integer(required=True)


class BatchSchema(ma.Schema):
    """The jobs accepted, in the order of the request."""

    items = ma.fields.List(ma.fields.Nested(AcceptedSchema), required=True)
    count = ma.fields.Integer(required=True)


class WhySchema(ma.Schema):
    """Why a job does not run now."""

    reason = ma.fields.String(required=True, metadata={"description": "stable code"})
    detail = ma.fields.String(required=True, metadata={"description": "for people"})
    position = ma.fields.Integer(required=True, allow_none=True, metadata={"description": "1 is the next to start"})
    estimate = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "when it may start, judged by recent runs"}
    )


def _counts_schema() -> ma.Schema:
    return ma.Schema.from_dict(
        {state.value: ma.fields.Integer(required=True) for state in State}, name="CountsByStateSchema"
    )()


class JobQuery(ListQuery):
    """Filters, order and page of the list of jobs."""

    total = QueryTruth("Whether to count all that match.", load_default=False)


@resource.operation(
    "POST",
    "/jobs",
    SUBMIT,
    body=Body(OrderBody),
    answers={201: Answer("The job, accepted.", JobSchema), 200: Answer("Accepted before under this key.", JobSchema)},
    refuses=(404,),
    doc={"parameters": [_KEY]},
)
def submit_job(body: Mapping[str, Any]) -> Response:
    """Submit a job."""
    key, raw = request.headers.get("Idempotency-Key"), request.get_data(cache=True)
    submitted = persist.submit(installation().store, current_principal(), order(body), key=key, body=raw)
    job = shown(submitted.jobs[0])
    return created(job, f"/jobs/{job['id']}", 201 if submitted.created else 200)


@resource.operation(
    "POST",
    "/jobs/batch",
    SUBMIT,
    body=Body(BatchBody, limit="max_batch_body"),
    answers={201: Answer("All accepted.", BatchSchema), 200: Answer("Accepted before under this key.", BatchSchema)},
    refuses=(404,),
    doc={"parameters": [_KEY]},
)
def submit_batch(body: Mapping[str, Any]) -> Response:
    """Submit up to 10,000 jobs, all or none."""
    key, raw = request.headers.get("Idempotency-Key"), request.get_data(cache=True)
    orders = [order(each) for each in body["jobs"]]
    submitted = persist.submit_batch(installation().store, current_principal(), orders, key=key, body=raw)
    items = [{"id": job.id, "number": job.number} for job in submitted.jobs]
    return rendered({"items": items, "count": len(items)}, 201 if submitted.created else 200)


@resource.operation(
    "GET",
    "/jobs",
    READ,
    query=JobQuery,
    answers={200: Answer("A page of jobs.", page_of("JobPage", JobSchema, total=ma.fields.Integer()))},
)
def list_jobs(query: Mapping[str, Any]) -> Response:
    """List the jobs that match a filter."""
    found = observe.list_jobs(
        installation().store,
        current_principal(),
        filters(query),
        order=query["order"],
        limit=query["limit"],
        cursor=query["cursor"],
        with_total=query["total"],
    )
    total = {"total": found.total} if query["total"] else {}
    return page([shown(row) for row in found.items], found.next, **total)


@resource.operation(
    "GET",
    "/jobs/counts",
    READ,
    query=CountsQuery,
    answers={200: Answer("How many jobs are in each state.", _counts_schema())},
)
def count_jobs(query: Mapping[str, Any]) -> Response:
    """Count the jobs that match a filter, by state."""
    return rendered(observe.counts(installation().store, current_principal(), filters(query)))


@resource.operation(
    "GET",
    _ONE,
    Access(Scope.READ, executions=True),
    answers={200: Answer("The job.", JobSchema, headers={"ETag": "its version"}), 304: Answer("Not changed.")},
    doc={"parameters": [_IF_NONE_MATCH]},
)
def show_job(job_id: UUID) -> Response:
    """Read a job."""
    row = observe.get(installation().store, current_principal(), job_id)
    return tagged(shown(row), row.version)


@resource.operation(
    "PATCH",
    _ONE,
    SUBMIT,
    body=Body(ChangesBody),
    answers={200: Answer("The job, changed.", JobSchema, headers={"ETag": "its new version"})},
    refuses=(409, 412),
    doc={"parameters": [_IF_MATCH]},
)
def edit_job(body: Mapping[str, Any], job_id: UUID) -> Response:
    """Change a job that no worker has taken yet."""
    if not body:
        raise InvalidInput(problems=[FieldProblem("", "names nothing to change", "at least one field")])
    row = persist.edit(installation().store, current_principal(), job_id, body, version=_expected_version())
    return tagged(shown(row), row.version)


def _expected_version() -> int | None:
    """The version that If-Match names; None when any will do."""
    if not request.if_match or request.if_match.star_tag:
        return None
    tags = request.if_match.as_set()
    versions = [int(tag) for tag in tags if tag.isascii() and tag.isdigit() and len(tag) <= _DIGITS]
    if len(versions) != 1 or len(tags) != 1:
        raise EditConflict("If-Match names no version that the job has.")
    return versions[0]


@resource.operation(
    "DELETE",
    _ONE,
    Access(Scope.REMOVE),
    answers={204: Answer("The job and its history are gone.")},
    refuses=(409,),
)
def remove_job(job_id: UUID) -> Response:
    """Remove a job that has ended."""
    persist.remove(installation().store, current_principal(), job_id)
    return nothing()


@resource.operation("GET", f"{_ONE}/why", READ, answers={200: Answer("The reason.", WhySchema)})
def explain_job(job_id: UUID) -> Response:
    """Tell why a job does not run now."""
    why = observe.why(installation().store, current_principal(), job_id, presence=installation().settings.presence)
    return rendered(
        {"reason": why.reason, "detail": why.detail, "position": why.position, "estimate": iso(why.estimate)}
    )
