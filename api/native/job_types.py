"""Job types: what can be submitted, the revisions of its declaration, and the commands that administrators define."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import marshmallow as ma
from flask import Response

from api.answers import created, nothing, page, rendered
from api.auth import ADMIN, Access, current_principal
from api.fields import Document, Text, Truth
from api.installation import installation
from api.native.actions import ActionBody
from api.paging import PageQuery, page_of
from api.resource import Answer, Body, Resource
from api.times import iso
from shared import catalog
from shared.errors import InvalidInput
from shared.principal import Scope

resource = Resource("job-types", __name__, url_prefix="/api/v1", description="Kinds of work, with their versions.")

READ = Access(Scope.READ)
STEER = Access(Scope.WORKERS)
_ONE = "/job-types/<name>/<version>"


class JobTypeSchema(ma.Schema):
    """A job type and its present declaration."""

    name = ma.fields.String(required=True)
    version = ma.fields.String(required=True)
    kind = ma.fields.String(required=True, validate=ma.validate.OneOf(["python", "command"]))
    title = ma.fields.String(required=True)
    description = ma.fields.String(required=True)
    revision = ma.fields.String(required=True, metadata={"description": "hash of the declaration of new jobs"})
    active = ma.fields.Boolean(required=True, metadata={"description": "whether new jobs are accepted"})
    paused = ma.fields.Boolean(required=True, metadata={"description": "whether its jobs wait to be started"})
    pause_reason = ma.fields.String(required=True, allow_none=True)
    declaration = ma.fields.Dict(required=True)
    created_at = ma.fields.String(required=True, metadata={"format": "date-time"})
    updated_at = ma.fields.String(required=True, metadata={"format": "date-time"})


class RevisionSchema(ma.Schema):
    """One declaration of a job type."""

    hash = ma.fields.String(required=True)
    declaration = ma.fields.Dict(required=True)
    created_at = ma.fields.String(required=True, metadata={"format": "date-time"})
    created_by = ma.fields.String(required=True, allow_none=True)


class DeclarationBody(ma.Schema):
    """The declaration of a command job type; its fields are checked and explained by the catalogue."""

    class Meta:
        unknown = ma.INCLUDE

    name = Text(100, "Its name.", shortest=1, required=True)
    version = Text(32, "Its version.", shortest=1)
    command = Document("argv, environment, exit_codes, limits", required=True)


class RevisionBody(ma.Schema):
    """Fields of the declaration that change; `active` says whether new jobs are accepted."""

    class Meta:
        unknown = ma.INCLUDE

    active = Truth("Whether new jobs are accepted.")


def _shown(row: Any) -> dict[str, Any]:
    return {
        "name": row.name,
        "version": row.version,
        "kind": row.kind,
        "title": row.declaration["title"],
        "description": row.declaration["description"],
        "revision": row.revision,
        "active": row.is_active,
        "paused": row.paused,
        "pause_reason": row.pause_reason,
        "declaration": row.declaration,
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    }


@resource.operation(
    "GET",
    "/job-types",
    READ,
    query=PageQuery,
    answers={200: Answer("A page of job types.", page_of("JobTypePage", JobTypeSchema))},
)
def list_job_types(query: Mapping[str, Any]) -> Response:
    """List job types by name and version."""
    found = catalog.list_types(installation().store, **query)
    return page([_shown(row) for row in found.items], found.next)


@resource.operation(
    "POST",
    "/job-types",
    ADMIN,
    body=Body(DeclarationBody),
    answers={201: Answer("The job type.", JobTypeSchema)},
    refuses=(409,),
)
def define_job_type(body: Mapping[str, Any]) -> Response:
    """Define a command job type."""
    row = catalog.define(installation().store, current_principal(), body)
    return created(_shown(row), f"/job-types/{row.name}/{row.version}")


@resource.operation("GET", _ONE, READ, answers={200: Answer("The job type.", JobTypeSchema)})
def show_job_type(name: str, version: str) -> Response:
    """Read a job type."""
    return rendered(_shown(catalog.find(installation().store, name, version)))


@resource.operation(
    "PATCH",
    _ONE,
    ADMIN,
    body=Body(RevisionBody),
    answers={200: Answer("The job type, with a new revision.", JobTypeSchema)},
    refuses=(409,),
)
def revise_job_type(body: Mapping[str, Any], name: str, version: str) -> Response:
    """Change the declaration of a command job type, or retire and activate any job type."""
    store, principal, changes = installation().store, current_principal(), dict(body)
    active = changes.pop("active", None)
    if active is not None and changes:
        raise InvalidInput("Change `active` in a request of its own.")
    if active is not None:
        return rendered(_shown(catalog.retire(store, principal, name, version, active=active)))
    return rendered(_shown(catalog.revise(store, principal, name, version, changes)))


@resource.operation("DELETE", _ONE, ADMIN, answers={204: Answer("It is gone.")}, refuses=(409,))
def remove_job_type(name: str, version: str) -> Response:
    """Remove a job type that has no jobs."""
    catalog.remove(installation().store, current_principal(), name, version)
    return nothing()


@resource.operation(
    "GET",
    f"{_ONE}/revisions",
    READ,
    query=PageQuery,
    answers={200: Answer("A page of revisions, newest first.", page_of("RevisionPage", RevisionSchema))},
)
def list_revisions(query: Mapping[str, Any], name: str, version: str) -> Response:
    """List the revisions of a job type."""
    found = catalog.revisions(installation().store, name, version, **query)
    items = [
        {
            "hash": row.hash,
            "declaration": row.declaration,
            "created_at": iso(row.created_at),
            "created_by": row.created_by,
        }
        for row in found.items
    ]
    return page(items, found.next)


@resource.operation(
    "POST",
    f"{_ONE}/pause",
    STEER,
    body=Body(ActionBody, required=False),
    answers={200: Answer("Its jobs are accepted but not started.", JobTypeSchema)},
)
def pause_job_type(body: Mapping[str, Any], name: str, version: str) -> Response:
    """Start no more jobs of a type."""
    row = catalog.pause_type(installation().store, current_principal(), name, version, body["reason"])
    return rendered(_shown(row))


@resource.operation(
    "POST",
    f"{_ONE}/resume",
    STEER,
    body=Body(ActionBody, required=False),
    answers={200: Answer("Its jobs are started again.", JobTypeSchema)},
)
def resume_job_type(body: Mapping[str, Any], name: str, version: str) -> Response:
    """Start the jobs of a type again."""
    row = catalog.resume_type(installation().store, current_principal(), name, version, body["reason"])
    return rendered(_shown(row))
