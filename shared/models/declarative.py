"""The declarative parent of all tables and the names of their constraints."""

from __future__ import annotations

from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Table(DeclarativeBase):
    """Parent of all tables."""

    metadata = MetaData(naming_convention=NAMES)


def one_of(column: str, words: object) -> str:
    """The text of a CHECK that `column` holds one of `words` (an enum class) or NULL."""
    quoted = ", ".join(f"'{word}'" for word in words)  # type: ignore[attr-defined]  # any iterable of str enums
    return f"{column} IN ({quoted})"
