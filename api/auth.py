"""Who asks, and whether they may: every route declares what it needs, and is guarded before its request is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from flask import Flask, current_app, g, request

from api.installation import installation
from shared import access
from shared.errors import NotAuthenticated, NotPermitted
from shared.principal import Principal, Scope
from shared.store import Store

View = TypeVar("View", bound=Callable[..., Any])
_ATTRIBUTE = "needed_access"


@dataclass(frozen=True)
class Access:
    """What a route asks of its caller."""

    scope: Scope | None = None
    """a scope of the credential; None: any credential will do"""
    executions: bool = False
    """whether an execution's token may come here too; the verbs show it nothing but its own job"""
    public: bool = False
    """whether the route answers everybody"""


PUBLIC = Access(public=True)
ANYBODY_KNOWN = Access()
ADMIN = Access(Scope.ADMIN)


def declare(view: View, needed: Access) -> View:
    """Writes on a view function what it needs."""
    setattr(view, _ATTRIBUTE, needed)
    return view


def declared(app: Flask, endpoint: str) -> Access:
    """What the route needs; LookupError for one that does not say."""
    needed = getattr(app.view_functions[endpoint], _ATTRIBUTE, None)
    if not isinstance(needed, Access):
        raise LookupError(f"the route {endpoint} does not declare who may use it")  # noqa: TRY004 - nothing was found
    return needed


def guard() -> None:
    """Runs before every request: sets the principal, or raises `NotAuthenticated` or `NotPermitted`."""
    if request.endpoint is None:
        return
    needed = declared(current_app, request.endpoint)
    if needed.public:
        return
    g.principal = principal = authenticate(installation().store)
    _permit(principal, needed)


def _permit(principal: Principal, needed: Access) -> None:
    if principal.execution is not None:
        if not needed.executions:
            raise NotPermitted("An execution's token may only read its own job and report on it.")
    elif needed.scope is not None and not principal.may(needed.scope):
        raise NotPermitted(f"This needs a credential with the scope {needed.scope}.")


def current_principal() -> Principal:
    """Who makes the present request."""
    return cast("Principal", g.principal)


def authenticate(store: Store) -> Principal:
    """The principal of the request's credential: Bearer, Basic, or X-Auth-Token with an optional id beside it."""
    credential = request.authorization
    if credential is not None and credential.type == "bearer" and credential.token:
        return access.authenticate_bearer(store, credential.token)
    if credential is not None and credential.type == "basic":
        return access.authenticate_password(store, credential.username or "", credential.password or "")
    if "X-Auth-Token" in request.headers:
        return _authenticate_pair(store)
    raise NotAuthenticated


def _authenticate_pair(store: Store) -> Principal:
    principal = access.authenticate_bearer(store, request.headers["X-Auth-Token"])
    claimed = request.headers.get("X-User-Id") or request.headers.get("X-Account-Id")
    known = {str(principal.user_id), principal.user_id.hex, principal.name}
    if claimed is not None and claimed not in known:
        raise NotAuthenticated("The token is not that user's.")
    return principal
