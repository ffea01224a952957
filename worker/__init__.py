"""The Celery side: pool children that run jobs, and the agent beside them that holds their leases.

`celery -A worker worker` and `python -m worker.agent` both start a worker. The Celery application `app` is made at
its first use, so that the small processes of this package (the shim, tests of a part) start without Celery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worker.application import app

__all__ = ["app"]


def __getattr__(name: str) -> Any:
    """Make the Celery application when somebody asks for it."""
    if name != "app":
        raise AttributeError(f"module 'worker' has no attribute {name!r}")
    # A composition root: see the module docstring for why it is not imported above.
    from worker.application import app  # noqa: PLC0415 - composition root

    return app
