"""Every route, asked by everybody. A route that is not in the table fails the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from shared import access, catalog
from shared.execute import Claimed, Stopped, finish
from tests.api.people import COUNT, Somebody, World

OK = "ok"
WHO = ("nobody", "other", "owner", "execution", "admin")

PUBLIC = (OK, OK, OK, OK, OK)
ANYBODY_KNOWN = (401, OK, OK, 403, OK)
OWN = (401, 404, OK, 403, OK)
"""somebody else's is not there"""
OWN_OR_EXECUTION = (401, 404, OK, OK, OK)
ANY_CREDENTIAL = (401, OK, OK, OK, OK)
ADMIN = (401, 403, 403, 403, OK)
REPORT = (401, 403, 403, OK, 403)
"""only the execution itself reports"""
ONESELF = (401, 404, OK, 403, OK)

TABLE: Mapping[str, tuple[Any, ...]] = {
    "GET /livez": PUBLIC,
    "GET /readyz": PUBLIC,
    "GET /healthz": PUBLIC,
    "GET /openapi.json": PUBLIC,
    "GET /": PUBLIC,
    "GET /docs": PUBLIC,
    "GET /docs/<name>": PUBLIC,
    "GET /jobs": ANYBODY_KNOWN,
    "POST /jobs": ANYBODY_KNOWN,
    "POST /jobs/batch": ANYBODY_KNOWN,
    "POST /jobs/actions": ANYBODY_KNOWN,
    "GET /jobs/counts": ANYBODY_KNOWN,
    "GET /jobs/<uuid:job_id>": OWN_OR_EXECUTION,
    "PATCH /jobs/<uuid:job_id>": OWN,
    "DELETE /jobs/<uuid:job_id>": OWN,
    "GET /jobs/<uuid:job_id>/why": OWN,
    "POST /jobs/<uuid:job_id>/submit": OWN,
    "POST /jobs/<uuid:job_id>/pause": OWN,
    "POST /jobs/<uuid:job_id>/resume": OWN,
    "POST /jobs/<uuid:job_id>/cancel": OWN,
    "POST /jobs/<uuid:job_id>/rerun": OWN,
    "GET /jobs/<uuid:job_id>/status-records": OWN_OR_EXECUTION,
    "POST /jobs/<uuid:job_id>/status-records": REPORT,
    "GET /jobs/<uuid:job_id>/executions": OWN_OR_EXECUTION,
    "GET /jobs/<uuid:job_id>/logs": OWN_OR_EXECUTION,
    "GET /jobs/<uuid:job_id>/files": OWN_OR_EXECUTION,
    "GET /jobs/<uuid:job_id>/events": OWN_OR_EXECUTION,
    "GET /events": ANYBODY_KNOWN,
    "GET /updates": ANYBODY_KNOWN,
    "GET /files": ANYBODY_KNOWN,
    "POST /files": ANYBODY_KNOWN,
    "GET /files/<uuid:file_id>": OWN,
    "DELETE /files/<uuid:file_id>": OWN,
    "GET /files/<uuid:file_id>/content": OWN,
    "GET /job-types": ANYBODY_KNOWN,
    "POST /job-types": ADMIN,
    "GET /job-types/<name>/<version>": ANYBODY_KNOWN,
    "PATCH /job-types/<name>/<version>": ADMIN,
    "DELETE /job-types/<name>/<version>": ADMIN,
    "GET /job-types/<name>/<version>/revisions": ANYBODY_KNOWN,
    "POST /job-types/<name>/<version>/pause": ADMIN,
    "POST /job-types/<name>/<version>/resume": ADMIN,
    "GET /queues": ANYBODY_KNOWN,
    "POST /queues/<name>/pause": ADMIN,
    "POST /queues/<name>/resume": ADMIN,
    "GET /workers": ANYBODY_KNOWN,
    "GET /workers/<uuid:worker_id>": ANYBODY_KNOWN,
    "GET /tokens": ANYBODY_KNOWN,
    "POST /tokens": ANYBODY_KNOWN,
    "DELETE /tokens/<uuid:token_id>": OWN,
    "GET /me": ANY_CREDENTIAL,
    "GET /users": ADMIN,
    "POST /users": ADMIN,
    "GET /users/<name>": ONESELF,
    "PUT /users/<name>/password": ONESELF,
    "POST /users/<name>/disable": ADMIN,
    "POST /users/<name>/enable": ADMIN,
    "GET /audit": ADMIN,
}

