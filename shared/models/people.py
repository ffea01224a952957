"""Users, their tokens, and the audit trail."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.declarative import Table
from shared.models.types import Instant, Json, Serial, now


class User(Table):
    """A person or program that owns jobs."""

    __tablename__ = "user_account"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    password_hash: Mapped[str | None] = mapped_column(String(200), doc="argon2id; NULL: no log-in by password")
    scopes: Mapped[list[str]] = mapped_column(Json, doc="what the user may do at most")
    created_at: Mapped[int] = mapped_column(Instant, default=now())
    disabled_at: Mapped[int | None] = mapped_column(Instant, doc="no credential of theirs is accepted after this")


class Token(Table):
    """A credential of a user; the secret itself is shown once and never stored."""

    __tablename__ = "token"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("user_account.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(200), default="", doc="what it is for, in its owner's words")
    prefix: Mapped[str] = mapped_column(String(12), doc="first characters of the secret, to tell tokens apart")
    sha256: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    scopes: Mapped[list[str]] = mapped_column(Json)
    created_at: Mapped[int] = mapped_column(Instant, default=now())
    expires_at: Mapped[int | None] = mapped_column(Instant)
    revoked_at: Mapped[int | None] = mapped_column(Instant)


class AuditEntry(Table):
    """Who did what to what, when; kept when its target is gone."""

    __tablename__ = "audit_entry"

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    at: Mapped[int] = mapped_column(Instant, default=now())
    by: Mapped[str] = mapped_column(String(200), doc="name of the user, or of the part of the broker that acted")
    action: Mapped[str] = mapped_column(String(50), doc="for example job.cancel, token.create")
    target: Mapped[str] = mapped_column(String(300), doc="for example job/<id>")
    reason: Mapped[str | None] = mapped_column(String(2000))
    detail: Mapped[dict[str, Any] | None] = mapped_column(Json)

    __table_args__ = (Index("ix_audit_entry_target", "target"), {"sqlite_autoincrement": True})
