"""Resource: who may do what. Users, their tokens, log-ins (from `shared.authentication`), and the audit trail.

Secrets are stored as hashes and shown once. A token never allows more than its user, nor more than whoever made it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, insert, select, update
from sqlalchemy.engine import Row
from sqlalchemy.sql.elements import ColumnElement
from uuid_utils.compat import uuid7

from shared.audit import audit
from shared.authentication import (
    USER_NAME,
    all_of,
    authenticate_bearer,
    authenticate_password,
    forget_tokens,
    scopes_of,
)
from shared.credentials import digest, hash_password, new_token
from shared.errors import AlreadyExists, FieldProblem, InvalidInput, NotFound, NotPermitted
from shared.json_values import is_fit_text, is_fit_whole
from shared.models import AuditEntry, Token, User
from shared.models.types import now
from shared.principal import USER_SCOPES, Principal, Scope
from shared.query import Page, keyset_page
from shared.store import Store, Transaction

__all__ = [
    "ADMIN", "audit", "authenticate_bearer", "authenticate_password", "create_token", "create_user", "disable_user",
    "enable_user", "ensure_admin", "find_user", "list_audit", "list_tokens", "list_users", "new_admin_token", "require",
    "revoke_token", "set_password",
]  # fmt: skip

ADMIN = "admin"
"""Name of the user that the first start makes."""

_TOKEN_PREFIX_SHOWN = 12
_LONGEST_TOKEN_NAME = 200


def require(principal: Principal, scope: Scope) -> None:
    """Raises NotPermitted unless the credential carries `scope`; an execution's token carries none here."""
    if principal.execution is not None or not principal.may(scope):
        raise NotPermitted(f"This needs a credential with the scope {scope}.")


# -------------------------------------------------------------------------------------------------- admin


def ensure_admin(store: Store) -> str | None:
    """On the first start, make the user `admin` and return the secret of its token; None when it is there already."""
    user_id: UUID = uuid7()
    row = {"id": user_id, "name": ADMIN, "scopes": [Scope.ADMIN.value]}
    with store.transaction() as tx:
        if not _add_user(tx, row):
            return None
        audit(tx, "longshore", "user.create", f"user/{ADMIN}")
        return _add_token(tx, user_id, "first start", frozenset({Scope.ADMIN}), None, "longshore")[1]


def new_admin_token(store: Store, name: str = "made on this machine") -> str:
    """A further token of the first admin, for whoever holds the database but has lost the token."""
    with store.transaction() as tx:
        admin = _user(tx.connection, ADMIN)
        return _add_token(tx, admin.id, name, frozenset({Scope.ADMIN}), None, "longshore")[1]


def _add_user(tx: Transaction, row: Mapping[str, Any]) -> bool:
    """Whether the name was free."""
    statement = tx.insert(User).values(row).on_conflict_do_nothing()
    return tx.execute(statement.returning(User.id)).first() is not None


# -------------------------------------------------------------------------------------------------- users


def create_user(
    store: Store,
    principal: Principal,
    name: str,
    *,
    scopes: Sequence[str] | None = None,
    password: str | None = None,
) -> Row[Any]:
    """Make a user; without `scopes` with those of an ordinary one. Raises AlreadyExists if the name is taken."""
    require(principal, Scope.ADMIN)
    if not USER_NAME.fullmatch(name):
        expected = "1 to 200 letters, digits or . _ @ + -, beginning with a letter or digit"
        raise InvalidInput(problems=[FieldProblem("name", "is not valid", expected)])
    granted = USER_SCOPES if scopes is None else _checked_scopes(scopes)
    hashed = hash_password(password) if password is not None else None
    row = {"id": uuid7(), "name": name, "scopes": sorted(granted), "password_hash": hashed}
    with store.transaction() as tx:
        if not _add_user(tx, row):
            raise AlreadyExists(f"There is a user {name} already.")
        audit(tx, principal.name, "user.create", f"user/{name}", None, {"scopes": sorted(granted)})
        return _user(tx.connection, name)


