"""Actions on jobs: submit a draft, pause, resume, cancel, rerun; on one job, or on all that match a filter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import marshmallow as ma
from flask import Response

from api.answers import rendered, tagged
from api.auth import Access, current_principal
from api.fields import Text, Truth, Word
from api.installation import installation
from api.native.job_filter import FilterBody, conditions
from api.native.job_shape import JobSchema, shown
from api.parsing import Strict
from api.resource import Answer, Body, Resource
from shared import control
from shared.errors import NotPermitted
from shared.lifecycle import ASKABLE, Event, PauseMode
from shared.principal import Scope

resource = Resource("actions", __name__, url_prefix="/api/v1", description="What may be asked of jobs.")

NEEDED: Mapping[Event, Scope] = {
    Event.SUBMIT: Scope.SUBMIT,
    Event.PAUSE: Scope.SUBMIT,
    Event.RESUME: Scope.SUBMIT,
    Event.CANCEL: Scope.CANCEL,
    Event.RERUN: Scope.SUBMIT,
}
"""Which scope each action needs."""

_DOCS: Mapping[Event, str] = {
    Event.SUBMIT: "Submit a draft.",
    Event.PAUSE: "Pause a job.",
    Event.RESUME: "Resume a paused job, or withdraw a pause not yet in effect.",
    Event.CANCEL: "Cancel a job.",
    Event.RERUN: "Run a failed or cancelled job again.",
}


class ActionBody(Strict):
    """Why an action is asked for."""

    reason = Text(2000, "Why, in your words; kept in the history.", load_default=None, allow_none=True)


class PauseBody(ActionBody):
    """Why and how a job is paused."""

    mode = Word(
        PauseMode,
        "park: save, end the process, free the slot; suspend: stop the process in place. Default: the job type's.",
        load_default=None,
        allow_none=True,
    )


class BulkBody(ActionBody):
    """An action on all jobs that match a filter."""

    action = Word(ASKABLE, "What is asked.", required=True)
    filter = ma.fields.Nested(FilterBody, required=True)
    dry_run = Truth("Only count the jobs that match.", load_default=False)


class CountsSchema(ma.Schema):
    """What a bulk action did."""

    matched = ma.fields.Integer(required=True)
    changed = ma.fields.Integer(required=True, metadata={"description": "in effect at once"})
    flagged = ma.fields.Integer(required=True, metadata={"description": "their workers have yet to acknowledge it"})
    refused = ma.fields.Integer(required=True, metadata={"description": "not possible, or needless"})


def _route(event: Event, schema: type[ActionBody]) -> None:
    answers = {
        200: Answer("In effect, or it held already.", JobSchema),
        202: Answer("Recorded; the job's worker will acknowledge it.", JobSchema),
    }

    def view(body: Mapping[str, Any], job_id: UUID) -> Response:
        mode = PauseMode(body["mode"]) if body.get("mode") else None
        answer = control.act(installation().store, current_principal(), event, job_id, reason=body["reason"], mode=mode)
        return tagged(shown(answer.job), answer.job.version, 200 if answer.in_effect else 202)

    view.__name__ = f"{event.value}_job" if event is not Event.SUBMIT else "submit_draft"
    view.__doc__ = _DOCS[event]
    rule, access = f"/jobs/<uuid:job_id>/{event.value}", Access(NEEDED[event])
    body = Body(schema, required=False)
    resource.operation("POST", rule, access, body=body, answers=answers, refuses=(409,))(view)


for _event in ASKABLE:
    _route(_event, PauseBody if _event is Event.PAUSE else ActionBody)


@resource.operation(
    "POST",
    "/jobs/actions",
    Access(Scope.READ),
    body=Body(BulkBody),
    answers={200: Answer("What became of the jobs that match.", CountsSchema)},
    doc={"description": "Needs the scope of the action as well."},
)
def act_on_all(body: Mapping[str, Any]) -> Response:
    """Ask something of all jobs that match a filter."""
    event, principal = Event(body["action"]), current_principal()
    if not principal.may(NEEDED[event]):
        raise NotPermitted(f"This needs a credential with the scope {NEEDED[event]}.")
    counts = control.act_on_all(
        installation().store,
        principal,
        event,
        conditions(body["filter"]),
        reason=body["reason"],
        dry_run=body["dry_run"],
    )
    return rendered(
        {
            "matched": counts.matched,
            "changed": counts.changed,
            "flagged": counts.flagged,
            "refused": counts.refused,
        }
    )
