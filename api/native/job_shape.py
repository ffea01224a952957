"""A job as the API shows it: the schema for the documentation, and the function that makes it from a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import marshmallow as ma

from api.answers import address
from api.times import iso
from shared.lifecycle import Flag, PauseMode, Situation, State, legal, situation, view


def _text(doc: str, **options: Any) -> ma.fields.String:
    return ma.fields.String(required=True, metadata={"description": doc}, **options)


def _number(doc: str, **options: Any) -> ma.fields.Float:
    return ma.fields.Float(required=True, metadata={"description": doc}, **options)


def _whole(doc: str) -> ma.fields.Integer:
    return ma.fields.Integer(required=True, metadata={"description": doc})


def _object(doc: str, **options: Any) -> ma.fields.Dict:
    return ma.fields.Dict(required=True, metadata={"description": doc}, **options)


def _instant(doc: str, **options: Any) -> ma.fields.String:
    return ma.fields.String(required=True, metadata={"description": doc, "format": "date-time"}, **options)


class FlagSchema(ma.Schema):
    """What was asked of the worker and not yet acknowledged."""

    kind = ma.fields.String(required=True, validate=ma.validate.OneOf([str(flag) for flag in Flag]))
    mode = ma.fields.String(
        required=True, allow_none=True, validate=ma.validate.OneOf([*(str(mode) for mode in PauseMode), None])
    )
    by = _text("who asked", allow_none=True)
    reason = _text("why, in their words", allow_none=True)
    at = _instant("when", allow_none=True)


class JobErrorSchema(ma.Schema):
    """Why a job failed."""

    name = ma.fields.String(metadata={"description": "stable name of the error"})
    title = ma.fields.String(allow_none=True)
    category = ma.fields.String(metadata={"description": "SYSTEM, DATA or ALGORITHM"})
    message = ma.fields.String(allow_none=True)
    details = ma.fields.Raw(allow_none=True)


class LinksSchema(ma.Schema):
    """Addresses of what belongs to the job, and the actions possible now."""

    self = ma.fields.String(required=True)
    status_records = ma.fields.String(required=True)
    executions = ma.fields.String(required=True)
    logs = ma.fields.String(required=True)
    files = ma.fields.String(required=True)
    events = ma.fields.String(required=True)
    why = ma.fields.String(required=True)
    actions = ma.fields.List(ma.fields.String(), required=True)


class JobSchema(ma.Schema):
    """A job: the request, and where it stands."""

    id = ma.fields.UUID(required=True)
    number = _whole("order of acceptance")
    type = _text("name of its job type")
    version = _text("version of its job type")
    revision = _text("hash of the declaration it was submitted under")
    title = _text("for people")
    labels = ma.fields.List(ma.fields.String(), required=True)
    owner = _text("name of the user whose job it is")
    state = ma.fields.String(required=True, validate=ma.validate.OneOf([str(state) for state in State]))
    view = _text("the state, or pausing or cancelling while the worker has yet to acknowledge it")
    flag = ma.fields.Nested(FlagSchema, required=True, allow_none=True)
    suspended = ma.fields.Boolean(required=True, metadata={"description": "paused with its process stopped in place"})
    queue = _text("which workers may take it")
    priority = _whole("lower is more urgent")
    args = _object("its input")
    inputs = _object("input name to file id, or to a list of file ids")
    extra = _object("free-form data of the client", allow_none=True)
    not_before = _instant("not run earlier", allow_none=True)
    timeout = _number("seconds that an attempt may run", allow_none=True)
    max_attempts = _whole("how many attempts may be burnt")
    backoff = _object("first, factor, max: seconds between attempts")
    pause_at = _text("stage at whose start it pauses itself", allow_none=True)
    expires_after = _number("seconds it is kept after its end", allow_none=True)
    attempt = _whole("how often it was claimed by a worker")
    burnt = _whole("attempts that failed or were lost since the last rerun")
    rerun = _whole("how often it was run again from a final state")
    stage = _text("step named by the job's code", allow_none=True)
    progress = _number("fraction of the whole job done, 0 to 1")
    done = _number("how many of total are done", allow_none=True)
    total = _number("how many there are", allow_none=True)
    message = _text("last word of the job's code")
    error = ma.fields.Nested(JobErrorSchema, required=True, allow_none=True)
    result = ma.fields.Raw(required=True, allow_none=True, metadata={"description": "what the job returned"})
    created_at = _instant("when it was accepted")
    updated_at = _instant("time of its last status record")
    started_at = _instant("first claim since the last rerun", allow_none=True)
    finished_at = _instant("when it became final", allow_none=True)
    expires_at = _instant("when it may be removed", allow_none=True)
    links = ma.fields.Nested(LinksSchema, required=True)


_AS_STORED = (
    "id", "number", "type", "revision", "title", "labels", "owner", "state", "queue", "priority", "args", "inputs",
    "extra", "timeout", "max_attempts", "backoff", "pause_at", "expires_after", "attempt", "burnt", "rerun", "stage",
    "progress", "done", "total", "message", "error", "result",
)  # fmt: skip
_INSTANTS = ("not_before", "created_at", "updated_at", "started_at", "finished_at", "expires_at")


def shown(row: Any) -> dict[str, Any]:
    """A job's row as the API shows it."""
    state, flag = State(row.state), Flag(row.flag) if row.flag else None
    where = situation(state, with_worker=row.holder is not None, held=row.held)
    return {
        **{name: getattr(row, name) for name in _AS_STORED},
        **{name: iso(getattr(row, name)) for name in _INSTANTS},
        "version": row.type_version,
        "view": view(state, flag),
        "flag": _flag(row) if flag else None,
        "suspended": where is Situation.SUSPENDED,
        "links": {**_links(row.id), "actions": [event.value for event in legal(where, flag)]},
    }


def _flag(row: Any) -> dict[str, Any]:
    return {
        "kind": row.flag,
        "mode": row.flag_mode if row.flag == Flag.PAUSE else None,
        "by": row.flag_by,
        "reason": row.flag_reason,
        "at": iso(row.flag_at),
    }


def _links(job_id: Any) -> Mapping[str, str]:
    own = address(f"/jobs/{job_id}")
    below = ("executions", "logs", "files", "events", "why")
    return {"self": own, "status_records": f"{own}/status-records", **{name: f"{own}/{name}" for name in below}}
