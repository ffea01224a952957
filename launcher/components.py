"""The parts of one machine's installation: what starts each of them, and how each shows that it serves."""

from __future__ import annotations

import http.client
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from broker_config import Settings, child_environment, embedded_socket
from launcher import embedded, web
from launcher.processes import Component, Identity

WORKER_SPARE = 10.0
"""seconds a worker gets to stop beyond its drain and the last rung of the ladder"""


def broker(settings: Settings) -> Component:
    """The private Valkey."""
    listening = embedded_socket(settings.data_dir)
    return Component(
        name="broker",
        command=tuple(embedded.prepare(settings)),
        environment=child_environment(settings),
        serves=lambda: embedded.answers(listening),
        stops_within=5.0,
    )


def preparation(settings: Settings) -> Component:
    """Migrations and the admin's token; ends by itself."""
    return _python("database", settings, ("-m", "launcher.prepare"), stops_within=5.0)


def api(settings: Settings, listening: int) -> Component:
    """The API on a socket that is bound already, so that callers wait through a restart instead of failing."""
    return Component(
        name="api",
        command=_interpreter("-m", "launcher.web", str(listening)),
        environment=_environment(settings),
        serves=lambda: answers_ready(settings.host, settings.port),
        stops_within=web.STOP_WITHIN + 2.0,
        inherits=(listening,),
    )


def worker(settings: Settings) -> Component:
    """The worker's agent, which starts Celery and all the rest."""
    return Component(
        name="worker",
        command=_interpreter("-m", "worker.agent", "--launcher", str(os.getpid())),
        environment=_environment(settings),
        serves=lambda: has_opened_up(settings.run_dir),
        stops_within=settings.drain + settings.grace_kill + WORKER_SPARE,
    )


def has_opened_up(run_dir: Path) -> bool:
    """Whether a worker's agent that lives has put its job types on record: its launch is then written down."""
    for path in run_dir.glob("worker-*.json"):
        try:
            launch = json.loads(path.read_text())
            if Identity(int(launch["agent"]), int(launch["agent_started"])).lives():
                return True
        except (OSError, ValueError, KeyError):
            continue
    return False


def installation(settings: Settings) -> Component:
    """A whole installation under its own supervisor, as a part of something larger."""
    stops_within = worker(settings).stops_within + 15.0
    return _python("installation", settings, ("-m", "launcher"), stops_within)


def answers_ready(host: str, port: int) -> bool:
    """Whether the API says that it and the database are there."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared only
    connection = http.client.HTTPConnection(reachable, port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _python(name: str, settings: Settings, arguments: tuple[str, ...], stops_within: float) -> Component:
    return Component(name, _interpreter(*arguments), _environment(settings), stops_within)


def _interpreter(*arguments: str) -> tuple[str, ...]:
    # -P: the directory somebody happens to be in must not lend us modules named `api` or `worker`.
    return (sys.executable, "-P", *arguments)


def _environment(settings: Settings) -> Mapping[str, str]:
    return {**child_environment(settings), "PYTHONUNBUFFERED": "1"}
