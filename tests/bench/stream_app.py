"""The smallest application with event streams, to compare web servers by: `/ping`, `/stream`, `/open`, `/upload`."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

from flask import Flask, Response, request

app = Flask(__name__)
_lock = threading.Lock()
_open = 0
_stopping = threading.Event()
BEAT = 1.0


def _events() -> Iterator[str]:
    _count(1)
    try:
        while not _stopping.is_set():
            yield f"data: {time.time()}\n\n"
            _stopping.wait(BEAT)
    finally:
        _count(-1)


def _count(change: int) -> None:
    global _open  # noqa: PLW0603 - one counter of one process is all this application keeps
    with _lock:
        _open += change


@app.get("/ping")
def ping() -> str:
    return "pong"


@app.get("/open")
def open_streams() -> str:
    return str(_open)


@app.post("/upload")
def upload() -> str:
    """Read a body slowly, as one does that is written to a disk."""
    size = 0
    while chunk := request.stream.read(1 << 20):
        size += len(chunk)
        time.sleep(0.001)
    return str(size)


@app.get("/stream")
def stream() -> Response:
    return Response(_events(), mimetype="text/event-stream", headers={"Cache-Control": "no-store"})


def post_worker_init(worker: Any) -> None:
    """As a hook of gunicorn (`-c python:stream_app`): tell the streams to end when the server is to stop."""

    def stop(number: int, frame: FrameType | None) -> None:
        threading.Thread(target=_stopping.set).start()
        worker.handle_exit(number, frame)

    signal.signal(signal.SIGTERM, stop)
