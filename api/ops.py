"""Health: whether the process lives, whether it can serve, and how the whole installation is."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

import marshmallow as ma
from flask import Response

from api.answers import rendered
from api.auth import PUBLIC
from api.health import Check, checks, database
from api.installation import installation
from api.resource import Answer, Resource

resource = Resource("health", __name__, description="Whether it lives, serves and is well.")


class CheckSchema(ma.Schema):
    """What was found of one part."""

    name = ma.fields.String(required=True)
    fine = ma.fields.Boolean(required=True)
    detail = ma.fields.String(required=True)
    remedy = ma.fields.String(required=True, metadata={"description": "what to do about it"})
    vital = ma.fields.Boolean(required=True, metadata={"description": "whether nothing can be served without it"})


class HealthSchema(ma.Schema):
    """How it is."""

    status = ma.fields.String(required=True, validate=ma.validate.OneOf(["ok", "degraded", "unavailable"]))
    checks = ma.fields.List(ma.fields.Nested(CheckSchema), required=True)


_ANSWERS = {200: Answer("It serves.", HealthSchema), 503: Answer("It cannot serve.", HealthSchema)}


def _told(found: Sequence[Check]) -> Response:
    serving = all(check.fine for check in found if check.vital)
    well = all(check.fine for check in found)
    body = {
        "status": "ok" if well else "degraded" if serving else "unavailable",
        "checks": [check.shown() for check in found],
    }
    return rendered(body, HTTPStatus.OK if serving else HTTPStatus.SERVICE_UNAVAILABLE)


@resource.operation("GET", "/livez", PUBLIC, answers={200: _ANSWERS[200]})
def livez() -> Response:
    """Tell whether the process lives."""
    return _told([])


@resource.operation("GET", "/readyz", PUBLIC, answers=_ANSWERS)
def readyz() -> Response:
    """Tell whether requests can be served: the database is there, with the tables of this release."""
    return _told([database(installation())])


@resource.operation("GET", "/healthz", PUBLIC, answers=_ANSWERS)
def healthz() -> Response:
    """Tell how everything is, with the reason and the remedy for what is not well."""
    return _told(checks(installation()))
