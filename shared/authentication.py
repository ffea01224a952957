"""Who is asking: credentials in, a principal out, or NotAuthenticated."""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Iterable
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, false, or_, select

from shared.credentials import TOKEN_PREFIX, digest, password_fits
from shared.errors import NotAuthenticated
from shared.models import Execution, Job, Token, User
from shared.models.types import now
from shared.principal import Principal, Scope
from shared.rules import lease_is_valid
from shared.store import Store

CACHE_SECONDS = 2.0
"""For how long a token that was found valid is not looked up again; a revocation counts everywhere after that."""

_CACHED_TOKENS = 10_000
USER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,199}")
"""What users are called: nothing that a header of Basic would have to quote."""


class _TokenCache:
    """Principals of tokens found valid a moment ago."""

    def __init__(self) -> None:
        self._found: dict[bytes, tuple[Principal, float]] = {}

    def get(self, key: bytes) -> Principal | None:
        found = self._found.get(key)
        return found[0] if found and found[1] > time.monotonic() else None

    def put(self, key: bytes, principal: Principal) -> None:
        if len(self._found) >= _CACHED_TOKENS:
            self._found.clear()
        self._found[key] = principal, time.monotonic() + CACHE_SECONDS

    def clear(self) -> None:
        self._found.clear()


_caches: WeakKeyDictionary[Store, _TokenCache] = WeakKeyDictionary()


def _cache_of(store: Store) -> _TokenCache:
    return _caches.setdefault(store, _TokenCache())


def forget_tokens(store: Store) -> None:
    """Look up every token anew from now on: one was revoked, or its user disabled."""
    _cache_of(store).clear()


def authenticate_bearer(store: Store, secret: str) -> Principal:
    """The principal of a user's token or of a running execution's; raises NotAuthenticated."""
    key, cache = digest(secret), _cache_of(store)
    principal = cache.get(key)
    if principal is None:
        with store.reading() as connection:
            if secret.startswith(TOKEN_PREFIX):
                principal = _token_principal(connection, key)
                cache.put(key, principal)
            else:
                principal = _execution_principal(connection, key)
    return principal


def authenticate_password(store: Store, name: str, password: str) -> Principal:
    """The principal of a user by name and password, or by name and token; raises NotAuthenticated."""
    if password.startswith(TOKEN_PREFIX):
        principal = authenticate_bearer(store, password)
        if principal.name != name:
            raise NotAuthenticated("The token is not that user's.")
        return principal
    with store.reading() as connection:
        query = select(User.id, User.name, User.scopes, User.password_hash)
        known = User.name == name if USER_NAME.fullmatch(name) else false()
        user = connection.execute(query.where(known, User.disabled_at.is_(None))).one_or_none()
    if not password_fits(user.password_hash if user else None, password) or user is None:
        raise NotAuthenticated("The name or the password is wrong.")
    return Principal(user.id, user.name, scopes_of(user.scopes))


def _token_principal(connection: Connection, key: bytes) -> Principal:
    row = connection.execute(
        select(Token.sha256, Token.scopes, User.id, User.name, User.scopes.label("most"))
        .join(User, User.id == Token.user_id)
        .where(
            Token.sha256 == key,
            Token.revoked_at.is_(None),
            or_(Token.expires_at.is_(None), Token.expires_at > now()),
            User.disabled_at.is_(None),
        )
    ).one_or_none()
    if row is None or not hmac.compare_digest(bytes(row.sha256), key):
        raise NotAuthenticated("The token is unknown, revoked or expired.")
    return Principal(row.id, row.name, scopes_of(row.scopes) & all_of(scopes_of(row.most)))


def _execution_principal(connection: Connection, key: bytes) -> Principal:
    row = connection.execute(
        select(Execution.token_sha256, Execution.job_id, Execution.attempt, Job.owner_id)
        .join(Job, Job.id == Execution.job_id)
        .where(
            Execution.token_sha256 == key,
            Execution.ended_at.is_(None),
            Job.attempt == Execution.attempt,
            Job.holder.is_not(None),
            lease_is_valid(),
        )
    ).one_or_none()
    if row is None or not hmac.compare_digest(bytes(row.token_sha256), key):
        raise NotAuthenticated("The token is unknown, or its execution has ended.")
    name = f"attempt {row.attempt}"
    return Principal(row.owner_id, name, frozenset({Scope.READ}), execution=(row.job_id, row.attempt))


def scopes_of(words: Iterable[str]) -> frozenset[Scope]:
    """The scopes that stored words name; words of other releases are passed over."""
    return frozenset(Scope(word) for word in words if word in set(Scope))


def all_of(scopes: frozenset[Scope]) -> frozenset[Scope]:
    """Scopes with all that they imply: admin implies every one."""
    return frozenset(Scope) if Scope.ADMIN in scopes else scopes