BODIES: Mapping[str, Any] = {
    "POST /jobs": {"type": "square", "args": {"k": 1}},
    "POST /jobs/batch": {"jobs": [{"type": "square", "args": {"k": 1}}]},
    "POST /jobs/actions": {"action": "cancel", "filter": {"q": "nothing"}},
    "PATCH /jobs/<uuid:job_id>": {"title": "t"},
    "POST /jobs/<uuid:job_id>/status-records": {"message": "here"},
    "PATCH /job-types/<name>/<version>": {"title": "t"},
    "PUT /users/<name>/password": {"password": "long enough"},
}


@dataclass
class Scene:
    """What a route could be about, all alice's; made anew for each request that may change it."""

    world: World
    people: Mapping[str, Somebody]
    counter: int = 0

    def job(self) -> tuple[str, Somebody]:
        """A job that runs, and its execution."""
        job_id, execution, _ = self.world.execution(self.people["owner"])
        return job_id, execution

    def token(self) -> str:
        admin = self.world.principal(self.world.admin)
        return str(access.create_token(self.world.store, admin, user="alice")[0].id)

    def file(self) -> str:
        answer = self.people["owner"].post("/files?name=table.csv", data=b"a,b\n", content_type="text/csv")
        return str(answer.json["id"])

    def name(self, rule: str) -> str:
        """The name of what `rule` is about: a file, a user, a queue, or a job type of which there are no jobs."""
        if rule.startswith("/users"):
            return "carol" if rule.endswith("able") else "alice"
        if not rule.startswith("/job-types"):
            return "rapidoc-min.js" if rule.startswith("/docs") else "spare"
        self.counter += 1
        catalog.define(self.world.store, self.world.principal(self.world.admin), {**COUNT, "name": f"t{self.counter}"})
        return f"t{self.counter}"

    def address(self, rule: str, job_id: str) -> str:
        """The rule with its places filled in."""
        makers: Mapping[str, Callable[[], str]] = {
            "<uuid:job_id>": lambda: job_id,
            "<uuid:token_id>": self.token,
            "<uuid:file_id>": self.file,
            "<uuid:worker_id>": lambda: str(UUID(int=1)),
            "<version>": lambda: "1",
            "<name>": lambda: self.name(rule),
        }
        for place, make in makers.items():
            if place in rule:
                rule = rule.replace(place, make())
        return rule


@pytest.fixture
def scene(world: World) -> Scene:
    world.user("carol")
    return Scene(world, {"owner": world.user("alice"), "other": world.user("bob"), "admin": world.admin})


def _routes(app: Flask) -> Iterator[str]:
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            yield f"{method} {rule.rule.removeprefix('/api/v1')}"


def test_every_route_is_in_the_table(app: Flask) -> None:
    assert set(_routes(app)) == set(TABLE)


@pytest.mark.parametrize("who", WHO)
def test_every_route_answers_whom_it_should(scene: Scene, who: str) -> None:
    job = scene.job()
    wrong: list[str] = []
    for route in TABLE:
        if "job_id" in route and not route.startswith("GET"):
            job = scene.job()
        wrong += _mistakes(scene, route, who, job)
    assert not wrong, "\n".join(wrong)


def _mistakes(scene: Scene, route: str, who: str, job: tuple[str, Somebody]) -> Iterator[str]:
    somebody = {**scene.people, "execution": job[1], "nobody": scene.world.nobody}[who]
    method, rule = route.split(" ", 1)
    prefix = "" if TABLE[route] is PUBLIC else "/api/v1"
    body = {"json": BODIES[route]} if route in BODIES else {}
    answer = somebody.call(method, prefix + scene.address(rule, job[0]), root=True, **body)
    status, expected = answer.status_code, TABLE[route][WHO.index(who)]
    answer.close()
    fine = status == expected or (expected == OK and status not in {401, 403, 500} and not _hidden(status, route))
    if not fine:
        yield f"{route} by {who}: {status}, expected {expected}"


