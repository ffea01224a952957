"""The times of the protocol, in seconds. All are settings, so that faults can be tried at a fraction of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timings:
    """Defaults are those the promises in the documentation are made for."""

    lease: float = 30.0
    """how long a worker's right to a job lasts after its last heartbeat"""
    heartbeat: float = 5.0
    """how often leases are renewed while there are any"""
    presence: float = 15.0
    """how often a worker without leases says that it is there"""
    fence: float = 20.0
    """how long after the last successful renewal a worker kills its own jobs; less than the lease"""
    tick: float = 5.0
    """how often the relay refills wake-ups and the reaper looks for expired leases"""
    grace_term: float = 2.0
    """from the cancel to SIGTERM for all that is left of a job"""
    grace_kill: float = 13.0
    """from the cancel to SIGKILL"""
    suspend_limit: float = 3600.0
    """how long a job stays suspended before it is parked"""
    drain: float = 30.0
    """how long a worker that shuts down waits for its jobs"""
