"""A status record as the API shows it, in lists, feeds and streams alike."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from api.native.job_shape import JobErrorSchema
from api.times import iso
from shared.lifecycle import Flag, State


def _text(doc: str, *, null: bool = False, **options: Any) -> ma.fields.String:
    return ma.fields.String(required=True, allow_none=null, metadata={"description": doc, **options})


class RecordSchema(ma.Schema):
    """One entry of a job's history."""

    id = ma.fields.Integer(required=True, metadata={"description": "unique among all records"})
    job = ma.fields.UUID(required=True)
    seq = ma.fields.Integer(required=True, metadata={"description": "1, 2, 3 .. within its job"})
    event = _text("what happened: a lifecycle event, report, edit or remove")
    state = ma.fields.String(required=True, validate=ma.validate.OneOf([str(state) for state in State]))
    flag = ma.fields.String(
        required=True, allow_none=True, validate=ma.validate.OneOf([*(str(flag) for flag in Flag), None])
    )
    attempt = ma.fields.Integer(required=True)
    rerun = ma.fields.Integer(required=True)
    stage = _text("step named by the job's code", null=True)
    progress = ma.fields.Float(required=True, metadata={"description": "fraction of the whole job done, 0 to 1"})
    done = ma.fields.Float(required=True, allow_none=True)
    total = ma.fields.Float(required=True, allow_none=True)
    message = _text("word of the job's code for people")
    error = ma.fields.Nested(JobErrorSchema, required=True, allow_none=True)
    by = _text("who caused it", null=True)
    reason = _text("why, in their words", null=True)
    at = _text("when", format="date-time")


_AS_STORED = (
    "id", "seq", "event", "state", "flag", "attempt", "rerun", "stage", "progress", "done", "total", "message",
    "error", "by", "reason",
)  # fmt: skip


def shown(row: Any) -> dict[str, Any]:
    """A status record's row as the API shows it."""
    return {**{name: getattr(row, name) for name in _AS_STORED}, "job": row.job_id, "at": iso(row.at)}
