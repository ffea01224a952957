"""Streams that break, stall or are refused: nothing is missed and nothing is told twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from longshore.client import Client, NotFound, Unavailable, WaitTimeout
from longshore.client.streaming import Hint, Message, parse
from longshore.models import StatusRecord

ID = "0190a5f0-0000-7000-8000-000000000001"


def test_messages_are_read_from_lines() -> None:
    lines = ["retry: 2000", "", ": beat", "", "id: 7", "event: end", 'data: {"a":', "data: 1}", "", "data: text", ""]
    assert list(parse(lines)) == [Hint.BEAT, Message("7", "end", {"a": 1}), Message("", "message", {})]


def test_a_message_that_was_cut_off_is_none() -> None:
    assert list(parse(["id: 1", 'data: {"a": 1}'])) == []


class Breaks(httpx.SyncByteStream):
    """A body that ends with a broken connection."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[bytes]:
        yield from self.parts
        raise httpx.ReadError("the connection broke")


def record(seq: int, state: str = "running") -> dict[str, Any]:
    return {"id": seq, "job": ID, "seq": seq, "event": "report", "state": state, "rerun": 0, "message": f"m{seq}"}


def event(seq: int, state: str = "running") -> bytes:
    return f"id: c{seq}\ndata: {json.dumps(record(seq, state))}\n\n".encode()


class Broker:
    """Has a job with a history; each stream that is opened meets the next of the bodies, and then none is left."""

    def __init__(self, history: int, *bodies: httpx.SyncByteStream, final: str = "completed") -> None:
        self.history = [record(seq) for seq in range(1, history)] + [record(history, final)]
        self.bodies = list(bodies)
        self.job = {"id": ID, "number": 1, "state": final, "rerun": 0}
        self.streams: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix(f"/api/v1/jobs/{ID}")
        if path == "/events":
            self.streams.append(request)
            return httpx.Response(200, stream=self.bodies.pop(0)) if self.bodies else httpx.Response(503)
        if path == "/status-records":
            after = int(request.url.params["after"])
            return httpx.Response(200, json={"items": [each for each in self.history if each["seq"] > after]})
        return httpx.Response(200, json=self.job)


def client_of(broker: Any) -> Client:
    return Client("http://broker", "token", patience=0, http_transport=httpx.MockTransport(broker))


def seen(records: Iterator[StatusRecord]) -> list[int]:
    return [each.seq for each in records]


def test_a_broken_stream_is_opened_again_where_it_broke() -> None:
    broker = Broker(2, Breaks(event(1), event(2)), Breaks(event(2), event(3)), final="running")

    def grows(request: httpx.Request) -> httpx.Response:
        if len(broker.streams) == 2 and len(broker.history) == 2:
            broker.history += [record(3), record(4, "completed")]
        answer = broker(request)
        broker.job["state"] = broker.history[-1]["state"]
        return answer

    with client_of(grows) as client:
        assert seen(client.get(ID).events()) == [1, 2, 3, 4]
    assert [request.headers.get("Last-Event-ID") for request in broker.streams][:2] == [None, "c2"]


def test_what_a_stream_leaves_out_is_asked_for() -> None:
    broker = Broker(5, Breaks(event(4)))
    with client_of(broker) as client:
        assert seen(client.get(ID).events()) == [1, 2, 3, 4, 5]


def test_without_any_stream_the_history_is_asked_for_at_intervals() -> None:
    broker = Broker(3)
    with client_of(broker) as client:
        assert seen(client.get(ID).events(after=1)) == [2, 3]


@pytest.mark.parametrize("after", [3, 7])
def test_after_the_last_record_of_a_job_that_has_ended_there_is_nothing(after: int) -> None:
    with client_of(Broker(3)) as client:
        assert seen(client.get(ID).events(after=after)) == []


def test_the_end_before_a_rerun_is_not_the_end() -> None:
    broker = Broker(3, final="running")
    broker.history[1] |= {"state": "failed"}
    broker.job |= {"state": "running", "rerun": 1}

    def ends_when_it_has_been_seen_running(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("after") == "3":
            broker.history.append(record(4, "completed") | {"rerun": 1})
            broker.job["state"] = "completed"
        return broker(request)

    with client_of(ends_when_it_has_been_seen_running) as client:
        assert seen(client.get(ID).events()) == [1, 2, 3, 4]


@pytest.mark.parametrize("timeout", [0.3, 1.0])
def test_waiting_ends_in_time_without_a_stream(timeout: float) -> None:
    broker = Broker(1, final="running")
    with client_of(broker) as client, pytest.raises(WaitTimeout, match=r"running.*it goes on"):
        client.get(ID).wait(timeout=timeout, progress=False)
    with client_of(broker) as client, pytest.raises(WaitTimeout):
        list(client.get(ID).events(timeout=timeout))


def test_a_job_that_is_removed_meanwhile_ends_the_waiting() -> None:
    broker = Broker(1, final="running")
    looks = 0

    def forgets(request: httpx.Request) -> httpx.Response:
        nonlocal looks
        looks += request.url.path.endswith(ID)
        return httpx.Response(404, json={"detail": "There is no job."}) if looks > 2 else broker(request)

    with client_of(forgets) as client, pytest.raises(NotFound):
        client.get(ID).wait(progress=False)


def test_a_broker_that_is_away_for_a_moment_does_not_end_the_waiting() -> None:
    broker = Broker(1)
    looks = 0

    def is_away(request: httpx.Request) -> httpx.Response:
        nonlocal looks
        looks += 1
        if 1 < looks < 6:
            raise httpx.ConnectError("refused", request=request)
        return broker(request)

    with client_of(is_away) as client:
        assert client.get(ID).wait(timeout=5, progress=False).state == "completed"


def test_a_job_that_has_ended_is_seen_without_waiting_and_without_a_stream() -> None:
    broker = Broker(1)
    with client_of(broker) as client:
        assert client.get(ID).wait(timeout=0, progress=False).state == "completed"
    assert broker.streams == []


def test_a_broker_that_stays_away_ends_the_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longshore.client.waiting.OUTAGE", 0.3)
    broker = Broker(1, final="running")
    looks = 0

    def goes_away(request: httpx.Request) -> httpx.Response:
        nonlocal looks
        looks += 1
        if looks > 1:
            raise httpx.ConnectError("refused", request=request)
        return broker(request)

    with client_of(goes_away) as client:
        job = client.get(ID)
        with pytest.raises(Unavailable):
            job.wait(timeout=20, progress=False)
        with pytest.raises(Unavailable):
            list(job.events())
