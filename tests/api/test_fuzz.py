"""Thousands of requests made from the OpenAPI document, right and wrong ones: never a fault, never a surprise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import hypothesis
import pytest
import schemathesis
from flask import Flask
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api.people import World

SEED = 20260102
EXAMPLES = 42
"""for each of some fifty operations"""

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
STREAMS = r"/events$"


@pytest.mark.fuzz
@pytest.mark.timeout(600)
def test_no_request_is_answered_with_a_fault_or_a_surprise(app: Flask, world: World) -> None:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app).exclude(path_regex=STREAMS)
    places = _places(world)
    count, failures = 0, []
    for result in schema.get_all_operations():
        operation = cast("Any", result).ok()
        try:
            count += _probe(operation, world, places)
        except FailureGroup as failure:
            failures.append(f"{operation.label}: {failure.exceptions}")
    assert not failures, "\n\n".join(failures)
    assert count >= 2000, count


def _places(world: World) -> Mapping[str, Any]:
    """Things that are there, so that requests get past the door."""
    alice = world.user("alice")
    running, _, _ = world.execution(alice)
    token = alice.post("/tokens", {}).json["id"]
    file_id = alice.post("/files?name=table.csv", data=b"a,b\n").json["id"]
    return {
        "job_id": [running, *(alice.submit()["id"] for _ in range(5))],
        "token_id": [token],
        "file_id": [file_id],
        "name": ["square", "count", "alice", "default"],
        "version": ["1"],
    }


def _probe(operation: Any, world: World, places: Mapping[str, Any]) -> int:
    """Sends what hypothesis makes up for one operation; returns how many requests that were."""
    known = {
        name: st.sampled_from(places[name])
        for name in (parameter.name for parameter in operation.path_parameters)
        if name in places
    }
    seen = 0

    @hypothesis.seed(SEED)
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=st.one_of(*_strategies(operation)), found=st.fixed_dictionaries(known))
    def send(case: Any, found: Mapping[str, Any]) -> None:
        nonlocal seen
        seen += 1
        if known:
            case.path_parameters = {**(case.path_parameters or {}), **found} if seen % 4 else case.path_parameters
        for endless in ("follow", "wait"):
            (case.query or {}).pop(endless, None)
        case.call_and_validate(checks=CHECKS, headers={"Authorization": f"Bearer {world.admin.token}"})

    send()
    return seen


def _strategies(operation: Any) -> Iterator[Any]:
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        yield operation.as_strategy(generation_mode=mode)
