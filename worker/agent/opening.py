"""What must be on record before a worker claims: its job types, and who it is."""

from __future__ import annotations

import json
import logging
import os
import pwd
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any
from uuid import UUID

from broker_config import Settings
from shared import catalog, migrations
from shared.errors import LongshoreError
from shared.presence import WorkerCard
from shared.store import Store
from worker.insist import insist
from worker.launch import Launch
from worker.trees import start_time

log = logging.getLogger(__name__)

LOAD_WITHIN = 120.0
"""seconds that the import of all job modules may take"""


TABLES_LOOK = 0.5
"""seconds between two looks at a database that is not prepared yet"""


class CannotStart(LongshoreError):
    """The worker cannot start."""

    code = "worker-cannot-start"


def name_of(settings: Settings) -> str:
    """The worker's name: in status records, and as Celery knows it."""
    return f"worker-{os.getpid()}@{settings.node}"


def check_user(settings: Settings) -> None:
    """Refuses to start where commands shall run as a user whom this process cannot become."""
    if not settings.run_as:
        return
    try:
        pwd.getpwnam(settings.run_as)
    except KeyError:
        raise CannotStart(f"LONGSHORE_RUN_AS: there is no user {settings.run_as!r}; make it, or name another") from None
    if os.getuid() != 0:
        raise CannotStart(f"LONGSHORE_RUN_AS: only root can run commands as {settings.run_as}")


def declarations(settings: Settings) -> list[Mapping[str, Any]]:
    """The job types that the configured modules declare; they are imported in a process of their own."""
    target = settings.run_dir / f"worker-{os.getpid()}.types"
    try:
        argv = [sys.executable, "-P", "-m", "worker.declarations", str(target)]
        done = subprocess.run(argv, check=False, timeout=LOAD_WITHIN, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise CannotStart(f"importing the job modules took more than {LOAD_WITHIN:g} s") from error
    if done.returncode != 0:
        raise CannotStart
    found: list[Mapping[str, Any]] = json.loads(target.read_text())
    target.unlink()
    return found


def open_up(store: Store, settings: Settings, worker_id: UUID, declared: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Puts the job types on record and makes the launch known; gives the revisions that this worker can run.

    Waits for a database that is away.
    """
    name = name_of(settings)
    await_tables(store)
    insist(lambda: catalog.declare(store, declared, name))
    interfaces = catalog.interfaces(declared)
    offers = insist(lambda: catalog.with_interfaces(store, interfaces))
    agent = os.getpid()
    Launch(worker_id, name, settings.node, agent, start_time(agent) or 0, interfaces).write(settings.run_dir)
    return offers


def await_tables(store: Store) -> None:
    """Waits until the database is that of this release: whoever prepares it may still be at it."""
    told = False
    while not insist(lambda: migrations.is_current(store)):
        if not told:
            log.warning("the database is not prepared for this release; waiting for `longshore db upgrade`")
            told = True
        time.sleep(TABLES_LOOK)


def card(
    settings: Settings, worker_id: UUID, slots: int, queues: Sequence[str], offers: frozenset[str], *, draining: bool
) -> WorkerCard:
    """What the worker says of itself."""
    return WorkerCard(
        id=worker_id,
        name=name_of(settings),
        node=settings.node,
        pid=os.getpid(),
        slots=slots,
        queues=queues,
        offers=sorted(offers),
        versions={"longshore": version("longshore"), "celery": version("celery"), "python": sys.version.split()[0]},
        draining=draining,
    )


def directories(settings: Settings) -> None:
    """Makes what must be there, closed to others; commands that run as somebody else must reach their own."""
    settings.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.work_dir.mkdir(mode=0o711 if settings.run_as else 0o700, parents=True, exist_ok=True)
