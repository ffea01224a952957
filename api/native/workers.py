"""Workers: who is there, what they serve, how busy they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import marshmallow as ma
from flask import Response

from api.answers import page, rendered
from api.auth import Access
from api.fields import QueryTruth
from api.installation import installation
from api.paging import PageQuery, page_of
from api.resource import Answer, Resource
from api.times import iso
from shared import observe
from shared.principal import Scope

resource = Resource("workers", __name__, url_prefix="/api/v1", description="Who runs jobs.")

READ = Access(Scope.READ)


class WorkerSchema(ma.Schema):
    """One launch of a worker."""

    id = ma.fields.UUID(required=True)
    name = ma.fields.String(required=True)
    node = ma.fields.String(required=True, metadata={"description": "host name"})
    pid = ma.fields.Integer(required=True)
    slots = ma.fields.Integer(required=True, metadata={"description": "how many jobs it runs at once"})
    holds = ma.fields.Integer(required=True, metadata={"description": "how many jobs it holds now"})
    queues = ma.fields.List(ma.fields.String(), required=True)
    offers = ma.fields.List(ma.fields.String(), required=True, metadata={"description": "revisions that it can run"})
    versions = ma.fields.Dict(required=True)
    present = ma.fields.Boolean(required=True)
    draining = ma.fields.Boolean(required=True, metadata={"description": "takes no new jobs"})
    started_at = ma.fields.String(required=True, metadata={"format": "date-time"})
    seen_at = ma.fields.String(required=True, metadata={"format": "date-time"})
    ended_at = ma.fields.String(required=True, allow_none=True, metadata={"format": "date-time"})


class WorkersQuery(PageQuery):
    """Which workers."""

    absent = QueryTruth("Also those that are gone.", load_default=False)


_AS_STORED = ("id", "name", "node", "pid", "slots", "holds", "queues", "offers", "versions", "draining")


def _shown(row: Any) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in _AS_STORED},
        **{name: iso(getattr(row, name)) for name in ("started_at", "seen_at", "ended_at")},
        "present": bool(row.present),
    }


@resource.operation(
    "GET",
    "/workers",
    READ,
    query=WorkersQuery,
    answers={200: Answer("A page of workers, newest first.", page_of("WorkerPage", WorkerSchema))},
)
def list_workers(query: Mapping[str, Any]) -> Response:
    """List the workers that are there."""
    made = installation()
    found = observe.workers(made.store, presence=made.settings.presence, **query)
    return page([_shown(row) for row in found.items], found.next)


@resource.operation("GET", "/workers/<uuid:worker_id>", READ, answers={200: Answer("The worker.", WorkerSchema)})
def show_worker(worker_id: UUID) -> Response:
    """Read a worker."""
    made = installation()
    return rendered(_shown(observe.worker(made.store, worker_id, presence=made.settings.presence)))
