"""Column types and SQL expressions that mean the same on SQLite and PostgreSQL.

Instants are BIGINT microseconds since 1970 UTC. `now()` is the database's clock, read when the row is written (on
SQLite the machine's, through a function that the store registers on each connection). Leases count `lease_now()`: on
PostgreSQL the same clock; on SQLite CLOCK_BOOTTIME, which no clock change moves, together with the boot's id, because
a lease from before a restart of the machine is void.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Integer
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

Instant = BigInteger
"""Microseconds since 1970 UTC."""

Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

Serial = BigInteger().with_variant(Integer, "sqlite")
"""A 64-bit row number; SQLite numbers rows by itself only in a column it calls INTEGER."""

MICROSECONDS = 1_000_000
_PG_NOW = "(extract(epoch from clock_timestamp()) * 1000000)::bigint"


class now(FunctionElement[int]):  # noqa: N801 - reads as the SQL function it is
    """The database's clock, in microseconds since 1970 UTC."""

    type = BigInteger()
    inherit_cache = True
    name = "now"


class lease_now(FunctionElement[int]):  # noqa: N801 - reads as the SQL function it is
    """The clock that leases count, in microseconds; one value within a statement, so that its parts agree."""

    type = BigInteger()
    inherit_cache = True
    name = "lease_now"


class boot_id(FunctionElement[str]):  # noqa: N801 - reads as the SQL function it is
    """Which boot of the machine a lease belongs to; empty where leases count the database's own clock."""

    inherit_cache = True
    name = "boot_id"


class greatest(FunctionElement[Any]):  # noqa: N801 - reads as the SQL function it is
    """The largest of its arguments."""

    inherit_cache = True
    name = "greatest"


class current_xact(FunctionElement[int]):  # noqa: N801 - reads as the SQL function it is
    """The number of the writing transaction, by which the feed is ordered on PostgreSQL; 0 on SQLite."""

    type = BigInteger()
    inherit_cache = True
    name = "current_xact"


class oldest_xact(FunctionElement[int]):  # noqa: N801 - reads as the SQL function it is
    """The oldest transaction still open; rows of that one and later may yet be joined by others."""

    type = BigInteger()
    inherit_cache = True
    name = "oldest_xact"


_ON_POSTGRESQL: dict[type[FunctionElement[Any]], str] = {
    now: _PG_NOW,
    lease_now: "(extract(epoch from statement_timestamp()) * 1000000)::bigint",
    boot_id: "''",
    current_xact: "pg_current_xact_id()::text::bigint",
    oldest_xact: "pg_snapshot_xmin(pg_current_snapshot())::text::bigint",
}
_ON_SQLITE: dict[type[FunctionElement[Any]], str] = {
    now: "longshore_now()",
    lease_now: "longshore_lease_now()",
    boot_id: "longshore_boot_id()",
    current_xact: "0",
    oldest_xact: "1",
}


def _register(element: type[FunctionElement[Any]], dialect: str, sql: str) -> None:
    @compiles(element, dialect)  # type: ignore[no-untyped-call,untyped-decorator,unused-ignore]  # untyped in SQLAlchemy
    def _compile(_element: ColumnElement[Any], _compiler: SQLCompiler, **_kw: object) -> str:
        return sql


for _element, _sql in _ON_POSTGRESQL.items():
    _register(_element, "postgresql", _sql)
for _element, _sql in _ON_SQLITE.items():
    _register(_element, "sqlite", _sql)


@compiles(greatest, "postgresql")  # type: ignore[no-untyped-call,untyped-decorator,unused-ignore]  # untyped in SQLAlchemy
def _greatest_postgresql(element: greatest, compiler: SQLCompiler, **kw: Any) -> str:
    return f"greatest({compiler.process(element.clauses, **kw)})"


@compiles(greatest, "sqlite")  # type: ignore[no-untyped-call,untyped-decorator,unused-ignore]  # untyped in SQLAlchemy
def _greatest_sqlite(element: greatest, compiler: SQLCompiler, **kw: Any) -> str:
    return f"max({compiler.process(element.clauses, **kw)})"
