"""Who asks: the person or the execution on whose behalf something is done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Scope(StrEnum):
    """What a token may be used for."""

    READ = "jobs:read"
    SUBMIT = "jobs:submit"
    CANCEL = "jobs:cancel"
    REMOVE = "jobs:remove"
    WORKERS = "workers:control"
    ADMIN = "admin"


USER_SCOPES = frozenset({Scope.READ, Scope.SUBMIT, Scope.CANCEL, Scope.REMOVE})
"""What a user may do with a password, or with a token made without naming scopes."""


@dataclass(frozen=True)
class Principal:
    """A user with the scopes of the credential used, or one execution of one job."""

    user_id: UUID
    name: str
    scopes: frozenset[Scope] = USER_SCOPES
    execution: tuple[UUID, int] | None = None
    """(job id, attempt) when the credential is an execution's token: it may touch that attempt only"""

    @property
    def is_admin(self) -> bool:
        """Admins see and steer everybody's jobs."""
        return Scope.ADMIN in self.scopes

    def may(self, scope: Scope) -> bool:
        """Whether the credential carries `scope`; admin carries all."""
        return self.is_admin or scope in self.scopes
