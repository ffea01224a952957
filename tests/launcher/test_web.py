"""The API's server: room for every stream beside ordinary requests, and log lines in the form that is set."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from broker_config import Settings
from launcher.web import gunicorn_options

# In a process of its own: configuring logging closes the handlers of whoever runs the tests.
SAYS = """
import logging, logging.config
from broker_config import Settings
from launcher.web import log_configuration
logging.config.dictConfig(log_configuration(Settings.from_env()))
logging.getLogger("gunicorn.error").info("listening")
logging.getLogger("alembic").info("nobody wants this")
try:
    int("odd")
except ValueError:
    logging.getLogger("api").exception("it failed")
"""


def lines_said(form: str) -> list[str]:
    environment = {**os.environ, "LONGSHORE_LOG_FORMAT": form}
    done = subprocess.run([sys.executable, "-c", SAYS], env=environment, capture_output=True, text=True, check=True)
    return done.stderr.splitlines()


def test_streams_never_take_the_threads_of_requests() -> None:
    settings = Settings.from_env({"LONGSHORE_API_THREADS": "10", "LONGSHORE_MAX_STREAMS": "50"})
    options = gunicorn_options(settings, "127.0.0.1:1")
    assert options["threads"] == 60
    assert options["worker_connections"] > options["threads"]


def test_the_servers_own_lines_are_json_like_ours() -> None:
    first, second = map(json.loads, lines_said("json"))
    assert (first["message"], first["level"], first["logger"]) == ("listening", "info", "gunicorn.error")
    assert "ValueError" in second["exception"]


@pytest.mark.parametrize("expected", ["gunicorn.error: listening", "api: it failed", "ValueError"])
def test_the_servers_own_lines_are_text_like_ours(expected: str) -> None:
    said = "\n".join(lines_said("text"))
    assert expected in said
    assert "nobody wants this" not in said
