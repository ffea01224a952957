"""What the API answers, as typed objects.

Every field has a default and fields that are not known here are kept in `raw`, so that this client works with
older and newer servers alike. Instants are aware datetimes in UTC, durations are seconds, sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Self

FINAL_STATES = frozenset({"completed", "failed", "cancelled"})
STATES = ("draft", "pending", "blocked", "queued", "running", "paused", "completed", "failed", "cancelled")


def instant(text: str) -> datetime:
    """Read an ISO 8601 instant; one without an offset is UTC."""
    when = datetime.fromisoformat(text)
    return when if when.tzinfo else when.replace(tzinfo=UTC)


_AS_INSTANT: Mapping[str, Any] = {"read": instant}
"""Metadata of a field whose JSON value is turned into an object."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """One JSON object of the API."""

    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """the object as it came"""

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Make the object from its JSON form."""
        known: dict[str, Any] = {"raw": document}
        for each in fields(cls):
            value = document.get(each.name)
            if each.name != "raw" and value is not None:
                known[each.name] = each.metadata.get("read", _as_is)(value)
        return cls(**known)


def _as_is(value: Any) -> Any:
    return value


@dataclass(frozen=True, kw_only=True)
class ErrorInfo(Document):
    """Why an attempt failed: a stable name, a title, where the cause lies, and what was said."""

    name: str = ""
    title: str = ""
    category: str = ""
    message: str = ""
    details: Any = None


@dataclass(frozen=True, kw_only=True)
class FlagInfo(Document):
    """What was asked of the worker and is not acknowledged yet: pause or cancel, by whom and why."""

    kind: str = ""
    mode: str | None = None
    by: str | None = None
    reason: str | None = None
    at: datetime | None = field(default=None, metadata=_AS_INSTANT)


@dataclass(frozen=True, kw_only=True)
class Job(Document):
    """One job as it was when it was asked for."""

    id: str = ""
    number: int = 0
    type: str = ""
    version: str = ""
    revision: str = ""
    title: str = ""
    labels: list[str] = field(default_factory=list)
    owner: str = ""
    state: str = ""
    view: str = ""
    flag: FlagInfo | None = field(default=None, metadata={"read": FlagInfo.read})
    suspended: bool = False
    queue: str = ""
    priority: int = 100
    args: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] | None = None
    not_before: datetime | None = field(default=None, metadata=_AS_INSTANT)
    timeout: float | None = None
    max_attempts: int = 1
    backoff: dict[str, Any] = field(default_factory=dict)
    pause_at: str | None = None
    attempt: int = 0
    burnt: int = 0
    rerun: int = 0
    stage: str | None = None
    progress: float = 0.0
    done: float | None = None
    total: float | None = None
    message: str = ""
    error: ErrorInfo | None = field(default=None, metadata={"read": ErrorInfo.read})
    result: Any = None
    created_at: datetime | None = field(default=None, metadata=_AS_INSTANT)
    updated_at: datetime | None = field(default=None, metadata=_AS_INSTANT)
    started_at: datetime | None = field(default=None, metadata=_AS_INSTANT)
    finished_at: datetime | None = field(default=None, metadata=_AS_INSTANT)
    expires_at: datetime | None = field(default=None, metadata=_AS_INSTANT)
    links: dict[str, Any] = field(default_factory=dict)

    @property
    def is_final(self) -> bool:
        """Whether it is completed, failed or cancelled; only a rerun leads out of these."""
        return self.state in FINAL_STATES

    @property
    def actions(self) -> list[str]:
        """What may be asked of it now, for example pause or cancel."""
        return list(self.links.get("actions") or [])

    @property
    def shown_state(self) -> str:
        """The state for people: pausing or cancelling while the worker has yet to acknowledge a flag."""
        return self.view or self.state


@dataclass(frozen=True, kw_only=True)
class StatusRecord(Document):
    """One entry of a job's history."""

    id: str | int = ""
    job: str = ""
    seq: int = 0
    event: str = ""
    state: str = ""
    flag: str | None = None
    attempt: int = 0
    rerun: int = 0
    stage: str | None = None
    progress: float = 0.0
    done: float | None = None
    total: float | None = None
    message: str = ""
    error: ErrorInfo | None = field(default=None, metadata={"read": ErrorInfo.read})
    by: str | None = None
    reason: str | None = None
    at: datetime | None = field(default=None, metadata=_AS_INSTANT)

    @property
    def is_final(self) -> bool:
        """Whether the job was final with this record."""
        return self.state in FINAL_STATES


