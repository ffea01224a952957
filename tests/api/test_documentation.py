from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from flask import Flask

import api
from api.documentation import ASSETS, document
from api.native import RESOURCES
from tests.api.people import World


def _operations(app: Flask) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, item in document(app)["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    ]


def _as_documented(rule: str) -> str:
    return re.sub(r"<(?:[a-z]+:)?([a-z_]+)>", r"{\1}", rule)


def test_every_route_is_documented(app: Flask) -> None:
    documented = {f"{method.upper()} {path}" for path, method, _ in _operations(app)}
    routes = {
        f"{method} {_as_documented(rule.rule)}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD"}
        if rule.rule != "/" and not rule.rule.startswith(("/docs", "/openapi.json"))
    }
    assert documented == routes


def test_every_operation_tells_what_it_does_and_how_it_fails(app: Flask) -> None:
    for path, method, operation in _operations(app):
        assert operation["summary"].endswith("."), (method, path)
        assert operation["tags"], (method, path)
        if operation["security"]:
            assert {"401", "403", "503"} <= set(operation["responses"]), (method, path)
        for status, response in operation["responses"].items():
            if status >= "400" and path[-1] != "z":
                assert set(response["content"]) == {"application/problem+json"}, (method, path, status)


def test_input_that_is_not_known_is_refused_by_the_document_too(app: Flask) -> None:
    schemas = document(app)["components"]["schemas"]
    bodies = [name for name in schemas if name.endswith("Body") and name not in {"DeclarationBody", "RevisionBody"}]
    assert len(bodies) > 8
    assert all(schemas[name]["additionalProperties"] is False for name in bodies)


def test_no_resource_is_left_out() -> None:
    files = {path.stem for path in (Path(api.__file__).parent / "native").glob("*.py")}
    parts = {"__init__", "job_filter", "job_shape", "order_body", "record_shape"}
    assert len(files - parts) == len(RESOURCES)


def test_the_page_needs_nothing_from_elsewhere(world: World) -> None:
    page = world.nobody.get("/docs", root=True)
    assert page.status_code == 200
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page.text)
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "http" not in policy
    [script] = re.findall(r'<script type="module" src="([^"]+)"', page.text)
    got = world.nobody.get(script, root=True)
    assert (got.status_code, got.mimetype) == (200, "text/javascript")
    assert (ASSETS / "LICENSE.rapidoc.txt").is_file()
    assert world.nobody.get("/docs/../api/errors.py", root=True).status_code == 404


def test_the_document_is_openapi_3_1(world: World) -> None:
    got = world.nobody.get("/openapi.json", root=True)
    assert (got.status_code, got.json["openapi"]) == (200, "3.1.0")


def test_the_bare_address_leads_to_the_page(app: Flask) -> None:
    answer = app.test_client().get("/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/docs")
