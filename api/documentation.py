"""The OpenAPI document at /openapi.json and its page at /docs, which needs nothing from anywhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from flask import Flask, Response, redirect, request, send_from_directory
from flask_smorest import Api  # type: ignore[import-untyped]  # ships no types
from werkzeug.wrappers import Response as BaseResponse

from api import ops
from api.auth import PUBLIC, declare
from api.fields import OPENAPI_TYPES
from api.native import RESOURCES

ASSETS = Path(__file__).parent / "static" / "docs"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content security policy of the page; its styles are made by the script, so inline styles are needed."""

_ABOUT = """Submit jobs, watch them live, pause, resume and cancel them.

**Errors** are problems as of RFC 9457. **Lists** are paged by `cursor` and announce their next page in a `Link` header.
**Instants** are ISO 8601 in UTC. **JSON bodies** nest at most 32 levels and hold no NUL characters; their size is
bounded for each operation by the setting it names."""

_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "a token, or the token of an execution"},
    "basic": {"type": "http", "scheme": "basic", "description": "user name and password, or user name and token"},
    "token": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Auth-Token",
        "description": "a token; X-User-Id or X-Account-Id beside it must be its user's",
    },
}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Longshore API</title>
<script type="module" src="{root}/docs/rapidoc-min.js"></script>
</head>
<body>
<rapi-doc spec-url="{root}/openapi.json" load-fonts="false" render-style="read" theme="light" show-header="false"
  allow-spec-url-load="false" allow-spec-file-load="false" allow-server-selection="false" schema-style="table"
  regular-font="system-ui, sans-serif" mono-font="ui-monospace, monospace"></rapi-doc>
<noscript>This page needs JavaScript; the document is at <a href="{root}/openapi.json">openapi.json</a>.</noscript>
</body>
</html>
"""


class Documented(Api):  # type: ignore[misc]  # flask-smorest ships no types
    """flask-smorest as the maker of the OpenAPI document; errors are answered by `api.errors` alone."""

    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_error_handlers(self) -> None:
        """Ours are registered already, and keep headers such as Allow."""


def register(app: Flask, version: str) -> None:
    """Adds all resources to the application and serves the document that follows from them."""
    app.config.update(API_TITLE="Longshore", API_VERSION=version, OPENAPI_VERSION="3.1.0")
    documented = Documented(app, spec_kwargs={"info": {"description": _ABOUT, "license": {"name": "Apache-2.0"}}})
    for field, kind, form in OPENAPI_TYPES:
        documented.register_field(field, kind, form)
    for name, scheme in _SECURITY.items():
        documented.spec.components.security_scheme(name, scheme)
    for resource in (*RESOURCES, ops.resource):
        documented.register_blueprint(resource)
    body = orjson.dumps(documented.spec.to_dict(), option=orjson.OPT_NON_STR_KEYS)
    app.extensions["longshore.openapi"] = body
    _serve(app, body)


def _serve(app: Flask, body: bytes) -> None:
    def openapi() -> Response:
        return Response(body, mimetype="application/json")

    def page() -> Response:
        headers = {"Content-Security-Policy": PAGE_POLICY}
        return Response(_PAGE.format(root=request.script_root), headers=headers, mimetype="text/html")

    def front() -> BaseResponse:
        return redirect(f"{request.script_root}/docs")

    def asset(name: str) -> Response:
        return send_from_directory(ASSETS, name, max_age=3600)

    app.add_url_rule("/openapi.json", "openapi", declare(openapi, PUBLIC), methods=["GET"])
    app.add_url_rule("/", "front", declare(front, PUBLIC), methods=["GET"])
    app.add_url_rule("/docs", "docs", declare(page, PUBLIC), methods=["GET"])
    app.add_url_rule("/docs/<name>", "docs_asset", declare(asset, PUBLIC), methods=["GET"])


def document(app: Flask) -> dict[str, Any]:
    """The OpenAPI document of the application."""
    loaded: dict[str, Any] = orjson.loads(app.extensions["longshore.openapi"])
    return loaded
