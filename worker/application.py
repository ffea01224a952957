"""The Celery application: the composition root of Celery main and of the pool children that it forks."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_process_init

from broker_config import Settings, celery_settings
from shared.wire import TASK
from worker import child, logs
from worker.bootstep import BesideAgent, agent_of_this_worker

log = logging.getLogger(__name__)

CHILD_WITHIN = 60.0
"""seconds that a pool child may take to set itself up, on a machine that is busy with jobs"""

settings = Settings.from_env()
app = Celery("longshore", set_as_current=True)
app.conf.update(celery_settings(settings), worker_proc_alive_timeout=CHILD_WITHIN)
app.steps["worker"].add(BesideAgent)


@app.task(name=TASK, ignore_result=True)
def run(queue: str) -> None:
    """Runs the jobs of a queue: what every wake-up asks for."""
    # Imported here because only pool children need it: Celery main stays small.
    from worker.run import serve  # noqa: PLC0415 - only pool children need it

    serve(child.current(), queue)


@setup_logging.connect(weak=False)
def _set_up_logging(**_: Any) -> None:
    """Celery's log lines look like those of all other components."""
    logs.set_up(settings)


@worker_process_init.connect(weak=False)
def _begin_child(**_: Any) -> None:
    try:
        child.begin(settings, agent_of_this_worker())
    except Exception:
        # Celery would go on with a child that can run nothing; it replaces one that ends.
        log.exception("a pool child cannot be set up")
        time.sleep(1.0)
        os._exit(1)
