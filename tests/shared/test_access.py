from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, update
from sqlalchemy.engine import Row

from shared import access, authentication, catalog, control, credentials, execute
from shared.errors import AlreadyExists, InvalidInput, NotAuthenticated, NotFound, NotPermitted
from shared.lifecycle import Event
from shared.models import Job, Token, User
from shared.models.types import now
from shared.principal import USER_SCOPES, Principal, Scope
from shared.store import Store

JobMaker = Callable[..., Row[Any]]
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every log-in is looked up, so that tests see what holds now; the cache has a test of its own."""
    monkeypatch.setattr(authentication, "CACHE_SECONDS", 0.0)


def _later(store: Store, seconds: float) -> int:
    with store.reading() as connection:
        return int(connection.execute(select(now())).scalar_one()) + int(seconds * 1_000_000)


# -------------------------------------------------------------------------------------------------- admin


def test_the_first_start_makes_an_admin_once(store: Store) -> None:
    secret = access.ensure_admin(store)
    assert secret is not None
    assert access.ensure_admin(store) is None
    principal = access.authenticate_bearer(store, secret)
    assert (principal.name, principal.is_admin) == ("admin", True)
    assert access.authenticate_bearer(store, access.new_admin_token(store)) == principal


def test_two_first_starts_at_once_make_one_admin(store: Store) -> None:
    barrier, secrets = threading.Barrier(4), []

    def start() -> None:
        barrier.wait()
        secrets.append(access.ensure_admin(store))

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([secret for secret in secrets if secret]) == 1


# ------------------------------------------------------------------------------------------------- tokens


def test_a_token_is_recognisable_random_and_never_stored(store: Store, alice: Principal) -> None:
    row, secret = access.create_token(store, alice, name="laptop")
    assert secret.startswith("lsh_")
    assert len(secret) >= 4 + 43
    assert (row.name, row.user, row.scopes, row.expires_at) == ("laptop", "alice", sorted(USER_SCOPES), None)
    assert secret.startswith(row.prefix)
    assert len(row.prefix) == 12
    assert not {"sha256", "user_id"} & set(row._fields)
    with store.reading() as connection:
        stored = connection.execute(select(*Token.__table__.columns)).one()
    assert secret not in repr(stored)
    assert access.authenticate_bearer(store, secret) == alice


def test_made_up_secrets_are_refused(store: Store, alice: Principal) -> None:
    access.create_token(store, alice)
    for secret in ("", "lsh_", "lsh_" + "x" * 43, "x" * 43, "lsh_\0", "\ud800", "é", "x" * 100_000):
        with pytest.raises(NotAuthenticated):
            access.authenticate_bearer(store, secret)
        with pytest.raises(NotAuthenticated):
            access.authenticate_password(store, "alice", secret)


def test_revoked_and_expired_tokens_and_those_of_disabled_users_are_refused(
    store: Store, alice: Principal, admin: Principal
) -> None:
    row, secret = access.create_token(store, alice)
    revoked = access.revoke_token(store, alice, row.id, "lost")
    assert revoked.revoked_at is not None
    assert access.revoke_token(store, alice, row.id).revoked_at == revoked.revoked_at
    with pytest.raises(NotAuthenticated):
        access.authenticate_bearer(store, secret)
    row, secret = access.create_token(store, alice, expires_at=_later(store, 60))
    assert access.authenticate_bearer(store, secret).name == "alice"
    with store.transaction() as tx:
        tx.execute(update(Token).values(expires_at=1))
    with pytest.raises(NotAuthenticated):
        access.authenticate_bearer(store, secret)
    _, secret = access.create_token(store, alice)
    assert access.disable_user(store, admin, "alice").disabled_at is not None
    with pytest.raises(NotAuthenticated):
        access.authenticate_bearer(store, secret)
    assert access.enable_user(store, admin, "alice").disabled_at is None
    assert access.authenticate_bearer(store, secret).name == "alice"


def test_a_token_allows_no_more_than_its_user_and_its_maker(store: Store, alice: Principal, admin: Principal) -> None:
    reader = Principal(alice.user_id, "alice", frozenset({Scope.READ}))
    assert access.create_token(store, reader)[0].scopes == ["jobs:read"]
    for who, scopes in ((reader, ["jobs:submit"]), (alice, ["admin"]), (alice, ["workers:control"])):
        with pytest.raises(NotPermitted):
            access.create_token(store, who, scopes=scopes)
    with pytest.raises(NotPermitted):
        access.create_token(store, admin, user="alice", scopes=["admin"])
    with pytest.raises(InvalidInput):
        access.create_token(store, alice, scopes=["jobs:everything"])
    weak = Principal(admin.user_id, "admin", frozenset({Scope.READ}))
    with pytest.raises(NotPermitted):
        access.create_token(store, weak, scopes=["admin"])
    _, secret = access.create_token(store, admin, scopes=["jobs:read", "workers:control"])
    assert access.authenticate_bearer(store, secret).scopes == {Scope.READ, Scope.WORKERS}
    _, secret = access.create_token(store, alice, scopes=["jobs:submit", "jobs:read"])
    with store.transaction() as tx:
        tx.execute(update(User).where(User.name == "alice").values(scopes=["jobs:read"]))
    assert access.authenticate_bearer(store, secret).scopes == {Scope.READ}


def test_tokens_are_seen_and_revoked_by_their_user_and_admins(
    store: Store, alice: Principal, bob: Principal, admin: Principal
) -> None:
    mine, theirs = access.create_token(store, alice)[0], access.create_token(store, bob)[0]
    for_bob = access.create_token(store, admin, user="bob")[0]
    assert [row.id for row in access.list_tokens(store, alice).items] == [mine.id]
    assert [row.id for row in access.list_tokens(store, alice, user="bob").items] == []
    assert [row.id for row in access.list_tokens(store, admin).items] == [for_bob.id, theirs.id, mine.id]
    assert [row.id for row in access.list_tokens(store, admin, user="bob").items] == [for_bob.id, theirs.id]
    assert access.list_tokens(store, admin, user="\0").items == []
    with pytest.raises(NotFound):
        access.revoke_token(store, alice, theirs.id)
    with pytest.raises(NotFound):
        access.create_token(store, alice, user="bob")
    access.revoke_token(store, admin, theirs.id)


def test_wrong_tokens_are_refused(store: Store, alice: Principal) -> None:
    wrong: list[dict[str, Any]] = [{"name": "x" * 300}, {"name": "\0"}]
    for fields in (*wrong, *({"expires_at": instant} for instant in (5, 2**70, -(2**70)))):
        with pytest.raises(InvalidInput):
            access.create_token(store, alice, **fields)


def test_found_tokens_are_remembered_for_a_moment_and_forgotten_when_revoked(
    store: Store, alice: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "CACHE_SECONDS", 60.0)
    row, secret = access.create_token(store, alice)
    assert access.authenticate_bearer(store, secret).name == "alice"
    with store.transaction() as tx:
        tx.execute(update(Token).values(expires_at=1))
    assert access.authenticate_bearer(store, secret).name == "alice"
    access.revoke_token(store, alice, row.id)
    with pytest.raises(NotAuthenticated):
        access.authenticate_bearer(store, secret)


# --------------------------------------------------------------------------------------------- executions


@pytest.fixture
def execution(store: Store, make_job: JobMaker, admin: Principal) -> execute.Claimed:
    """A running command and its token."""
    catalog.define(store, admin, {"name": "sleep", "command": {"argv": ["sleep", "1"]}})
    make_job(type="sleep")
    claimed = execute.claim(store, execute.Offer(uuid4(), "w", "n", 1, "default", frozenset()))
    assert claimed is not None
    assert claimed.token is not None
    return claimed


def test_the_token_of_an_execution_touches_that_attempt_only(
    store: Store, alice: Principal, execution: execute.Claimed
) -> None:
    principal = access.authenticate_bearer(store, execution.token or "")
    assert principal.execution == (execution.lease.job_id, 1)
    assert principal.user_id == alice.user_id
    assert principal.scopes == {Scope.READ}
    with pytest.raises(NotPermitted):
        access.require(principal, Scope.READ)
    with pytest.raises(NotPermitted):
        access.create_token(store, principal)
    assert access.list_tokens(store, principal).items == []
    with pytest.raises(NotFound):
        access.set_password(store, principal, "alice", PASSWORD)
    with pytest.raises(NotFound):
        control.act(store, principal, Event.CANCEL, execution.lease.job_id)


def test_the_token_of_an_execution_ends_with_it_and_with_its_lease(store: Store, execution: execute.Claimed) -> None:
    with store.transaction() as tx:
        tx.execute(update(Job).values(lease_until=1))
    with pytest.raises(NotAuthenticated):
        access.authenticate_bearer(store, execution.token or "")
    execute.finish(store, execution.lease, execute.Completed(), by="w")
    with pytest.raises(NotAuthenticated):
        access.authenticate_bearer(store, execution.token or "")


# ---------------------------------------------------------------------------------------------- passwords


def test_log_in_by_password(store: Store, admin: Principal) -> None:
    access.create_user(store, admin, "carol", password=PASSWORD)
    principal = access.authenticate_password(store, "carol", PASSWORD)
    assert (principal.name, principal.scopes) == ("carol", USER_SCOPES)
    assert access.authenticate_password(store, "carol", PASSWORD) == principal
    for name, password in (("carol", PASSWORD + "x"), ("carol", ""), ("dave", PASSWORD), ("", ""), ("\0", PASSWORD)):
        with pytest.raises(NotAuthenticated):
            access.authenticate_password(store, name, password)
    with store.reading() as connection:
        stored = connection.execute(select(User.password_hash).where(User.name == "carol")).scalar_one()
    assert stored is not None
    assert stored.startswith("$argon2id$")


def test_a_changed_or_removed_password_counts_at_once(store: Store, admin: Principal, alice: Principal) -> None:
    access.set_password(store, alice, "alice", PASSWORD)
    access.authenticate_password(store, "alice", PASSWORD)
    access.set_password(store, admin, "alice", PASSWORD + "2")
    with pytest.raises(NotAuthenticated):
        access.authenticate_password(store, "alice", PASSWORD)
    access.authenticate_password(store, "alice", PASSWORD + "2")
    access.set_password(store, alice, "alice", None)
    with pytest.raises(NotAuthenticated):
        access.authenticate_password(store, "alice", PASSWORD + "2")
    for wrong in ("short", "x" * 1001):
        with pytest.raises(InvalidInput):
            access.set_password(store, alice, "alice", wrong)


def test_basic_with_a_token_needs_its_users_name(store: Store, alice: Principal) -> None:
    _, secret = access.create_token(store, alice)
    assert access.authenticate_password(store, "alice", secret) == alice
    with pytest.raises(NotAuthenticated):
        access.authenticate_password(store, "bob", secret)


def test_a_right_password_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = credentials.hash_password(PASSWORD)
    assert credentials.password_fits(stored, PASSWORD)
    monkeypatch.setattr(credentials, "_verify", lambda *_: pytest.fail("hashed again"))
    assert credentials.password_fits(stored, PASSWORD)


# -------------------------------------------------------------------------------------------------- users


def test_users_are_made_by_admins(store: Store, admin: Principal, alice: Principal) -> None:
    made = access.create_user(store, admin, "carol", scopes=["jobs:read"])
    assert (made.name, made.scopes, made.has_password, made.disabled_at) == ("carol", ["jobs:read"], False, None)
    assert "password_hash" not in made._fields
    with pytest.raises(AlreadyExists):
        access.create_user(store, admin, "carol")
    with pytest.raises(NotPermitted):
        access.create_user(store, alice, "dave")
    with pytest.raises(InvalidInput):
        access.create_user(store, admin, "dave", scopes=["root"])
    for name in ("", "a:b", "a b", "\0", "x" * 300, "-x", "a\n", "é"):
        with pytest.raises(InvalidInput):
            access.create_user(store, admin, name)


def test_users_are_seen_by_admins_and_themselves(store: Store, admin: Principal, alice: Principal) -> None:
    assert access.find_user(store, alice, "alice").name == "alice"
    assert access.find_user(store, admin, "alice").name == "alice"
    for name in ("admin", "nobody", "\0"):
        with pytest.raises(NotFound):
            access.find_user(store, alice, name)
    with pytest.raises(NotFound):
        access.set_password(store, alice, "admin", PASSWORD)
    assert [row.name for row in access.list_users(store, admin).items] == ["admin", "alice"]
    with pytest.raises(NotPermitted):
        access.list_users(store, alice)
    with pytest.raises(NotPermitted):
        access.disable_user(store, alice, "admin")
    with pytest.raises(NotPermitted):
        access.disable_user(store, admin, "admin")
    with pytest.raises(NotFound):
        access.disable_user(store, admin, "nobody")


# -------------------------------------------------------------------------------------------------- audit


def test_what_is_done_is_audited(store: Store, admin: Principal, alice: Principal, make_job: JobMaker) -> None:
    access.create_user(store, admin, "carol")
    row, secret = access.create_token(store, admin, user="carol", name="ci")
    access.revoke_token(store, admin, row.id, "leaked")
    job = make_job()
    control.act(store, alice, Event.CANCEL, job.id, reason="wrong genome")
    entries = access.list_audit(store, admin).items
    assert [(entry.by, entry.action) for entry in entries] == [
        ("alice", "job.cancel"), ("admin", "token.revoke"), ("admin", "token.create"), ("admin", "user.create"),
    ]  # fmt: skip
    assert (entries[0].target, entries[0].reason) == (f"job/{job.id}", "wrong genome")
    assert secret not in repr(entries)
    assert len(access.list_audit(store, admin, {"by": "admin", "action": "token.revoke"}).items) == 1
    first = access.list_audit(store, admin, limit=3)
    assert len(access.list_audit(store, admin, cursor=first.next).items) == 1
    with pytest.raises(NotPermitted):
        access.list_audit(store, alice)
    for wrong in ({"at": "x"}, {"by": "\0"}):
        with pytest.raises(InvalidInput):
            access.list_audit(store, admin, wrong)
