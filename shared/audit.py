"""The audit trail: who did what to what, written in the transaction that does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import insert

from shared.errors import FieldProblem, InvalidInput
from shared.json_values import is_fit_text
from shared.models import AuditEntry
from shared.store import Transaction

MAX_REASON = 2000


def checked_reason(reason: str | None) -> str | None:
    """The reason that somebody gives for what they do; raises InvalidInput for one that cannot be kept."""
    if reason is not None and (len(reason) > MAX_REASON or not is_fit_text(reason)):
        raise InvalidInput(problems=[FieldProblem("reason", "is not valid", f"at most {MAX_REASON} characters")])
    return reason


def audit(
    tx: Transaction,
    by: str,
    action: str,
    target: str,
    reason: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Note that `by` did `action` (such as `token.create`) to `target` (such as `token/<id>`)."""
    entry = {
        "by": by,
        "action": action,
        "target": target,
        "reason": checked_reason(reason),
        "detail": detail and dict(detail),
    }
    tx.execute(insert(AuditEntry), [entry])


def audit_all(tx: Transaction, by: str, action: str, targets: Mapping[str, Mapping[str, Any]]) -> None:
    """Note that `by` did `action` to each of `targets`, which are given with their details."""
    entries = [{"by": by, "action": action, "target": target, "detail": dict(each)} for target, each in targets.items()]
    tx.execute(insert(AuditEntry), entries)
