"""Executions: each run of a job on a worker."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import marshmallow as ma
from flask import Response

from api.answers import rendered
from api.auth import Access, current_principal
from api.installation import installation
from api.native.job_shape import JobErrorSchema
from api.resource import Answer, Resource
from api.times import iso
from shared import observe
from shared.principal import Scope

resource = Resource("executions", __name__, url_prefix="/api/v1", description="Runs of a job on workers.")


class ExecutionSchema(ma.Schema):
    """One run of a job on one worker."""

    attempt = ma.fields.Integer(required=True)
    node = ma.fields.String(required=True, metadata={"description": "host name"})
    worker = ma.fields.UUID(required=True, metadata={"description": "the worker that ran it"})
    pid = ma.fields.Integer(required=True)
    claimed_at = ma.fields.String(required=True, metadata={"format": "date-time"})
    ended_at = ma.fields.String(required=True, allow_none=True, metadata={"format": "date-time"})
    outcome = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "the event that ended it; null while it runs"}
    )
    exit_code = ma.fields.Integer(required=True, allow_none=True)
    signal = ma.fields.Integer(required=True, allow_none=True, metadata={"description": "signal that ended it"})
    error = ma.fields.Nested(JobErrorSchema, required=True, allow_none=True)


class ExecutionsSchema(ma.Schema):
    """All executions of a job, oldest first."""

    items = ma.fields.List(ma.fields.Nested(ExecutionSchema), required=True)


def _shown(row: Any) -> dict[str, Any]:
    return {
        "attempt": row.attempt,
        "node": row.node,
        "worker": row.worker_id,
        "pid": row.pid,
        "claimed_at": iso(row.claimed_at),
        "ended_at": iso(row.ended_at),
        "outcome": row.outcome,
        "exit_code": row.exit_code,
        "signal": row.signal,
        "error": row.error,
    }


@resource.operation(
    "GET",
    "/jobs/<uuid:job_id>/executions",
    Access(Scope.READ, executions=True),
    answers={200: Answer("The executions.", ExecutionsSchema)},
)
def list_executions(job_id: UUID) -> Response:
    """List the executions of a job."""
    rows = observe.executions(installation().store, current_principal(), job_id)
    return rendered({"items": [_shown(row) for row in rows]})
