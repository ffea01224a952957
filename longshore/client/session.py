"""The client: submit jobs, find them, and reach everything else the API has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, Unpack
from uuid import uuid4

import httpx

from longshore.client.bars import bar
from longshore.client.catalog import JobTypes
from longshore.client.fleet import Queues, Workers
from longshore.client.handle import JobHandle
from longshore.client.order import Declared, OrderFields, order_document
from longshore.client.people import Tokens, Users
from longshore.client.problems import NotFound
from longshore.client.storage import Files, Inputs, upload_inputs
from longshore.client.transport import Call, Transport, with_key
from longshore.models import Counts, Job
from longshore.settings import ClientSettings

BATCH_JOBS = 1000
BATCH_BYTES = 8 * 1024 * 1024
"""How many jobs, and how much JSON, go into one request of `submit_many`"""
PAGE = 200


class Client:
    """A connection to a broker; use it as a context manager, or call `close()`.

    Without arguments the broker is found by LONGSHORE_URL and LONGSHORE_TOKEN, else in the data directory of a
    local `longshore up`. `auth` is a user's name and password instead of a token. A request that can be repeated
    safely is repeated for `patience` seconds while the broker cannot be reached or is overloaded; `timeout` is
    the longest wait for one answer. Threads may share a client; processes may not.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        auth: tuple[str, str] | None = None,
        timeout: float = 30.0,
        patience: float | None = None,
        http_transport: httpx.BaseTransport | None = None,
    ) -> None:
        settings = ClientSettings.find(url, token, patience=patience)
        self._transport = Transport(settings, basic=auth, timeout=timeout, http_transport=http_transport)
        self.url = settings.url
        self.files = Files(self._transport)
        self.types = JobTypes(self._transport)
        self.tokens = Tokens(self._transport)
        self.users = Users(self._transport)
        self.queues = Queues(self._transport)
        self.workers = Workers(self._transport)

    # ------------------------------------------------------------------------------------ submitting

    def submit(
        self,
        type: str | Declared,
        args: Any = None,
        *,
        inputs: Inputs | None = None,
        idempotency_key: str | None = None,
        progress: bool | None = None,
        **fields: Unpack[OrderFields],
    ) -> JobHandle:
        """Submit a job. Paths among the inputs are uploaded first; strings are ids of files in the store.

        `type` is the name of a job type, or what `@job_type` made; `args` anything JSON can express. A job is
        accepted once, however often the request has to be sent; to make that hold over a restart of your own
        program too, pass an `idempotency_key`. Raises InvalidInput naming each field that is wrong.
        """
        references = upload_inputs(self.files, inputs or {}, progress=progress)
        document = order_document(type, args, references, fields)
        call = with_key(Call("POST", "jobs", json=document), idempotency_key or str(uuid4()))
        return self._handle(self._transport.send(call).json())

    def submit_many(
        self,
        orders: Iterable[Mapping[str, Any]],
        *,
        idempotency_key: str | None = None,
        progress: bool | None = None,
    ) -> list[JobHandle]:
        """Submit many jobs; each order is a mapping with `type`, and `args`, `inputs` (ids) and fields at will.

        They go in batches of at most 1,000: each batch is accepted as a whole or not at all, in order.
        """
        key = idempotency_key or str(uuid4())
        documents = [_order(each) for each in orders]
        handles: list[JobHandle] = []
        with bar("submitting jobs", wanted=progress, total=len(documents)) as shown:
            for index, batch in enumerate(_batches(documents)):
                call = with_key(Call("POST", "jobs/batch", json={"jobs": batch}), f"{key}.{index}")
                accepted = self._transport.send(call).json()["items"]
                handles += [
                    self._handle({"type": order["type"], **item}) for order, item in zip(batch, accepted, strict=True)
                ]
                shown.show(len(handles), len(documents))
        return handles

    # --------------------------------------------------------------------------------------- finding

    def get(self, job: str | int) -> JobHandle:
        """Give the job with that id, or (a whole number) with that number. Raises NotFound."""
        if isinstance(job, int):
            for handle in self.jobs(query={"number": job}, limit=1):
                return handle
            raise NotFound(f"There is no job with the number {job}.")
        return self._handle(self._transport.get(f"jobs/{job}"))

    def jobs(self, *, limit: int | None = None, **filters: Any) -> Iterator[JobHandle]:
        """Go through the jobs you may see, the newest first, page after page; at most `limit`.

        Filters: `state` and `label` (one or a list), `type`, `owner`, `created_after`, `created_before`,
        `updated_after`, `updated_before` (datetimes, or durations such as "PT1H"), `q` (text), `query` (a
        Mongo-style mapping), `order` ("-created", "created", "-updated", "priority" ...).
        """
        parameters = {**_parameters(filters), "limit": min(limit or PAGE, PAGE)}
        for count, document in enumerate(self._transport.pages("jobs", parameters), start=1):
            yield self._handle(document)
            if count == limit:
                return

    def act_on_all(
        self, action: str, filter: Mapping[str, Any], *, dry_run: bool = False, reason: str | None = None
    ) -> Counts:
        """Pause, resume, cancel or rerun all jobs that match a filter; `dry_run` only counts them."""
        document: dict[str, Any] = {"action": action, "filter": dict(filter), "dry_run": dry_run}
        if reason is not None:
            document["reason"] = reason
        return Counts.read(self._transport.post("jobs/actions", document, repeatable=action != "rerun"))

    def updates(self, cursor: str | None = None, *, wait: float | None = None, limit: int = 1000) -> dict[str, Any]:
        """Give the changes of all jobs after `cursor`, and the next cursor; wait for some for `wait` seconds."""
        parameters = {"cursor": cursor, "wait": wait, "limit": limit}
        answer: dict[str, Any] = self._transport.get("updates", parameters)
        return answer

    # ------------------------------------------------------------------------------------ the broker

    def me(self) -> dict[str, Any]:
        """Say who the broker takes us for."""
        answer: dict[str, Any] = self._transport.get("me")
        return answer

    def health(self) -> dict[str, Any]:
        """Give the broker's own view of its health; a sick one answers too."""
        answer: dict[str, Any] = self._transport.health("/healthz")
        return answer

    def ready(self) -> dict[str, Any]:
        """Say whether the broker can serve requests now."""
        answer: dict[str, Any] = self._transport.health("/readyz")
        return answer

    def get_json(self, path: str, **parameters: Any) -> Any:
        """GET anything else below `/api/v1/` that this client has no name for."""
        return self._transport.get(path.lstrip("/"), parameters)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        """Use the client for a block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def _handle(self, document: Mapping[str, Any]) -> JobHandle:
        return JobHandle(self._transport, Job.read(document))

    def __repr__(self) -> str:
        """Show where it is connected to."""
        return f"<Client {self.url}>"


def _order(given: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in given.items() if name not in {"type", "args", "inputs"}}
    return order_document(given["type"], given.get("args"), given.get("inputs") or {}, fields)


def _batches(documents: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    size = 0
    for document in documents:
        length = len(json.dumps(document))
        if batch and (len(batch) == BATCH_JOBS or size + length > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(document)
        size += length
    if batch:
        yield batch


def _parameters(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Filters in the form of a query; what is a mapping goes as JSON."""
    shown: dict[str, Any] = {}
    for name, value in filters.items():
        if isinstance(value, Mapping):
            shown[name] = json.dumps(value)
        elif hasattr(value, "isoformat"):
            shown[name] = value.isoformat()
        else:
            shown[name] = value
    return shown
