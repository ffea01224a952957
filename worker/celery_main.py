"""Celery main as the agent starts it: `python -P -m worker.celery_main worker --pool prefork ...`.

The same as `celery -A worker`, but for one thing: the directory that somebody happens to be in cannot lend us a module
named `worker`.
"""

from __future__ import annotations

import sys

from worker.application import app

if __name__ == "__main__":
    app.worker_main(sys.argv[1:])
