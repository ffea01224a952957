"""The nouns: every table, each field documented where it is declared."""

from __future__ import annotations

from shared.models.catalog import JobType, Queue, Revision
from shared.models.declarative import Table
from shared.models.files import Role, StoredFile
from shared.models.fleet import Leadership, Worker
from shared.models.history import Execution, LogChunk, StatusRecord
from shared.models.jobs import Checkpoint, IdempotencyKey, Job, JobLabel
from shared.models.people import AuditEntry, Token, User

__all__ = [
    "AuditEntry",
    "Checkpoint",
    "Execution",
    "IdempotencyKey",
    "Job",
    "JobLabel",
    "JobType",
    "Leadership",
    "LogChunk",
    "Queue",
    "Revision",
    "Role",
    "StatusRecord",
    "StoredFile",
    "Table",
    "Token",
    "User",
    "Worker",
]
