"""Celery main as the agent starts it: `python -P -m worker.celery_main worker --pool prefork ...`.

The same as `celery -A worker`, but for one thing: the directory that somebody happens to be in cannot lend us a module
named `worker`.
"""

from __future__ import annotations

import sys
import warnings

from celery.exceptions import SecurityWarning

from worker.application import app

if __name__ == "__main__":
    # Celery fears pickled messages when it runs as root; only JSON is taken here.
    warnings.simplefilter("ignore", SecurityWarning)
    app.worker_main(sys.argv[1:])
