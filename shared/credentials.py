"""Secrets: how tokens are made and recognised, and how passwords are hashed and checked."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from shared.errors import FieldProblem, InvalidInput, TooMany

TOKEN_PREFIX = "lsh_"  # noqa: S105 - public by design, so that scanners recognise leaked tokens
SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1000

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_TURNS = threading.BoundedSemaphore(4)
"""Hashing takes 19 MiB and some 20 ms on purpose; this many at once are let through."""
_TURN_SECONDS = 5.0
_NOBODY = _HASHER.hash(secrets.token_urlsafe(16))
"""What is checked when there is no such user, so that the time taken does not tell."""


def new_token() -> str:
    """A fresh secret of 256 random bits."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def digest(secret: str) -> bytes:
    """What is stored of a secret; a fast hash suffices for 256 random bits."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


def hash_password(password: str) -> str:
    """What is stored of a password; raises InvalidInput for one that is too short or too long."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        expected = f"{SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters"
        raise InvalidInput(problems=[FieldProblem("password", "is not valid", expected)])
    return _HASHER.hash(password.encode(errors="surrogatepass"))


def password_fits(stored: str | None, password: str) -> bool:
    """Whether `password` is the one that `stored` was made of; takes as long when there is none."""
    if stored is not None and _KNOWN.knows(stored, password):
        return True
    fits = _verify(stored or _NOBODY, password) and stored is not None
    if fits and stored is not None:
        _KNOWN.learn(stored, password)
    return fits


def _verify(stored: str, password: str) -> bool:
    if len(password) > LONGEST_PASSWORD:
        return False
    if not _TURNS.acquire(timeout=_TURN_SECONDS):
        raise TooMany("Too many log-ins at once; try again later, or use a token.")
    try:
        return _HASHER.verify(stored, password.encode(errors="surrogatepass"))
    except (VerificationError, InvalidHashError):
        return False
    finally:
        _TURNS.release()


class _Known:
    """Passwords that were right for a stored hash, so that a client of Basic pays for hashing once.

    Only keyed digests are held, under a key that never leaves this process, and only for the stored hash they fitted:
    a changed password is asked for anew.
    """

    def __init__(self, most: int = 1000) -> None:
        self._key, self._most = secrets.token_bytes(32), most
        self._right: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def knows(self, stored: str, password: str) -> bool:
        with self._lock:
            expected = self._right.get(stored)
        return expected is not None and hmac.compare_digest(expected, self._digest(password))

    def learn(self, stored: str, password: str) -> None:
        with self._lock:
            self._right[stored] = self._digest(password)
            while len(self._right) > self._most:
                self._right.popitem(last=False)

    def _digest(self, password: str) -> bytes:
        return hmac.digest(self._key, password.encode(errors="surrogatepass"), "sha256")


_KNOWN = _Known()
