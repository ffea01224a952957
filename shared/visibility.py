"""Whose jobs a principal sees and steers: their own, all for an admin, its own job for an execution."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Select, select, true
from sqlalchemy.sql.elements import ColumnElement

from shared.models import Job, User
from shared.principal import Principal


def visible(principal: Principal) -> ColumnElement[bool]:
    """The condition, for every query on jobs, that the principal may know of the job."""
    if principal.execution is not None:
        return Job.id == principal.execution[0]
    return true() if principal.is_admin else Job.owner_id == principal.user_id


def steerable(principal: Principal) -> ColumnElement[bool]:
    """The condition that the principal may act on the job; an execution may act on none."""
    if principal.execution is not None:
        return Job.id.is_(None)
    return visible(principal)


@cache
def job_with_owner() -> Select[Any]:
    """All columns of jobs and their owner's name as `owner`."""
    return select(*Job.__table__.columns, User.name.label("owner")).join(User, User.id == Job.owner_id)
