"""The audit trail: who did what to what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import marshmallow as ma
from flask import Response

from api.answers import page
from api.auth import ADMIN, current_principal
from api.fields import Text
from api.installation import installation
from api.paging import PageQuery, page_of
from api.resource import Answer, Resource
from api.times import iso
from shared import access

resource = Resource("audit", __name__, url_prefix="/api/v1", description="Who did what to what, and why.")


class AuditSchema(ma.Schema):
    """One deed."""

    id = ma.fields.Integer(required=True)
    at = ma.fields.String(required=True, metadata={"format": "date-time"})
    by = ma.fields.String(required=True)
    action = ma.fields.String(required=True)
    target = ma.fields.String(required=True)
    reason = ma.fields.String(required=True, allow_none=True)
    detail = ma.fields.Dict(required=True, allow_none=True)


class AuditQuery(PageQuery):
    """Which deeds."""

    by = Text(200, "Only what this user did.")
    action = Text(50, "Only this action, for example job.cancel.")
    target = Text(300, "Only what was done to this, for example job/<id>.")


@resource.operation(
    "GET",
    "/audit",
    ADMIN,
    query=AuditQuery,
    answers={200: Answer("A page of deeds, newest first.", page_of("AuditPage", AuditSchema))},
)
def list_audit(query: Mapping[str, Any]) -> Response:
    """List what was done, newest first."""
    filters = {name: query[name] for name in ("by", "action", "target") if name in query}
    found = access.list_audit(
        installation().store, current_principal(), filters, limit=query["limit"], cursor=query["cursor"]
    )
    return page([_shown(row) for row in found.items], found.next)


def _shown(row: Any) -> dict[str, Any]:
    names = ("id", "by", "action", "target", "reason", "detail")
    return {**{name: getattr(row, name) for name in names}, "at": iso(row.at)}
