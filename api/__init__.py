"""The REST API: thin routes that parse, call one verb of `shared`, and render. This is its composition root."""

from __future__ import annotations

from importlib.metadata import version

from flask import Flask, current_app, request

from api import auth, documentation, errors, installation, parsing, safety
from broker_config import Settings

__all__ = ["create_app"]


def create_app(settings: Settings | None = None, *, with_upkeep: bool = True) -> Flask:
    """The WSGI application; nothing is connected and no thread is started before its first request.

    `with_upkeep` says whether this process may lead upkeep (lost wake-ups, expired leases, expired jobs).
    """
    app = Flask(__name__, static_folder=None)
    made = installation.assemble(settings or Settings.from_env(), with_upkeep=with_upkeep)
    app.extensions[installation.NAME] = made
    app.config.update(PROVIDE_AUTOMATIC_OPTIONS=False, MAX_CONTENT_LENGTH=made.settings.max_body)
    app.url_map.strict_slashes = True
    errors.register(app)
    documentation.register(app, version("longshore"))
    app.before_request(made.start)
    app.before_request(parsing.refuse_odd_addresses)
    app.before_request(auth.guard)
    app.before_request(_bound_body)
    app.after_request(safety.add_headers)
    _check(app)
    return app


def _bound_body() -> None:
    """Sets how large the body of the present request may be, as its operation declares."""
    view = request.endpoint and current_app.view_functions[request.endpoint]
    limit = getattr(view, "max_body", "max_body")
    request.max_content_length = getattr(installation.installation().settings, limit)


def _check(app: Flask) -> None:
    """Refuses to start with a route that does not say who may use it."""
    for rule in app.url_map.iter_rules():
        auth.declared(app, rule.endpoint)
