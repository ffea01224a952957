"""Failures on the way to the broker, which no broker produces on demand: they are made by the transport itself."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from longshore.client import (
    Client,
    ClientError,
    Conflict,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    ServerFault,
    Unavailable,
)
from longshore.client.retrying import retry_after

JOB = {"id": "0190a5f0-0000-7000-8000-000000000001", "number": 1, "type": "echo", "state": "queued"}
Step = Callable[[httpx.Request], httpx.Response]


class Road:
    """The way to a broker: each request meets the next step; the last step serves all that follow."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        return step(request)


def answers(status: int, document: object = None, **headers: str) -> Step:
    return lambda _request: httpx.Response(status, json=document, headers=headers)


def breaks(error: type[httpx.TransportError]) -> Step:
    def step(request: httpx.Request) -> httpx.Response:
        raise error("broken", request=request)

    return step


def client_over(road: Road, patience: float = 5.0) -> Client:
    return Client("http://broker", "token", patience=patience, http_transport=httpx.MockTransport(road))


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadError, httpx.ReadTimeout, httpx.RemoteProtocolError])
def test_a_submission_is_sent_again_under_the_same_key(error: type[httpx.TransportError]) -> None:
    road = Road(breaks(error), breaks(error), answers(201, JOB))
    with client_over(road) as client:
        assert client.submit("echo", {"k": 1}).number == 1
    keys = {request.headers["Idempotency-Key"] for request in road.requests}
    assert len(road.requests) == 3
    assert len(keys) == 1
    assert len({request.content for request in road.requests}) == 1


def test_two_submissions_have_two_keys() -> None:
    road = Road(answers(201, JOB))
    with client_over(road) as client:
        client.submit("echo")
        client.submit("echo")
    first, second = (request.headers["Idempotency-Key"] for request in road.requests)
    assert first != second


@pytest.mark.parametrize("status", [429, 503])
def test_an_overloaded_broker_is_asked_again_when_it_says(status: int) -> None:
    road = Road(answers(status, {"detail": "later"}, **{"Retry-After": "0"}), answers(200, JOB))
    with client_over(road) as client:
        assert client.get("1").number == 1
    assert len(road.requests) == 2


def test_patience_ends_at_once_when_the_broker_asks_for_more_of_it() -> None:
    road = Road(answers(503, {"detail": "the database is away"}, **{"Retry-After": "60"}))
    with client_over(road, patience=1) as client, pytest.raises(Unavailable, match="the database is away"):
        client.get("1")
    assert len(road.requests) == 1


def test_patience_is_bounded() -> None:
    road = Road(breaks(httpx.ConnectError))
    with client_over(road, patience=0.5) as client, pytest.raises(Unavailable, match="http://broker cannot be reached"):
        client.get("1")
    assert 2 <= len(road.requests) <= 6


def test_a_rerun_whose_answer_is_lost_is_not_repeated() -> None:
    road = Road(answers(200, JOB), breaks(httpx.ReadError))
    with client_over(road) as client, pytest.raises(Unavailable):
        client.get("1").rerun()
    assert len(road.requests) == 2


def test_a_rerun_that_was_never_sent_is_repeated() -> None:
    road = Road(answers(200, JOB), breaks(httpx.ConnectError), answers(200, JOB))
    with client_over(road) as client:
        assert client.get("1").rerun().state == "queued"


def test_a_cancel_whose_answer_is_lost_is_repeated() -> None:
    road = Road(answers(200, JOB), breaks(httpx.ReadError), answers(200, JOB | {"state": "cancelled"}))
    with client_over(road) as client:
        assert client.get("1").cancel("why").state == "cancelled"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, NotAuthenticated),
        (403, NotPermitted),
        (404, NotFound),
        (409, Conflict),
        (412, Conflict),
        (413, InvalidInput),
        (422, InvalidInput),
        (500, ServerFault),
        (418, ClientError),
    ],
)
def test_problems_become_errors(status: int, kind: type[ClientError]) -> None:
    problem = {"title": "A title", "detail": "what happened", "code": "some-code", "status": status}
    with client_over(Road(answers(status, problem))) as client, pytest.raises(kind, match="what happened") as caught:
        client.get("1")
    assert (caught.value.status, caught.value.problem_code, caught.value.title) == (status, "some-code", "A title")


def test_invalid_input_names_each_field() -> None:
    errors = [{"field": "args.k", "message": "is not a number", "expected": "a number"}]
    road = Road(answers(422, {"detail": "The request is not valid.", "errors": errors}))
    with client_over(road) as client, pytest.raises(InvalidInput) as caught:
        client.submit("echo", {"k": "x"})
    assert caught.value.fields == {"args.k": "is not a number"}
    assert "args.k: is not a number (expected: a number)" in str(caught.value)


def test_what_a_proxy_says_in_html_is_an_error_too() -> None:
    def page(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(502, html="<h1>Bad gateway</h1>")

    with client_over(Road(page), patience=0) as client, pytest.raises(Unavailable, match="502"):
        client.get("1")


def test_fields_that_are_not_known_here_are_kept() -> None:
    document = JOB | {"phase_of_the_moon": "full", "error": {"name": "x", "colour": "red"}}
    with client_over(Road(answers(200, document))) as client:
        job = client.get("1").job
    assert job.raw["phase_of_the_moon"] == "full"
    assert job.error is not None
    assert job.error.name == "x"


def test_a_list_is_read_page_by_page() -> None:
    pages = [{"items": [JOB, JOB], "next": "c1"}, {"items": [JOB], "next": None}]
    road = Road(*(answers(200, page) for page in pages))
    with client_over(road) as client:
        assert len(list(client.jobs(state=["queued", "running"]))) == 3
    assert road.requests[0].url.params.get_list("state") == ["queued", "running"]
    assert road.requests[1].url.params["cursor"] == "c1"


@pytest.mark.parametrize(
    ("header", "seconds"), [("3", 3.0), (None, None), ("soon", None), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0)]
)
def test_retry_after_holds_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header) == seconds