def set_password(store: Store, principal: Principal, name: str, password: str | None) -> None:
    """Give a user another password, or (None) no log-in by password; admins for all, others for themselves."""
    hashed = hash_password(password) if password is not None else None
    with store.transaction() as tx:
        user = _visible_user(tx.connection, principal, name)
        tx.execute(update(User).where(User.id == user.id).values(password_hash=hashed))
        audit(tx, principal.name, "user.password", f"user/{name}")


def disable_user(store: Store, principal: Principal, name: str, reason: str | None = None) -> Row[Any]:
    """Accept none of the user's credentials any more; their jobs go on."""
    require(principal, Scope.ADMIN)
    if name == principal.name:
        raise NotPermitted("Nobody can disable themselves; ask another admin.")
    return _set_disabled(store, principal, name, now(), reason)


def enable_user(store: Store, principal: Principal, name: str, reason: str | None = None) -> Row[Any]:
    """Accept the user's credentials again."""
    require(principal, Scope.ADMIN)
    return _set_disabled(store, principal, name, None, reason)


def _set_disabled(store: Store, principal: Principal, name: str, at: Any, reason: str | None) -> Row[Any]:
    with store.transaction() as tx:
        user = _user(tx.connection, name)
        tx.execute(update(User).where(User.id == user.id).values(disabled_at=at))
        audit(tx, principal.name, "user.enable" if at is None else "user.disable", f"user/{name}", reason)
        found = _user(tx.connection, name)
    forget_tokens(store)
    return found


def find_user(store: Store, principal: Principal, name: str) -> Row[Any]:
    """A user without the password's hash; others than oneself for admins only."""
    with store.reading() as connection:
        return _visible_user(connection, principal, name)


def list_users(store: Store, principal: Principal, *, limit: int = 50, cursor: str | None = None) -> Page:
    """All users by name, for admins."""
    require(principal, Scope.ADMIN)
    with store.reading() as connection:
        return keyset_page(connection, _users(), [User.name], limit, cursor)


def _users() -> Select[Any]:
    columns: Sequence[Any] = (User.id, User.name, User.scopes, User.created_at, User.disabled_at)
    return select(*columns, User.password_hash.is_not(None).label("has_password"))


def _user(connection: Connection, name: str) -> Row[Any]:
    row = connection.execute(_users().where(User.name == name)).one_or_none() if is_fit_text(name) else None
    if row is None:
        raise NotFound(f"There is no user {name!r}.")
    return row


def _visible_user(connection: Connection, principal: Principal, name: str) -> Row[Any]:
    if principal.execution is not None or (not principal.is_admin and principal.name != name):
        raise NotFound(f"There is no user {name!r}.")
    return _user(connection, name)


def _checked_scopes(words: Sequence[str]) -> frozenset[Scope]:
    if unknown := sorted(set(words) - set(Scope)):
        raise InvalidInput(problems=[FieldProblem("scopes", f"has no {unknown[0]!r}", "of: " + ", ".join(Scope))])
    return scopes_of(words)


# ------------------------------------------------------------------------------------------------- tokens


def create_token(
    store: Store,
    principal: Principal,
    *,
    user: str | None = None,
    name: str = "",
    scopes: Sequence[str] | None = None,
    expires_at: int | None = None,
) -> tuple[Row[Any], str]:
    """Make a token and return its row and its secret, which is shown this once.

    Without `user` it is the principal's own; only admins make tokens for others. Without `scopes` it gets those of an
    ordinary user, as far as its user has them. `expires_at`: microseconds since 1970 UTC.
    """
    if principal.execution is not None:
        raise NotPermitted("An execution's token makes no tokens.")
    if len(name) > _LONGEST_TOKEN_NAME or not is_fit_text(name):
        raise InvalidInput(problems=[FieldProblem("name", "is not valid", f"at most {_LONGEST_TOKEN_NAME} characters")])
    with store.transaction() as tx:
        owner = _visible_user(tx.connection, principal, user or principal.name)
        granted = _granted(principal, scopes_of(owner.scopes), scopes)
        _check_expiry(tx.connection, expires_at)
        token_id, secret = _add_token(tx, owner.id, name, granted, expires_at, principal.name)
        return tx.execute(_tokens().where(Token.id == token_id)).one(), secret


