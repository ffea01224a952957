"""Our own API, one file for each resource."""

from __future__ import annotations

from api.native import (
    actions,
    audit,
    events,
    executions,
    files,
    job_types,
    jobs,
    logs,
    people,
    queues,
    records,
    tokens,
    updates,
    workers,
)

RESOURCES = (
    jobs.resource,
    actions.resource,
    records.resource,
    executions.resource,
    logs.resource,
    events.resource,
    updates.resource,
    files.resource,
    job_types.resource,
    queues.resource,
    workers.resource,
    tokens.resource,
    people.resource,
    audit.resource,
)
"""In the order in which the documentation shows them."""
