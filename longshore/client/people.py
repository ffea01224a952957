"""Users and their tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from longshore.client.transport import Call, Transport
from longshore.models import Token, User


class Tokens:
    """Credentials: one's own, and for an administrator everybody's."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, user: str | None = None) -> Iterator[Token]:
        """Go through your tokens, as an administrator through everybody's; their secrets are not kept anywhere."""
        return map(Token.read, self._transport.pages("tokens", {"limit": 1000, "user": user}))

    def create(
        self,
        *,
        user: str | None = None,
        name: str = "",
        scopes: Sequence[str] = (),
        expires_at: str | None = None,
    ) -> Token:
        """Make a token, for oneself or (administrators) for another user; its secret, `token`, is given this once.

        Without scopes it may do what users may; `expires_at` is an instant or a duration such as P30D.
        """
        wishes: dict[str, Any] = {
            "user": user,
            "name": name,
            "scopes": list(scopes),
            "expires_at": expires_at,
        }
        given = {key: value for key, value in wishes.items() if value}
        return Token.read(self._transport.post("tokens", given, repeatable=False))

    def revoke(self, token_id: str) -> None:
        """Make a token worthless."""
        self._transport.delete(f"tokens/{token_id}")


class Users:
    """The users of the broker; this needs the scope admin."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Iterator[User]:
        """Go through all users."""
        return map(User.read, self._transport.pages("users", {"limit": 1000}))

    def create(self, name: str, *, password: str | None = None, scopes: Sequence[str] = ()) -> User:
        """Make a user; without a password they can only come with a token."""
        wishes: dict[str, Any] = {"name": name, "password": password, "scopes": list(scopes)}
        given = {key: value for key, value in wishes.items() if value}
        return User.read(self._transport.post("users", given, repeatable=False))

    def set_password(self, name: str, password: str) -> None:
        """Give a user another password; everybody may do so for themselves."""
        self._transport.send(Call("PUT", f"users/{name}/password", json={"password": password}))

    def disable(self, name: str) -> User:
        """Refuse all credentials of a user; their jobs go on."""
        return User.read(self._transport.post(f"users/{name}/disable"))

    def enable(self, name: str) -> User:
        """Accept the credentials of a user again."""
        return User.read(self._transport.post(f"users/{name}/enable"))
