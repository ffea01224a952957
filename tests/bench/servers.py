"""Compare web servers for the API with event streams open. Run: `python tests/bench/servers.py [STREAMS]`.

For each server: how many of STREAMS streams open, the latency of `/ping` before and while they are open, requests
per second, memory, how soon the server notices clients that left, how long it takes to stop with streams open, and
what is left of it when its parent process is killed with -9.
"""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
GUARD = HERE.parents[1] / "launcher" / "guard.py"
PINGS = 300


def commands(port: int, streams: int) -> dict[str, list[str]]:
    """The servers compared, each with threads for all streams and 64 ordinary requests."""
    threads, bind = str(streams + 64), f"127.0.0.1:{port}"
    gunicorn = [str(BIN / "gunicorn"), "stream_app:app", "-b", bind, "-k", "gthread", "-w", "1", "--threads", threads]
    gunicorn += ["--worker-connections", "2000", "--graceful-timeout", "4", "--no-control-socket"]
    granian = [str(BIN / "granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    granian += ["--workers", "1", "--blocking-threads", threads, "stream_app:app"]
    ours = [*gunicorn, "-c", "python:stream_app"]
    return {
        "gunicorn gthread": gunicorn,
        "gunicorn gthread, streams told to end": ours,
        "the same under our guard": [sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), "8", *ours],
        "granian wsgi, --workers-kill-timeout 4": [*granian, "--workers-kill-timeout", "4"],
        "granian wsgi": granian,
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def within(seconds: float, holds: Callable[[], bool]) -> float | None:
    """Seconds until `holds()`; None when it never did."""
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        if holds():
            return time.perf_counter() - begun
        time.sleep(0.02)
    return None


class Server:
    """One server process on its own port."""

    def __init__(self, command: list[str], port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self.process = subprocess.Popen(
            command, cwd=HERE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        if within(15, self.answers) is None:
            raise RuntimeError(f"did not start: {command}")
        self.tree = [
            psutil.Process(self.process.pid),
            *psutil.Process(self.process.pid).children(recursive=True),
        ]

    def answers(self) -> bool:
        try:
            return httpx.get(self.url + "/ping", timeout=1).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def open_streams(self) -> int:
        return int(httpx.get(self.url + "/open", timeout=5).text)

    def left(self) -> list[int]:
        return [each.pid for each in self.tree if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]

    def memory(self) -> float:
        return sum(psutil.Process(pid).memory_full_info().uss for pid in self.left()) / 2**20

    def end(self) -> None:
        for pid in self.left():
            os.kill(pid, signal.SIGKILL)
        self.process.wait()


def stream(port: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    client.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    client.setblocking(False)
    return client


def has_event(client: socket.socket) -> bool:
    try:
        return b"data:" in client.recv(65536, socket.MSG_PEEK)
    except BlockingIOError:
        return False


def drain(clients: list[socket.socket], stop: threading.Event) -> None:
    """Read what the streams say, as real clients do."""
    while not stop.wait(0.2):
        for client in clients:
            try:
                client.recv(65536)
            except OSError:
                continue


def ping_times(url: str) -> dict[str, float]:
    times = []
    with httpx.Client(base_url=url, timeout=20) as client:
        for _ in range(PINGS):
            begun = time.perf_counter()
            client.get("/ping").raise_for_status()
            times.append((time.perf_counter() - begun) * 1000)
    return {
        "p50_ms": round(statistics.median(times), 2),
        "p99_ms": round(statistics.quantiles(times, n=100)[98], 2),
    }


def rate(port: int, seconds: float = 2.0, clients: int = 8) -> float:
    """Requests per second over `clients` connections that are kept."""
    counts = [0] * clients
    deadline = time.perf_counter() + seconds

    def ask(index: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            while time.perf_counter() < deadline:
                client.sendall(b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
                client.recv(4096)
                counts[index] += 1

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(clients)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return round(sum(counts) / seconds)


def upload(server: Server, mib: int = 512) -> float:
    """MiB by which the server's memory grows while a large body is uploaded."""
    before, peak, done = server.memory(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            peak[0] = max(peak[0], server.memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    body = (bytes(1 << 20) for _ in range(mib))
    size = httpx.post(server.url + "/upload", content=body, timeout=120).text
    done.set()
    watcher.join()
    return round(peak[0] - before) if size == str(mib << 20) else math.nan


def measure(command: list[str], port: int, streams: int) -> dict[str, Any]:
    """All figures of one server, ended by SIGTERM with half of its streams open."""
    server = Server(command, port)
    found: dict[str, Any] = {"idle": ping_times(server.url), "per_s": rate(port)}
    found["upload_grows_mib"] = upload(server)
    clients = [stream(port) for _ in range(streams)]
    try:
        within(5, lambda: all(has_event(each) for each in clients))
        found["streams"] = sum(has_event(each) for each in clients)
        stop = threading.Event()
        reader = threading.Thread(target=drain, args=(clients[: streams // 2], stop))
        reader.start()
        found |= {"open": ping_times(server.url), "per_s_open": rate(port), "uss_mib": round(server.memory())}
        for each in clients[streams // 2 :]:
            each.close()
        noticed = within(15, lambda: server.open_streams() <= streams // 2)
        found["leavers_noticed_s"] = noticed and round(noticed, 2)
        begun = time.perf_counter()
        server.process.terminate()
        ended = within(30, lambda: server.process.poll() is not None and not server.left())
        found["stop_s"] = ended and round(time.perf_counter() - begun, 2)
        stop.set()
        reader.join()
    finally:
        server.end()
        for each in clients:
            each.close()
    return found


def orphans(command: list[str], port: int) -> dict[str, Any]:
    """What is left, and for how long, when the server's main process is killed with -9 with streams open."""
    server = Server(command, port)
    clients = [stream(port) for _ in range(20)]
    try:
        within(5, lambda: all(has_event(each) for each in clients))
        main = server.tree[1 if str(GUARD) in command else 0].pid
        os.kill(main, signal.SIGKILL)
        gone = within(15, lambda: not [pid for pid in server.left() if pid != main])
        return {"orphans_gone_s": gone if gone is None else round(gone, 2)}
    finally:
        for each in clients:
            each.close()
        server.end()


def main() -> None:
    """Print one line of JSON per server."""
    streams = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    for name in commands(0, streams):
        port = free_port()
        found = measure(commands(port, streams)[name], port, streams)
        port = free_port()
        found |= orphans(commands(port, streams)[name], port)
        print(json.dumps({"server": name, **found}), flush=True)


if __name__ == "__main__":
    main()