def _hidden(status: int, route: str) -> bool:
    return status == 404 and "worker_id" not in route


def _end(world: World, claimed: Claimed) -> None:
    """So that no job runs on and on; a job that was removed or cancelled meanwhile has nothing to end."""
    world.admin.post(f"/jobs/{claimed.lease.job_id}/cancel")
    finish(world.store, claimed.lease, Stopped(), by="worker-1")


def test_an_execution_sees_no_other_job(world: World, alice: Somebody) -> None:
    other = alice.submit()["id"]
    _, execution, _ = world.execution(alice)
    for path in ("", "/status-records", "/executions", "/logs", "/files", "/events"):
        assert execution.get(f"/jobs/{other}{path}").status_code == 404, path
    assert execution.post(f"/jobs/{other}/status-records", {"message": "x"}).status_code == 404


def test_an_execution_is_nobody_once_it_has_ended(world: World, alice: Somebody) -> None:
    job, execution, claimed = world.execution(alice)
    assert execution.get(f"/jobs/{job}").status_code == 200
    _end(world, claimed)
    assert execution.get(f"/jobs/{job}").status_code == 401


CREDENTIALS: Mapping[str, Callable[[str], Mapping[str, str]]] = {
    "bearer": lambda token: {"Authorization": f"Bearer {token}"},
    "header": lambda token: {"X-Auth-Token": token},
    "header with name": lambda token: {"X-Auth-Token": token, "X-User-Id": "alice"},
}


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_each_form_of_credential_is_accepted(world: World, alice: Somebody, kind: str) -> None:
    answer = world.nobody.get("/me", headers=CREDENTIALS[kind](str(alice.token)))
    assert (answer.status_code, answer.json["name"]) == (200, "alice")


def test_basic_takes_a_password_or_a_token(world: World, alice: Somebody) -> None:
    assert alice.call("PUT", "/users/alice/password", json={"password": "correct horse"}).status_code == 204
    for secret in ("correct horse", str(alice.token)):
        assert world.nobody.get("/me", auth=("alice", secret)).status_code == 200
    for name, secret in (("alice", "wrong horse"), ("bob", str(alice.token)), ("", "")):
        assert world.nobody.get("/me", auth=(name, secret)).status_code == 401


def test_a_token_beside_anothers_id_is_refused(world: World, alice: Somebody) -> None:
    headers = {"X-Auth-Token": str(alice.token), "X-Account-Id": "bob"}
    assert world.nobody.get("/me", headers=headers).status_code == 401


def test_a_scope_opens_its_routes_and_no_others(world: World) -> None:
    reader = world.user("reader", ["jobs:read"])
    assert reader.get("/jobs").status_code == 200
    refused = reader.post("/jobs", {"type": "square", "args": {"k": 1}})
    assert (refused.status_code, refused.json["code"]) == (403, "not-permitted")


def test_a_token_is_shown_once_and_refused_when_revoked(world: World, alice: Somebody) -> None:
    made = alice.post("/tokens", {"name": "notebook", "scopes": ["jobs:read"], "expires_at": "PT1H"})
    assert made.status_code == 201
    notebook = Somebody(world.app, made.json["token"])
    assert notebook.get("/me").json["scopes"] == ["jobs:read"]
    listed = alice.get("/tokens").json["items"]
    assert any(token["name"] == "notebook" for token in listed)
    assert made.json["token"] not in str(listed)
    assert alice.delete(f"/tokens/{made.json['id']}").status_code == 204
    assert notebook.get("/me").status_code == 401


def test_nobody_grants_more_than_they_have(world: World, alice: Somebody) -> None:
    world.user("bob")
    assert alice.post("/tokens", {"scopes": ["admin"]}).status_code == 403
    assert alice.post("/tokens", {"user": "bob"}).status_code == 404


def test_what_was_done_is_in_the_audit_trail(admin: Somebody, alice: Somebody) -> None:
    job = alice.submit()["id"]
    alice.post(f"/jobs/{job}/cancel", {"reason": "wrong genome"})
    [deed] = admin.get(f"/audit?target=job/{job}").json["items"]
    assert (deed["by"], deed["action"], deed["reason"]) == ("alice", "job.cancel", "wrong genome")