@dataclass(frozen=True, kw_only=True)
class Execution(Document):
    """One run of a job on one worker."""

    attempt: int = 0
    node: str = ""
    worker: str = ""
    pid: int | None = None
    claimed_at: datetime | None = field(default=None, metadata=_AS_INSTANT)
    ended_at: datetime | None = field(default=None, metadata=_AS_INSTANT)
    outcome: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    error: ErrorInfo | None = field(default=None, metadata={"read": ErrorInfo.read})


@dataclass(frozen=True, kw_only=True)
class StoredFile(Document):
    """A file in the store: an input that was uploaded, or an output of a job."""

    id: str = ""
    name: str = ""
    size: int = 0
    sha256: str = ""
    media_type: str = ""
    role: str = ""
    job: str | None = None
    created_at: datetime | None = field(default=None, metadata=_AS_INSTANT)


@dataclass(frozen=True, kw_only=True)
class Why(Document):
    """Why a job is where it is: a stable reason code, an explanation, its place in the queue, an estimate."""

    reason: str = ""
    detail: str = ""
    position: int | None = None
    estimate: Any = None


@dataclass(frozen=True, kw_only=True)
class JobType(Document):
    """A named, versioned kind of work, with its present declaration."""

    name: str = ""
    version: str = ""
    kind: str = ""
    title: str = ""
    description: str = ""
    revision: str = ""
    active: bool = True
    paused: bool = False
    pause_reason: str | None = None
    declaration: dict[str, Any] = field(default_factory=dict)

    @property
    def args(self) -> dict[str, Any]:
        """JSON Schema of its args."""
        return dict(self.declaration.get("args") or {})

    @property
    def inputs(self) -> dict[str, Any]:
        """Input name -> what may be given there."""
        return dict(self.declaration.get("inputs") or {})

    @property
    def stages(self) -> list[str]:
        """Names of its stages, in order."""
        return list(self.declaration.get("stages") or [])


@dataclass(frozen=True, kw_only=True)
class Token(Document):
    """A credential. `token`, the secret itself, is there only in the answer to its creation."""

    id: str = ""
    name: str = ""
    user: str = ""
    prefix: str = ""
    scopes: list[str] = field(default_factory=list)
    created_at: datetime | None = field(default=None, metadata=_AS_INSTANT)
    expires_at: datetime | None = field(default=None, metadata=_AS_INSTANT)
    revoked_at: datetime | None = field(default=None, metadata=_AS_INSTANT)
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class User(Document):
    """A person or program that owns jobs."""

    id: str = ""
    name: str = ""
    scopes: list[str] = field(default_factory=list)
    has_password: bool = False
    created_at: datetime | None = field(default=None, metadata=_AS_INSTANT)
    disabled_at: datetime | None = field(default=None, metadata=_AS_INSTANT)


@dataclass(frozen=True, kw_only=True)
class Counts(Document):
    """What became of an action on many jobs."""

    matched: int = 0
    changed: int = 0
    flagged: int = 0
    refused: int = 0


@dataclass(frozen=True, kw_only=True)
class Queue(Document):
    """What waits in a queue, what runs, and who serves it."""

    name: str = ""
    paused: bool = False
    pause_reason: str | None = None
    queued: int = 0
    due: int = 0
    running: int = 0
    oldest_at: datetime | None = field(default=None, metadata=_AS_INSTANT)
    workers: int = 0
    slots: int = 0


@dataclass(frozen=True, kw_only=True)
class Worker(Document):
    """One launch of a worker."""

    id: str = ""
    name: str = ""
    node: str = ""
    pid: int = 0
    slots: int = 0
    holds: int = 0
    queues: list[str] = field(default_factory=list)
    present: bool = True
    draining: bool = False
    started_at: datetime | None = field(default=None, metadata=_AS_INSTANT)
    seen_at: datetime | None = field(default=None, metadata=_AS_INSTANT)
