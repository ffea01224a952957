"""SQL for values inside a JSON column, alike on SQLite and PostgreSQL.

A path is written with dots and reaches the database as a bound parameter. Each element is NULL where the path leads
nowhere or to a value of another type, so that comparisons never mix types and no cast can fail.
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import Boolean, Numeric, String, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

STEP = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
"""What one step of a path may be: the name of a member."""


class _Inside(FunctionElement[Any]):
    inherit_cache = True

    def __init__(self, column: Any, path: str) -> None:
        super().__init__(column, literal(path, String()))


class kind_at(_Inside):  # noqa: N801 - reads as the SQL function it is
    """number, string, boolean, null, object or array; NULL when there is nothing at the path."""

    type = String()
    inherit_cache = True
    name = "kind_at"


class number_at(_Inside):  # noqa: N801 - reads as the SQL function it is
    """The number at the path."""

    type = Numeric()
    inherit_cache = True
    name = "number_at"


class text_at(_Inside):  # noqa: N801 - reads as the SQL function it is
    """The string at the path; compared by code points."""

    type = String()
    inherit_cache = True
    name = "text_at"


class truth_at(_Inside):  # noqa: N801 - reads as the SQL function it is
    """The boolean at the path."""

    type = Boolean()
    inherit_cache = True
    name = "truth_at"


_SQLITE = {
    kind_at: "CASE json_type({column}, '$.' || {path}) WHEN 'text' THEN 'string' WHEN 'integer' THEN 'number' "
    "WHEN 'real' THEN 'number' WHEN 'true' THEN 'boolean' WHEN 'false' THEN 'boolean' "
    "ELSE json_type({column}, '$.' || {path}) END",
    number_at: "CASE WHEN json_type({column}, '$.' || {path}) IN ('integer', 'real') "
    "THEN json_extract({column}, '$.' || {path}) END",
    text_at: "CASE WHEN json_type({column}, '$.' || {path}) = 'text' THEN json_extract({column}, '$.' || {path}) END",
    truth_at: "CASE json_type({column}, '$.' || {path}) WHEN 'true' THEN 1 WHEN 'false' THEN 0 END",
}
_AT = "{column} #> string_to_array({path}, '.')"
_TEXT = "{column} #>> string_to_array({path}, '.')"
_POSTGRESQL = {
    kind_at: f"jsonb_typeof({_AT})",
    number_at: f"CASE WHEN jsonb_typeof({_AT}) = 'number' THEN ({_TEXT})::numeric END",
    text_at: f"(CASE WHEN jsonb_typeof({_AT}) = 'string' THEN {_TEXT} END COLLATE \"C\")",
    truth_at: f"CASE WHEN jsonb_typeof({_AT}) = 'boolean' THEN ({_TEXT})::boolean END",
}


def _register(element: type[_Inside], dialect: str, sql: str) -> None:
    @compiles(element, dialect)  # type: ignore[no-untyped-call,untyped-decorator,unused-ignore]  # untyped in SQLAlchemy
    def _compile(element: _Inside, compiler: SQLCompiler, **kw: Any) -> str:
        column, path = (compiler.process(each, **kw) for each in element.clauses)
        return "(" + sql.replace("{column}", column).replace("{path}", path) + ")"


for _element, _sql in _SQLITE.items():
    _register(_element, "sqlite", _sql)
for _element, _sql in _POSTGRESQL.items():
    _register(_element, "postgresql", _sql)
