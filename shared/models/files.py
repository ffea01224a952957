"""Files that jobs read and write; their bytes lie in the file store, their truth in these rows."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Integer, LargeBinary, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.declarative import Table, one_of
from shared.models.types import Instant, Serial, now


class Role(StrEnum):
    """What a file is to a job."""

    INPUT = "input"
    OUTPUT = "output"


class StoredFile(Table):
    """One file. An output exists for others only by this row, which its fenced execution wrote."""

    __tablename__ = "stored_file"

    number: Mapped[int] = mapped_column(Serial, primary_key=True)
    id: Mapped[UUID] = mapped_column(Uuid, unique=True)
    owner_id: Mapped[UUID] = mapped_column(Uuid, index=True)
    job_id: Mapped[UUID | None] = mapped_column(Uuid, doc="the job that wrote it; NULL for uploads")
    attempt: Mapped[int | None] = mapped_column(Integer, doc="the execution that wrote it")
    role: Mapped[str] = mapped_column(String(10))
    name: Mapped[str] = mapped_column(String(255), doc="as its author named it; relative, no dots that climb")
    path: Mapped[str] = mapped_column(String(500), doc="where it lies below the file store, named by us")
    size: Mapped[int] = mapped_column(Serial, doc="bytes")
    sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    media_type: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[int] = mapped_column(Instant, default=now())

    __table_args__ = (
        CheckConstraint(one_of("role", Role), name="role"),
        Index("ix_stored_file_job_id", "job_id", "number"),
        {"sqlite_autoincrement": True},
    )
