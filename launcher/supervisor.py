"""The supervisor behind `longshore up`: starts the components in order, keeps them running, stops them in reverse.

One thread, no signal handlers: signals are blocked and taken where the supervisor waits. Every component stands under
a guard (`launcher/guard.py`), so whichever process is killed with -9, its tree is ended by the next one up.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from broker_config import Settings, base_url
from launcher import components, embedded, guard
from launcher.datadir import DataDirectory
from launcher.fence import overdue_agents
from launcher.logs import last_lines
from launcher.processes import Child, Component
from shared.errors import ConfigurationError, LongshoreError

START_WITHIN = 120.0
KILL_WITHIN = 5.0
LOOK = 0.05  # seconds between two looks while waiting for something
WATCH = 0.5  # seconds between two looks while all is well
_STOPPING = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_WATCHED = {signal.SIGCHLD, signal.SIGQUIT, *_STOPPING}


class AlreadyRuns(LongshoreError):
    """Longshore already runs on this data directory."""

    code = "already-runs"


class StartFailed(LongshoreError):
    """A component did not start."""

    code = "start-failed"


class StopRequested(Exception):
    """A signal asked the supervisor to stop while it was starting."""


Say = Callable[[str], None]


class Supervisor:
    """All components of one data directory, from their start to their end."""

    def __init__(self, settings: Settings, say: Say, ready: Callable[[Settings, DataDirectory], None]) -> None:
        self.settings = settings
        self.directory = DataDirectory(settings)
        self.children: list[Child] = []
        self._say = say
        self._ready = ready

    def run(self) -> None:
        """Start, supervise until a signal says stop, stop. Raises AlreadyRuns, StartFailed, ConfigurationError."""
        self.directory.make(self.settings)
        if not self.directory.hold():
            raise AlreadyRuns(_who_runs(self.directory))
        with _signals_taken_here():
            guard.prctl(guard.PR_SET_CHILD_SUBREAPER, 1)
            if stale := self.directory.end_stale():
                self._say(f"Ended what an earlier start had left: {', '.join(stale)}")
            try:
                self._start()
                self._supervise()
            except StopRequested:
                pass
            finally:
                self._stop()

    # ------------------------------------------------------------------------------------------- start

    def _start(self) -> None:
        listening = bind(self.settings)
        port = int(listening.getsockname()[1])
        self.settings = with_port(self.settings, port)
        if self.settings.broker_is_embedded:
            self._start_broker()
        self._run_to_end(components.preparation(self.settings))
        self._launch(components.api(self.settings, listening.fileno()), components.worker(self.settings))
        listening.detach()  # stays open for the API's next starts
        self.directory.write_url(base_url(self.settings.host, port))
        self._ready(self.settings, self.directory)

    def _start_broker(self) -> None:
        component = components.broker(self.settings)
        try:
            self._launch(component)
        except StartFailed:
            aside = embedded.put_store_aside(self.settings)
            if aside is None:
                raise
            self._say(f"The broker could not read its store; it starts without, the old one is {aside}")
            self.children.pop()
            self._launch(component)

    def _launch(self, *wanted: Component) -> None:
        """Start components side by side and wait until all of them serve."""
        fresh = [self._child(component) for component in wanted]
        for child in fresh:
            self.children.append(child)
            child.start()
        self._write_down()
        for child in fresh:
            self._wait_until(child.component.serves, child.component.name)

    def _run_to_end(self, component: Component) -> None:
        """Run a component that ends by itself."""
        child = self._child(component)
        child.start()
        try:
            self._wait_until(lambda: child.ended() is not None, component.name)
        except StopRequested:
            child.signal(signal.SIGQUIT)
            raise
        if child.ended() != 0:
            raise StartFailed(self._why_not(child))

    def _child(self, component: Component) -> Child:
        return Child(component, self.directory.logs / f"{component.name}.log")

    def _wait_until(self, holds: Callable[[], bool], name: str) -> None:
        deadline = time.monotonic() + START_WITHIN
        while not holds():
            self._take_signal(LOOK)
            for child in self.children:
                if child.ended() is not None:
                    raise StartFailed(self._why_not(child))
            if time.monotonic() > deadline:
                raise StartFailed(f"the {name} did not start to serve within {START_WITHIN:g} s")

    def _why_not(self, child: Child) -> str:
        name, log = child.component.name, child.log
        return f"the {name} ended with status {child.ended()}; the end of {log}:\n{last_lines(log)}"

    # --------------------------------------------------------------------------------------- supervise

    def _supervise(self) -> None:
        while True:
            self._take_signal(WATCH)
            self._watch_fence()
            for child in self.children:
                status = child.ended()
                if status is not None:
                    self._note_death(child, status)
                elif child.is_due():
                    child.start()
                    self._write_down()

    def _watch_fence(self) -> None:
        """Kill a worker whose leases are void and whose own watchers stand still: others may run its jobs soon."""
        for agent in overdue_agents(self.settings):
            for child in self.children:
                if child.process and agent.pid in guard.descendants(child.process.pid):
                    self._say(f"The {child.component.name} has lost its leases and does not act: it is killed")
                    child.signal(signal.SIGQUIT)

    def _note_death(self, child: Child, status: int) -> None:
        self._end_orphans()
        pause = child.start_later()
        name = child.component.name
        self._say(f"The {name} ended with status {status}; it starts again in {pause:g} s (see {child.log})")

    def _end_orphans(self) -> None:
        """Kill what a dead guard has left: children of this process that it never started."""
        own = {child.process.pid for child in self.children if child.process}
        deadline = time.monotonic() + KILL_WITHIN
        while time.monotonic() < deadline:
            left = [pid for pid in guard.children().get(os.getpid(), []) if pid not in own]
            if not left:
                return
            for pid in left:
                _end(pid)
            time.sleep(LOOK)

    @staticmethod
    def _take_signal(timeout: float) -> None:
        caught = signal.sigtimedwait(_WATCHED, timeout)
        if caught and caught.si_signo in _STOPPING:
            raise StopRequested

    # -------------------------------------------------------------------------------------------- stop

    def _stop(self) -> None:
        """Stop all in reverse order, each within its time; a second signal kills what is left at once."""
        if self.children:
            self._say("Stopping")
        hurry = False
        for child in reversed(self.children):
            child.signal(signal.SIGQUIT if hurry else signal.SIGTERM)
            hurry = self._await_end(child, child.component.stops_within) or hurry
            child.signal(signal.SIGQUIT)
        for child in self.children:
            self._await_end(child, KILL_WITHIN)
        guard.kill_tree(KILL_WITHIN)
        if self.settings.broker_is_embedded:
            embedded.forget_socket(self.settings)
        self.directory.clear()

    @staticmethod
    def _await_end(child: Child, within: float) -> bool:
        """Wait for a component that was told to stop; True when another signal asks to hurry."""
        deadline = time.monotonic() + within
        while child.process and child.process.poll() is None and time.monotonic() < deadline:
            caught = signal.sigtimedwait(_WATCHED, LOOK)
            if caught and caught.si_signo in _STOPPING:
                return True
        return False

    def _write_down(self) -> None:
        self.directory.write_children(filter(None, (child.record() for child in self.children)))


def bind(settings: Settings) -> socket.socket:
    """The listening socket of the API."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listening = socket.create_server((settings.host, settings.port), family=family, backlog=512)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}; "
            "choose another with --port or LONGSHORE_PORT (0 takes a free one)"
        ) from error
    return listening


def with_port(settings: Settings, port: int) -> Settings:
    """The settings with the port that was taken, and the public URL where it follows from the port."""
    follows = settings.public_url == base_url(settings.host, settings.port)
    return replace(settings, port=port, public_url=base_url(settings.host, port) if follows else settings.public_url)


def _end(pid: int) -> None:
    """SIGKILL one orphan and take its exit status; its own children become ours and come next."""
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, os.WNOHANG)
    except (ProcessLookupError, ChildProcessError):
        return


def _who_runs(directory: DataDirectory) -> str:
    holder = directory.holder()
    who = f"process {holder.identity.pid}" if holder else "another process"
    where = f" at {holder.url}" if holder and holder.url else ""
    return (
        f"Longshore already runs on {directory.path}{where} ({who}); "
        "stop it with `longshore down`, or choose another --data-dir"
    )


@contextmanager
def _signals_taken_here() -> Iterator[None]:
    """Block the signals that the supervisor waits for; what it starts begins with none blocked."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
