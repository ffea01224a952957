"""Status records: the history of a job, and the reports that its execution pushes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Response

from api.answers import page, rendered
from api.auth import Access, current_principal
from api.fields import Number, QueryWhole, Text, Whole
from api.installation import installation
from api.native.record_shape import RecordSchema, shown
from api.paging import DEFAULT_LIMIT, MAX_LIMIT, page_of
from api.parsing import Strict
from api.resource import Answer, Body, Resource
from shared import observe, report
from shared.errors import FieldProblem, InvalidInput, NotPermitted
from shared.principal import Scope

resource = Resource("status-records", __name__, url_prefix="/api/v1", description="What happened to a job.")

_RULE = "/jobs/<uuid:job_id>/status-records"
_MOST = 2**53


class HistoryQuery(Strict):
    """Which part of a history is wanted."""

    after = QueryWhole(0, 2**31 - 1, "Only records with a higher `seq`.", load_default=0)
    limit = QueryWhole(1, MAX_LIMIT, "How many at most.", load_default=DEFAULT_LIMIT)


class ReportBody(Strict):
    """What an execution says of itself; what it does not name stays as it was."""

    stage = Text(200, "The step that begins now.", shortest=1)
    progress = Number(0, 1, "Fraction of the whole job that is done.")
    done = Number(0, _MOST, "How many are done, in your own unit.")
    total = Number(0, _MOST, "How many there are.")
    message = Text(2000, "A word for people.")
    sequence = Whole(0, 2**31 - 1, "Number of the report in its execution, for your own use.")


@resource.operation(
    "GET",
    _RULE,
    Access(Scope.READ, executions=True),
    query=HistoryQuery,
    answers={
        200: Answer("Records, oldest first; `next` is the `after` to go on with.", page_of("History", RecordSchema))
    },
)
def list_records(query: Mapping[str, Any], job_id: UUID) -> Response:
    """Read the history of a job."""
    found = observe.records(installation().store, current_principal(), job_id, query["after"], query["limit"])
    return page([shown(row) for row in found], None)


@resource.operation(
    "POST",
    _RULE,
    Access(Scope.ADMIN, executions=True),
    body=Body(ReportBody),
    answers={201: Answer("The record written, or the last one if this repeats it.", RecordSchema)},
    refuses=(409,),
    doc={"description": "Only the token of the job's present execution will do."},
)
def push_record(body: Mapping[str, Any], job_id: UUID) -> Response:
    """Report stage and progress from a running execution."""
    principal = current_principal()
    if principal.execution is None:
        raise NotPermitted("Only an execution reports on its job; its token is in LONGSHORE_JOB_TOKEN.")
    observe.get(installation().store, principal, job_id)
    values = {name: value for name, value in body.items() if name != "sequence"}
    if not values:
        raise InvalidInput(problems=[FieldProblem("", "says nothing", "stage, progress, done, total or message")])
    row = report.push_once(installation().store, *principal.execution, report.Report(**values), principal.name)
    return rendered(shown(row), 201)
