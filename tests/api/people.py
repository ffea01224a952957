"""Somebody who speaks to the API, and the world they speak in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from flask import Flask

from api.installation import of
from shared import access, catalog, execute
from shared.execute import Claimed, Offer
from shared.principal import Principal

SQUARE = {
    "kind": "python",
    "name": "square",
    "args": {
        "type": "object",
        "properties": {"k": {"type": "integer", "minimum": 0}},
        "required": ["k"],
        "additionalProperties": False,
    },
    "inputs": {"table": {"required": False}},
    "stages": ["prepare", "compute"],
    "pause": ["park", "suspend"],
}
COUNT = {"kind": "command", "name": "count", "command": {"argv": ["wc", "-c"]}}


@dataclass(frozen=True)
class Somebody:
    """Speaks to the application with one credential, or with none."""

    app: Flask
    token: str | None

    def call(self, method: str, path: str, **options: Any) -> Any:
        headers = dict(options.pop("headers", {}))
        if self.token is not None:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        address = path if options.pop("root", False) or path.startswith("/api/") else f"/api/v1{path}"
        return self.app.test_client().open(address, method=method, headers=headers, **options)

    def get(self, path: str, **options: Any) -> Any:
        return self.call("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> Any:
        return self.call("POST", path, **({"json": json} if json is not None else {}), **options)

    def patch(self, path: str, json: Any, **options: Any) -> Any:
        return self.call("PATCH", path, json=json, **options)

    def delete(self, path: str, **options: Any) -> Any:
        return self.call("DELETE", path, **options)

    def submit(self, **order: Any) -> dict[str, Any]:
        answer = self.post("/jobs", {"type": "square", "args": {"k": 3}, **order})
        assert answer.status_code == 201, answer.text
        job: dict[str, Any] = answer.json
        return job


class World:
    """The application, its store, and whoever is in it."""

    def __init__(self, app: Flask, admin_token: str) -> None:
        self.app = app
        self.store = of(app).store
        self.admin = Somebody(app, admin_token)
        self.nobody = Somebody(app, None)
        self.revisions = frozenset(catalog.declare(self.store, [SQUARE], "worker-1").values())
        catalog.define(self.store, self.principal(self.admin), COUNT)

    def principal(self, somebody: Somebody) -> Principal:
        return access.authenticate_bearer(self.store, str(somebody.token))

    def user(self, name: str, scopes: list[str] | None = None) -> Somebody:
        """A new user with a token."""
        admin = self.principal(self.admin)
        access.create_user(self.store, admin, name)
        _, secret = access.create_token(self.store, admin, user=name, scopes=scopes)
        return Somebody(self.app, secret)

    def claim(self, queue: str = "default") -> Claimed | None:
        """The next job, as a worker takes it."""
        offer = Offer(uuid4(), "worker-1", "node-1", 4711, queue, self.revisions)
        return execute.claim(self.store, offer)

    def execution(self, owner: Somebody) -> tuple[str, Somebody, Claimed]:
        """A command job of `owner` that runs: its id, its execution's token, and the claim."""
        job = owner.submit(type="count", args={}, queue="commands")
        claimed = self.claim("commands")
        assert claimed is not None
        assert claimed.token is not None
        return job["id"], Somebody(self.app, claimed.token), claimed
