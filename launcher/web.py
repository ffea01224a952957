"""The web server of the API: one gunicorn worker with enough threads for requests and for open streams.

`docs/explanation/web-server.md` has the measurements behind the choice. Run as `python -m launcher.web`, with the
number of an inherited listening socket where the supervisor has bound one.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]  # ships no types

from broker_config import Settings
from launcher import guard
from shared.log_lines import configuration

STOP_WITHIN = 4
"""seconds in which open requests may end after SIGTERM; streams are told at once"""

SPARE_CONNECTIONS = 1000
"""connections kept open beyond those being answered, so that clients which keep theirs are not turned away"""


class ApiServer(BaseApplication):  # type: ignore[misc]  # its parent is untyped
    """gunicorn, configured by our settings alone: no files, no command line, no control socket."""

    def __init__(self, settings: Settings, bind: str) -> None:
        self.settings = settings
        self.bind = bind
        super().__init__()

    def load_config(self) -> None:
        """Hand over the options, called by gunicorn."""
        for name, value in gunicorn_options(self.settings, self.bind).items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Make the application in the serving process, called by gunicorn after the fork."""
        # By name: the launcher starts the API and knows nothing else about it.
        return importlib.import_module("api").create_app(self.settings)


def gunicorn_options(settings: Settings, bind: str) -> dict[str, Any]:
    """Options by gunicorn's names."""
    threads = settings.api_threads + settings.max_streams
    return {
        "bind": bind,
        "workers": 1,
        "worker_class": "gthread",
        "threads": threads,
        "worker_connections": threads + SPARE_CONNECTIONS,
        "keepalive": 15,
        "timeout": 60,
        "graceful_timeout": STOP_WITHIN,
        "logconfig_dict": log_configuration(settings),
        "control_socket_disable": True,
        "proc_name": "longshore-api",
        "post_fork": die_with_parent,
        "post_worker_init": end_streams_on_stop,
        "worker_exit": close,
    }


def log_configuration(settings: Settings) -> dict[str, Any]:
    """The lines of gunicorn among ours, in the same form."""
    found = configuration(settings.log_level, settings.log_format)
    found["loggers"]["gunicorn.error"] = {"level": settings.log_level.upper(), "handlers": [], "propagate": True}
    found["loggers"]["gunicorn.access"] = {"level": "WARNING", "handlers": [], "propagate": True}
    return found


def die_with_parent(arbiter: Any, _worker: Any) -> None:
    """Let the serving process end with its arbiter; open streams would keep it for ever."""
    guard.prctl(guard.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != arbiter.pid:
        os._exit(1)


def end_streams_on_stop(worker: Any) -> None:
    """Let SIGTERM end the open streams at once, so that only short requests are left to wait for."""

    def stop(number: int, frame: FrameType | None) -> None:
        # A thread, because a signal handler must not wait for a lock that the code it interrupted may hold.
        threading.Thread(target=_installation(worker).drain, name="drain", daemon=True).start()
        worker.handle_exit(number, frame)

    signal.signal(signal.SIGTERM, stop)


def close(_arbiter: Any, worker: Any) -> None:
    """Give back what the serving process holds: connections, leadership of upkeep."""
    if getattr(worker, "wsgi", None) is not None:  # one that could not make the application has none
        _installation(worker).close()


def _installation(worker: Any) -> Any:
    return worker.wsgi.extensions["longshore"]


def serve(settings: Settings, inherited: int | None = None) -> None:
    """Serve until told to stop; on the inherited socket, or on the host and port of the settings."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    ApiServer(settings, f"fd://{inherited}" if inherited is not None else f"{host}:{settings.port}").run()


if __name__ == "__main__":
    serve(Settings.from_env(), int(sys.argv[1]) if len(sys.argv) > 1 else None)
