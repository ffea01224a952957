"""An installation in the background: starting it, waiting until it serves, and stopping it from elsewhere."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from broker_config import Settings, child_environment
from launcher.datadir import DataDirectory, Holder
from launcher.logs import last_lines
from launcher.supervisor import START_WITHIN, StartFailed
from shared.errors import LongshoreError

LOOK = 0.05
SPARE = 30.0
"""seconds granted for stopping beyond what the worker may take"""


class StillRuns(LongshoreError):
    """It did not stop in time."""

    code = "still-runs"


def start(settings: Settings) -> Holder:
    """Start the supervisor in the background; returns when it serves. Raises StartFailed with the reason."""
    directory = DataDirectory(settings)
    directory.make(settings)
    log = directory.logs / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "launcher"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=child_environment(settings),
            start_new_session=True,
        )
    deadline = time.monotonic() + 2 * START_WITHIN
    while process.poll() is None and time.monotonic() < deadline:
        holder = directory.holder()
        if holder and holder.url and holder.identity.pid == process.pid:
            return holder
        time.sleep(LOOK)
    if process.poll() is None:
        process.terminate()
    raise StartFailed(_reason(log))


def _reason(log: Path) -> str:
    """What the supervisor said at its end: everything after its `Error: `."""
    said = last_lines(log, 40)
    _, found, reason = f"\n{said}".partition("\nError: ")
    return reason if found else said or "it ended without a word"


def stop(settings: Settings, *, now: bool = False) -> Holder | None:
    """Stop what runs on the data directory and wait until it is gone; None when nothing ran."""
    directory = DataDirectory(settings)
    holder = directory.holder()
    if holder is None:
        if directory.is_held():
            raise StillRuns(f"something holds {directory.path} and has not said who it is yet; try again")
        return None
    holder.identity.send(signal.SIGTERM)
    deadline = time.monotonic() + settings.drain + settings.grace_kill + SPARE
    while holder.identity.lives():
        if now and holder.identity.send(signal.SIGTERM):
            time.sleep(LOOK * 4)
        if time.monotonic() > deadline:
            raise StillRuns(f"process {holder.identity.pid} still runs; see {directory.logs}")
        time.sleep(LOOK)
    return holder
