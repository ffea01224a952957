"""Queues: what waits, what runs, who serves them, and whether they are paused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import marshmallow as ma
from flask import Response

from api.answers import nothing, rendered
from api.auth import Access, current_principal
from api.installation import installation
from api.native.actions import ActionBody
from api.resource import Answer, Body, Resource
from api.times import iso
from shared import catalog, observe
from shared.principal import Scope

resource = Resource("queues", __name__, url_prefix="/api/v1", description="What waits, and who serves it.")

STEER = Access(Scope.WORKERS)


class QueueSchema(ma.Schema):
    """A queue."""

    name = ma.fields.String(required=True)
    paused = ma.fields.Boolean(required=True)
    pause_reason = ma.fields.String(required=True, allow_none=True)
    queued = ma.fields.Integer(required=True, metadata={"description": "jobs that wait in it, for whatever reason"})
    due = ma.fields.Integer(required=True, metadata={"description": "jobs that could start now"})
    running = ma.fields.Integer(required=True)
    oldest_at = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"format": "date-time", "description": "since when the oldest job that could start now has waited"},
    )
    workers = ma.fields.Integer(required=True, metadata={"description": "workers that serve it"})
    slots = ma.fields.Integer(required=True, metadata={"description": "how many jobs those run at once"})


class QueuesSchema(ma.Schema):
    """All queues by name."""

    items = ma.fields.List(ma.fields.Nested(QueueSchema), required=True)


@resource.operation("GET", "/queues", Access(Scope.READ), answers={200: Answer("All queues.", QueuesSchema)})
def list_queues() -> Response:
    """List queues."""
    made = installation()
    found = observe.queues(made.store, presence=made.settings.presence)
    return rendered({"items": [{**asdict(queue), "oldest_at": iso(queue.oldest_at)} for queue in found]})


@resource.operation(
    "POST",
    "/queues/<name>/pause",
    STEER,
    body=Body(ActionBody, required=False),
    answers={204: Answer("Its jobs are accepted but not started.")},
)
def pause_queue(body: Mapping[str, Any], name: str) -> Response:
    """Start no more jobs of a queue."""
    catalog.pause_queue(installation().store, current_principal(), name, body["reason"])
    return nothing()


@resource.operation(
    "POST",
    "/queues/<name>/resume",
    STEER,
    body=Body(ActionBody, required=False),
    answers={204: Answer("Its jobs are started again.")},
)
def resume_queue(body: Mapping[str, Any], name: str) -> Response:
    """Start the jobs of a queue again."""
    catalog.resume_queue(installation().store, current_principal(), name, body["reason"])
    return nothing()
