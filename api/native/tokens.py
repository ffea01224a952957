"""Tokens: credentials of users, shown once when they are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import marshmallow as ma
from flask import Response

from api.answers import created, nothing, page
from api.auth import ANYBODY_KNOWN, current_principal
from api.fields import Items, Moment, Text, Word
from api.installation import installation
from api.paging import PageQuery, page_of
from api.parsing import Strict
from api.resource import Answer, Body, Resource
from api.times import iso
from shared import access
from shared.principal import Scope

resource = Resource("tokens", __name__, url_prefix="/api/v1", description="Credentials of users.")


class TokenSchema(ma.Schema):
    """A token without its secret."""

    id = ma.fields.UUID(required=True)
    user = ma.fields.String(required=True, metadata={"description": "name of the user"})
    name = ma.fields.String(required=True, metadata={"description": "what it is for"})
    prefix = ma.fields.String(required=True, metadata={"description": "first characters of the secret"})
    scopes = ma.fields.List(ma.fields.String(), required=True)
    created_at = ma.fields.String(required=True, metadata={"format": "date-time"})
    expires_at = ma.fields.String(required=True, allow_none=True, metadata={"format": "date-time"})
    revoked_at = ma.fields.String(required=True, allow_none=True, metadata={"format": "date-time"})


class NewTokenSchema(TokenSchema):
    """A token with its secret, which is never shown again."""

    token = ma.fields.String(required=True, metadata={"description": "the secret"})


class TokensQuery(PageQuery):
    """Whose tokens."""

    user = Text(200, "Name of the user; for admins.", shortest=1, load_default=None)


class TokenBody(Strict):
    """A token to be made."""

    user = Text(200, "Whose it is; without it, yours. Only an admin makes tokens for others.", shortest=1)
    name = Text(200, "What it is for.", load_default="")
    scopes = Items(Word(Scope), len(Scope), "What it may be used for; without it, what a user may do.", shortest=1)
    expires_at = Moment(1, "When it ceases to be accepted:", load_default=None, allow_none=True)


def shown(row: Any) -> dict[str, Any]:
    """A token's row as the API shows it."""
    return {
        "id": row.id,
        "user": row.user,
        "name": row.name,
        "prefix": row.prefix,
        "scopes": row.scopes,
        "created_at": iso(row.created_at),
        "expires_at": iso(row.expires_at),
        "revoked_at": iso(row.revoked_at),
    }


@resource.operation(
    "GET",
    "/tokens",
    ANYBODY_KNOWN,
    query=TokensQuery,
    answers={200: Answer("A page of tokens.", page_of("TokenPage", TokenSchema))},
)
def list_tokens(query: Mapping[str, Any]) -> Response:
    """List your tokens; an admin sees everybody's."""
    found = access.list_tokens(installation().store, current_principal(), **query)
    return page([shown(row) for row in found.items], found.next)


@resource.operation(
    "POST",
    "/tokens",
    ANYBODY_KNOWN,
    body=Body(TokenBody),
    answers={201: Answer("The token with its secret.", NewTokenSchema)},
    refuses=(404,),
)
def create_token(body: Mapping[str, Any]) -> Response:
    """Make a token."""
    row, secret = access.create_token(
        installation().store,
        current_principal(),
        user=body.get("user"),
        name=body["name"],
        scopes=body.get("scopes"),
        expires_at=body["expires_at"],
    )
    return created({**shown(row), "token": secret}, f"/tokens/{row.id}")


@resource.operation("DELETE", "/tokens/<uuid:token_id>", ANYBODY_KNOWN, answers={204: Answer("It is revoked.")})
def revoke_token(token_id: UUID) -> Response:
    """Revoke a token; it is refused everywhere within seconds."""
    access.revoke_token(installation().store, current_principal(), token_id)
    return nothing()