def _granted(principal: Principal, most: frozenset[Scope], wanted: Sequence[str] | None) -> frozenset[Scope]:
    allowed = all_of(most) & all_of(principal.scopes)
    if wanted is None:
        return USER_SCOPES & allowed
    scopes = _checked_scopes(wanted)
    if beyond := sorted(scopes - allowed):
        raise NotPermitted(f"The scope {beyond[0]} is more than the user or this credential has.")
    return scopes


def _check_expiry(connection: Connection, expires_at: int | None) -> None:
    if expires_at is None:
        return
    if not is_fit_whole(expires_at) or expires_at <= connection.execute(select(now())).scalar_one():
        raise InvalidInput(problems=[FieldProblem("expires_at", "is not in the future", "a later instant")])


def _add_token(
    tx: Transaction, user_id: UUID, name: str, scopes: frozenset[Scope], expires_at: int | None, by: str
) -> tuple[UUID, str]:
    token_id, secret = uuid7(), new_token()
    row = {
        "id": token_id, "user_id": user_id, "name": name, "prefix": secret[:_TOKEN_PREFIX_SHOWN],
        "sha256": digest(secret), "scopes": sorted(scopes), "expires_at": expires_at,
    }  # fmt: skip
    tx.execute(insert(Token), [row])
    audit(tx, by, "token.create", f"token/{token_id}", None, {"name": name, "scopes": sorted(scopes)})
    return token_id, secret


def revoke_token(store: Store, principal: Principal, token_id: UUID, reason: str | None = None) -> Row[Any]:
    """Accept a token no more, at once in this process and within seconds in all others; doing it again is harmless."""
    with store.transaction() as tx:
        row = tx.execute(_tokens().where(Token.id == token_id, _own(principal))).one_or_none()
        if row is None:
            raise NotFound(f"There is no token {token_id}.")
        if row.revoked_at is None:
            tx.execute(update(Token).where(Token.id == token_id).values(revoked_at=now()))
            audit(tx, principal.name, "token.revoke", f"token/{token_id}", reason)
        found = tx.execute(_tokens().where(Token.id == token_id)).one()
    forget_tokens(store)
    return found


def list_tokens(
    store: Store, principal: Principal, *, user: str | None = None, limit: int = 50, cursor: str | None = None
) -> Page:
    """Tokens without their secrets, newest first: one's own; all of them, or one user's, for admins."""
    query = _tokens().where(_own(principal))
    if user is not None:
        query = query.where(User.name == user if is_fit_text(user) else User.id.is_(None))
    with store.reading() as connection:
        return keyset_page(connection, query, [Token.id], limit, cursor, newest_first=True)


def _tokens() -> Select[Any]:
    columns: Sequence[Any] = [column for column in Token.__table__.columns if column.name not in {"sha256", "user_id"}]
    return select(*columns, User.name.label("user")).join(User, User.id == Token.user_id)


def _own(principal: Principal) -> ColumnElement[bool]:
    if principal.execution is not None:
        return Token.id.is_(None)
    return Token.id.is_not(None) if principal.is_admin else Token.user_id == principal.user_id


# ------------------------------------------------------------------------------------------------- audit


def list_audit(
    store: Store,
    principal: Principal,
    filters: Mapping[str, str] | None = None,
    *,
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """The audit trail, newest first, for admins; `filters` by exact `by`, `action` and `target`."""
    require(principal, Scope.ADMIN)
    query = select(*AuditEntry.__table__.columns)
    for name, value in (filters or {}).items():
        if name not in {"by", "action", "target"} or not is_fit_text(value):
            raise InvalidInput(problems=[FieldProblem(name, "is not a filter", "by, action or target")])
        query = query.where(getattr(AuditEntry, name) == value)
    with store.reading() as connection:
        return keyset_page(connection, query, [AuditEntry.id], limit, cursor, newest_first=True)
