from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from tests.api.people import Somebody


def _ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [job["id"] for job in answer.json["items"]]


def test_pages_stay_exact_while_jobs_are_added(alice: Somebody) -> None:
    first = [alice.submit(args={"k": k})["id"] for k in range(25)]
    seen: list[str] = []
    address = "/jobs?limit=4&order=-created"
    for _ in range(20):
        answer = alice.get(address)
        seen += _ids(answer)
        alice.submit()
        if answer.json["next"] is None:
            break
        address = f"/jobs?limit=4&order=-created&cursor={answer.json['next']}"
    assert seen == first[::-1]


def test_the_next_page_is_announced_as_a_link(alice: Somebody) -> None:
    for _ in range(3):
        alice.submit(labels=["x"])
    answer = alice.get("/jobs?limit=2&label=x&order=created")
    address, _, relation = answer.headers["Link"].partition(">")
    assert relation == '; rel="next"'
    rest = alice.get(address.removeprefix("<"))
    assert len(_ids(rest)) == 1
    assert "Link" not in rest.headers


def test_each_filter_filters(alice: Somebody) -> None:
    plain = alice.submit(title="plain")["id"]
    labelled = alice.submit(labels=["genome", "urgent"], priority=5)["id"]
    cancelled = alice.submit(args={"k": 64}, title="Another")["id"]
    alice.post(f"/jobs/{cancelled}/cancel")
    command = alice.submit(type="count", args={}, queue="commands")["id"]
    everything = [plain, labelled, cancelled, command]
    cases = {
        "": everything,
        "state=cancelled": [cancelled],
        "state=cancelled&state=queued": everything,
        "type=count": [command],
        "label=genome&label=urgent": [labelled],
        "label=genome&label=calm": [],
        "owner=alice": everything,
        "owner=bob": [],
        "queue=commands": [command],
        "created_after=PT1H": everything,
        "created_before=PT1H": [],
        "updated_after=2020-01-01": everything,
        "q=ANOTHER": [cancelled],
        "q=plain": [plain],
        f"q={labelled}": [labelled],
        "query=" + quote(json.dumps({"args.k": {"$gte": 21}})): [cancelled],
        "query=" + quote(json.dumps({"priority": {"$lt": 10}})): [labelled],
    }
    for query, expected in cases.items():
        assert _ids(alice.get(f"/jobs?order=created&{query}")) == expected, query


WRONG = [
        "limit=0", "limit=1001", "limit=ten", "limit=213896146235141788466180784128", "limit=1&limit=2",
        "cursor=nonsense", "cursor=%ff%fe", "state=asleep", "order=random", "created_after=yesterday",
        "created_after=2020-13-01", "query=%7B", "query=%7B%22%24where%22%3A1%7D", "unknown=1", "total=maybe",
        "q=" + "x" * 201, "query=" + quote('{"$or":' * 9 + "[]" + "}" * 9),
]  # fmt: skip


def test_a_wrong_query_is_refused(alice: Somebody) -> None:
    for query in WRONG:
        answer = alice.get(f"/jobs?{query}")
        assert (answer.status_code, answer.mimetype) == (422, "application/problem+json"), (query, answer.text)
        assert answer.json["errors"], query


def test_a_nul_character_in_an_address_is_refused(alice: Somebody) -> None:
    assert alice.get("/jobs?q=a%00b").status_code == 400
    assert alice.get("/job-types/a%00b/1").status_code == 400


def test_nobody_sees_the_jobs_of_others_but_an_admin(alice: Somebody, bob: Somebody, admin: Somebody) -> None:
    job = alice.submit()
    assert _ids(bob.get("/jobs")) == []
    assert _ids(admin.get("/jobs")) == [job["id"]]
    assert bob.get(f"/jobs/{job['id']}").status_code == 404
