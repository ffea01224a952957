"""Users, and who you are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import marshmallow as ma
from flask import Response

from api.answers import created, nothing, page, rendered
from api.auth import ADMIN, ANYBODY_KNOWN, Access, current_principal
from api.fields import Items, Text, Word
from api.installation import installation
from api.native.actions import ActionBody
from api.paging import PageQuery, page_of
from api.parsing import Strict
from api.resource import Answer, Body, Resource
from api.times import iso
from shared import access
from shared.principal import Scope

resource = Resource("users", __name__, url_prefix="/api/v1", description="Persons and programs that own jobs.")

_ONE = "/users/<name>"
_NAME = "[A-Za-z0-9][A-Za-z0-9._@+-]{0,199}"


class UserSchema(ma.Schema):
    """A person or program."""

    id = ma.fields.UUID(required=True)
    name = ma.fields.String(required=True)
    scopes = ma.fields.List(ma.fields.String(), required=True)
    has_password = ma.fields.Boolean(
        required=True, metadata={"description": "whether a log-in by password is possible"}
    )
    created_at = ma.fields.String(required=True, metadata={"format": "date-time"})
    disabled_at = ma.fields.String(required=True, allow_none=True, metadata={"format": "date-time"})


class ExecutionOfSchema(ma.Schema):
    """The execution whose token is used."""

    job = ma.fields.UUID(required=True)
    attempt = ma.fields.Integer(required=True)


class MeSchema(ma.Schema):
    """Who you are, as far as your credential tells."""

    id = ma.fields.UUID(required=True)
    name = ma.fields.String(required=True)
    scopes = ma.fields.List(ma.fields.String(), required=True)
    execution = ma.fields.Nested(ExecutionOfSchema, required=True, allow_none=True)


class UserBody(Strict):
    """A user to be made."""

    name = Text(200, "Its name.", shortest=1, pattern=_NAME, required=True)
    password = Text(1000, "For logins and Basic; without it the user has tokens only.", shortest=8, load_default=None)
    scopes = Items(Word(Scope), len(Scope), "What the user may do at most.", shortest=1)


class PasswordBody(Strict):
    """A password."""

    password = Text(1000, "The new password; null: no log-in by password.", shortest=8, required=True, allow_none=True)


def shown(row: Any) -> dict[str, Any]:
    """A user's row as the API shows it."""
    return {
        "id": row.id,
        "name": row.name,
        "scopes": row.scopes,
        "has_password": row.has_password,
        "created_at": iso(row.created_at),
        "disabled_at": iso(row.disabled_at),
    }


@resource.operation("GET", "/me", Access(executions=True), answers={200: Answer("You.", MeSchema)})
def show_me() -> Response:
    """Tell who you are."""
    principal = current_principal()
    execution = principal.execution and {"job": principal.execution[0], "attempt": principal.execution[1]}
    scopes = sorted(scope.value for scope in principal.scopes)
    return rendered({"id": principal.user_id, "name": principal.name, "scopes": scopes, "execution": execution})


@resource.operation(
    "GET",
    "/users",
    ADMIN,
    query=PageQuery,
    answers={200: Answer("A page of users.", page_of("UserPage", UserSchema))},
)
def list_users(query: Mapping[str, Any]) -> Response:
    """List users by name."""
    found = access.list_users(installation().store, current_principal(), **query)
    return page([shown(row) for row in found.items], found.next)


@resource.operation(
    "POST",
    "/users",
    ADMIN,
    body=Body(UserBody),
    answers={201: Answer("The user.", UserSchema)},
    refuses=(409,),
)
def create_user(body: Mapping[str, Any]) -> Response:
    """Make a user."""
    row = access.create_user(installation().store, current_principal(), **body)
    return created(shown(row), f"/users/{row.name}")


@resource.operation("GET", _ONE, ANYBODY_KNOWN, answers={200: Answer("The user.", UserSchema)})
def show_user(name: str) -> Response:
    """Read yourself, or as an admin any user."""
    return rendered(shown(access.find_user(installation().store, current_principal(), name)))


@resource.operation(
    "PUT",
    f"{_ONE}/password",
    ANYBODY_KNOWN,
    body=Body(PasswordBody),
    answers={204: Answer("It is set.")},
)
def set_password(body: Mapping[str, Any], name: str) -> Response:
    """Set your own password, or as an admin anybody's."""
    access.set_password(installation().store, current_principal(), name, body["password"])
    return nothing()


@resource.operation(
    "POST",
    f"{_ONE}/disable",
    ADMIN,
    body=Body(ActionBody, required=False),
    answers={200: Answer("None of the user's credentials is accepted any more.", UserSchema)},
)
def disable_user(body: Mapping[str, Any], name: str) -> Response:
    """Refuse all credentials of a user."""
    return rendered(shown(access.disable_user(installation().store, current_principal(), name, body["reason"])))


@resource.operation(
    "POST",
    f"{_ONE}/enable",
    ADMIN,
    body=Body(ActionBody, required=False),
    answers={200: Answer("The user's credentials are accepted again.", UserSchema)},
)
def enable_user(body: Mapping[str, Any], name: str) -> Response:
    """Accept the credentials of a user again."""
    return rendered(shown(access.enable_user(installation().store, current_principal(), name, body["reason"])))
