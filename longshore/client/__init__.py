"""The Python client of a broker.

with Client() as client:
    job = client.submit("create_subtraction", {"k": 21}, inputs={"genome": Path("genome.fna.gz")})
    print(job.result())
"""

from __future__ import annotations

from longshore.client.handle import JobHandle
from longshore.client.problems import (
    ClientError,
    Conflict,
    Damaged,
    InvalidInput,
    JobEnded,
    JobFailed,
    JobWasCancelled,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    ServerFault,
    Unavailable,
    WaitTimeout,
)
from longshore.client.session import Client

__all__ = [
    "Client",
    "ClientError",
    "Conflict",
    "Damaged",
    "InvalidInput",
    "JobEnded",
    "JobFailed",
    "JobHandle",
    "JobWasCancelled",
    "NotAuthenticated",
    "NotFound",
    "NotPermitted",
    "ServerFault",
    "Unavailable",
    "WaitTimeout",
]
