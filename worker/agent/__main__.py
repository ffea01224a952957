"""`python -m worker.agent`: starts a worker, or joins one that `celery -A worker worker` began. Composition root."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from uuid_utils.compat import uuid7

from broker_config import Settings, broker_connection, timings
from shared.enqueue import Courier
from shared.errors import LongshoreError
from shared.files import FileStore
from shared.presence import WorkerCard
from shared.store import Store
from shared.upkeep import Upkeep
from shared.wire import Wire
from worker import exits, launch, logs, slots, trees
from worker.agent import opening
from worker.agent.agent import Agent
from worker.agent.celery import CeleryMain, command
from worker.agent.drain import Drain
from worker.agent.ends import Ends
from worker.agent.heartbeat import Heartbeat
from worker.agent.ladder import Ladder
from worker.agent.roster import Roster
from worker.agent.strays import Strays
from worker.slots import Slots

log = logging.getLogger("worker.agent")

SPARE_SLOTS = 8
"""slots beyond those of living pool children: that of a dead one is kept until its execution is ended"""


def main() -> int:
    """Runs a worker; gives the exit status."""
    options = _options()
    settings = Settings.from_env()
    logs.set_up(settings)
    count = options.slots or settings.slots
    queues = tuple(options.queues.split(",")) if options.queues else settings.queues
    trees.set_subreaper()
    opening.directories(settings)
    launch.sweep(settings.run_dir)
    try:
        return _run(settings, count, queues, options)
    finally:
        launch.forget(settings.run_dir, os.getpid())
        exits.exits_file(settings.run_dir, os.getpid()).unlink(missing_ok=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m worker.agent", description="Run a Longshore worker.")
    parser.add_argument("--adopt", type=int, help="Celery main that runs already, a child of this process")
    parser.add_argument("--launcher", type=int, default=0, help="process without which the worker ends, and soon")
    parser.add_argument("--slots", type=int, help="how many jobs run at once; else the setting")
    parser.add_argument("--queues", help="queues to serve, by commas; else the setting")
    return parser.parse_args()


def _run(settings: Settings, count: int, queues: tuple[str, ...], options: argparse.Namespace) -> int:
    main_process = CeleryMain(command(opening.name_of(settings), count, queues, settings.log_level), options.adopt)
    memory = slots.create(launch.slots_file(settings.run_dir, os.getpid()), count * 2 + SPARE_SLOTS)
    memory.set_agent(os.getpid())
    if not options.adopt:
        main_process.start()
    try:
        opening.check_user(settings)
        declared = opening.declarations(settings)
        worker = Worker(settings, memory, main_process, count, queues)
        return worker.run(declared, options.launcher)
    except LongshoreError as error:
        log.error("%s", error)  # noqa: TRY400 - the message says it all
        return 1
    finally:
        main_process.kill()


class Worker:
    """The parts of one launch, put together."""

    def __init__(
        self, settings: Settings, memory: Slots, main_process: CeleryMain, count: int, queues: tuple[str, ...]
    ) -> None:
        self._settings = settings
        self._memory = memory
        self._count = count
        self._queues = queues
        self._id = uuid7()
        self._offers: frozenset[str] = frozenset()
        self._stop = threading.Event()
        times, wake = timings(settings), threading.Event()
        self._wire = Wire(*broker_connection(settings))
        self._store = Store(settings.database_url, pool_size=4, keep_seconds=settings.keep)
        self._store.after_commit = Courier(self._store, self._wire, times.presence).deliver
        files = FileStore(settings.files_dir, settings.max_upload)
        self._upkeep = Upkeep(self._store, self._wire, times, self._id, key_days=settings.key_days, files=files)
        name, agent = opening.name_of(settings), os.getpid()
        roster = Roster(memory)
        self._ends = Ends(self._store, roster, name, settings.work_dir, settings.run_dir, agent, wake.set)
        ladder = Ladder(memory, times, self._ends.suspended)
        strays = Strays(self._store, roster, self._id, name)
        self._heartbeat = Heartbeat(self._store, memory, roster, times, self._card, strays, wake.set)
        drain = Drain(settings.drain, memory, roster, ladder, main_process)
        self._agent = Agent(memory, roster, main_process, ladder, self._heartbeat, self._ends, drain, wake)

    def run(self, declared: Sequence[Mapping[str, Any]], launcher: int) -> int:
        """Runs until the worker has ended; gives the exit status."""
        self._agent.end_without(launcher)
        self._in_thread(lambda: self._open_up(declared))
        self._in_thread(lambda: self._ends.run(self._stop))
        try:
            return self._agent.run()
        finally:
            self._ends.give_up()
            self._stop.set()
            self._heartbeat.farewell()

    def _open_up(self, declared: Sequence[Mapping[str, Any]]) -> None:
        try:
            self._offers = opening.open_up(self._store, self._settings, self._id, declared)
        except Exception:
            log.exception("the worker cannot start")
            self._agent.fail()
            return
        self._in_thread(lambda: self._heartbeat.run(self._stop))
        self._in_thread(lambda: self._upkeep.run(self._stop))
        self._in_thread(lambda: self._wire.listen(self._heartbeat.hint, self._stop))
        name = opening.name_of(self._settings)
        log.info("%s serves %s with %d slots", name, ", ".join(self._queues), self._count)

    def _card(self) -> WorkerCard:
        draining = self._memory.draining
        return opening.card(self._settings, self._id, self._count, self._queues, self._offers, draining=draining)

    @staticmethod
    def _in_thread(target: Callable[[], object]) -> None:
        threading.Thread(target=target, name="agent", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
