"""What users of Longshore import: declare job types, write job code, submit and steer jobs.

Everything is loaded at first use, so that `import longshore` costs next to nothing in a command or a test.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from longshore.backoff import Backoff
    from longshore.client import Client
    from longshore.declare import Input, job_type
    from longshore.errors import JobCancelled, JobError
    from longshore.job import Job

__all__ = ["Backoff", "Client", "Input", "Job", "JobCancelled", "JobError", "job_type"]

_HOMES = {
    "Backoff": "longshore.backoff",
    "Client": "longshore.client",
    "Input": "longshore.declare",
    "Job": "longshore.job",
    "JobCancelled": "longshore.errors",
    "JobError": "longshore.errors",
    "job_type": "longshore.declare",
}


def __getattr__(name: str) -> Any:
    """Load a public name from the module it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module 'longshore' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Show the public names although they are not loaded yet."""
    return sorted({*globals(), *__all__})
