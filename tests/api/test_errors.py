from __future__ import annotations

import io
from typing import Any

from flask import Flask, Response

from api.auth import PUBLIC, declare
from tests.api.people import Somebody


def _check(answer: Any, status: int, code: str) -> Any:
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json"), answer.text
    assert {"type", "title", "status", "detail", "code", "errors"} == set(answer.json)
    assert (answer.json["status"], answer.json["code"]) == (status, code)
    return answer.json


def test_what_is_not_there(alice: Somebody) -> None:
    _check(alice.get("/nothing"), 404, "not-found")
    _check(alice.get("/jobs/not-a-uuid"), 404, "not-found")
    _check(alice.get("/jobs/00000000-0000-0000-0000-000000000000"), 404, "not-found")


def test_a_method_not_allowed_names_those_that_are(alice: Somebody) -> None:
    answer = alice.call("PUT", "/jobs")
    _check(answer, 405, "method-not-allowed")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST"}


def test_a_body_that_is_not_json(alice: Somebody) -> None:
    for body in (b"{", b'{"a":1', b"\xff", b'{"type": NaN}', b"[" * 100_000, b'{"type": "\\ud800"}'):
        _check(alice.post("/jobs", data=body, content_type="application/json"), 400, "bad-request")


def test_a_body_of_another_media_type(alice: Somebody) -> None:
    _check(alice.post("/jobs", data=b"type=square", content_type="text/plain"), 415, "unsupported-media-type")


def test_a_body_that_nests_too_deep(alice: Somebody) -> None:
    body = b'{"type": "square", "extra": {"a": ' + b"[" * 40 + b"]" * 40 + b"}}"
    problem = _check(alice.post("/jobs", data=body, content_type="application/json"), 422, "invalid-input")
    assert problem["errors"][0]["message"] == "is nested too deep"


def test_a_number_that_would_be_rounded_is_refused(alice: Somebody) -> None:
    def send(number: str) -> Any:
        body = f'{{"type": "square", "args": {{"k": 1}}, "extra": {{"seed": {number}, "text": "{number}"}}}}'
        return alice.post("/jobs", data=body.encode(), content_type="application/json")

    for number in ("9223372036854775807", "-9223372036854775807"):
        assert send(number).json["extra"]["seed"] == int(number)
    for number in ("9223372036854775808", "18446744073709551617", "-9223372036854775808"):
        assert "whole number" in _check(send(number), 422, "invalid-input")["errors"][0]["message"]


def test_a_body_that_is_too_large(alice: Somebody) -> None:
    body = b'{"type": "square", "title": "' + b"x" * (1024 * 1024) + b'"}'
    problem = _check(alice.post("/jobs", data=body, content_type="application/json"), 413, "too-large")
    assert "1048576 bytes" in problem["detail"]


def test_a_body_in_chunks_that_is_too_large(alice: Somebody) -> None:
    stream = io.BytesIO(b'{"type": "square", "title": "' + b"x" * (1024 * 1024) + b'"}')
    options = {"input_stream": stream, "content_type": "application/json"}
    answer = alice.post("/jobs", **options, environ_overrides={"wsgi.input_terminated": True})
    _check(answer, 413, "too-large")


def test_what_was_expected_is_told(alice: Somebody) -> None:
    def told(body: Any) -> Any:
        return _check(alice.post("/jobs", json=body), 422, "invalid-input")["errors"]

    file_ids = "the id of an uploaded file, or a list of such ids"
    assert told({"type": "square", "inputs": {"genome": "x"}}) == [
        {"field": "inputs.genome", "message": "Not a valid UUID.", "expected": file_ids}
    ]
    (unknown,) = told({"type": "square", "priorty": 1})
    assert unknown["field"] == "priorty"
    assert "priority" in unknown["expected"]
    (no_object,) = told([1])
    assert (no_object["field"], no_object["expected"]) == ("", "a JSON object")
    (in_batch,) = _check(alice.post("/jobs/batch", json={"jobs": [3]}), 422, "invalid-input")["errors"]
    assert (in_batch["field"], in_batch["expected"]) == ("jobs.0", "a JSON object")


def test_a_body_that_is_no_object(alice: Somebody) -> None:
    for body in (b"[]", b"null", b'"x"', b"3"):
        _check(alice.post("/jobs", data=body, content_type="application/json"), 422, "invalid-input")


def test_no_credential_is_challenged(app: Flask) -> None:
    answer = Somebody(app, None).get("/jobs")
    _check(answer, 401, "not-authenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_fault_of_ours_tells_nothing_but_that(app: Flask, alice: Somebody) -> None:
    def broken() -> Response:
        raise RuntimeError("secret detail")

    app.view_functions["users.show_me"] = declare(broken, PUBLIC)
    answer = alice.get("/me")
    _check(answer, 500, "internal-error")
    assert "secret" not in answer.text


def test_every_answer_keeps_browsers_safe(alice: Somebody, app: Flask) -> None:
    for answer in (alice.get("/jobs"), alice.get("/nothing"), Somebody(app, None).get("/livez", root=True)):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert "Access-Control-Allow-Origin" not in answer.headers
