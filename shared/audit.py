"""The audit trail: who did what to what, written in the transaction that does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import insert

from shared.models import AuditEntry
from shared.store import Transaction


def audit(
    tx: Transaction,
    by: str,
    action: str,
    target: str,
    reason: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Note that `by` did `action` (such as `token.create`) to `target` (such as `token/<id>`)."""
    entry = {"by": by, "action": action, "target": target, "reason": reason, "detail": detail and dict(detail)}
    tx.execute(insert(AuditEntry), [entry])
