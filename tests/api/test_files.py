from __future__ import annotations

import hashlib
from uuid import uuid4

from api.installation import of
from shared import report
from tests.api.people import Somebody, World

GENOME = b">chr1\n" + b"ACGT" * 50_000
SHA256 = hashlib.sha256(GENOME).hexdigest()


def _upload(somebody: Somebody, name: str = "genome.fa", data: bytes = GENOME) -> str:
    answer = somebody.post(f"/files?name={name}", data=data, content_type="text/x-fasta")
    assert answer.status_code == 201, answer.text
    return str(answer.json["id"])


def test_a_file_comes_back_as_it_was_sent(alice: Somebody) -> None:
    sent = alice.post("/files?name=a/genome.fa", data=GENOME, content_type="text/x-fasta")
    assert sent.status_code == 201
    assert {name: sent.json[name] for name in ("name", "size", "sha256", "media_type", "role", "job")} == {
        "name": "a/genome.fa", "size": len(GENOME), "sha256": SHA256, "media_type": "text/x-fasta", "role": "input",
        "job": None,
    }  # fmt: skip
    assert alice.get(sent.headers["Location"]).json == sent.json
    got = alice.get(f"/files/{sent.json['id']}/content")
    assert got.data == GENOME
    assert got.headers["Content-Type"].startswith("text/x-fasta")
    assert got.headers["Content-Disposition"] == "attachment; filename=genome.fa"
    assert got.headers["X-Content-SHA256"] == SHA256
    assert "sandbox" in got.headers["Content-Security-Policy"]


def test_what_curl_says_of_all_bytes_is_no_media_type(alice: Somebody) -> None:
    sent = alice.post("/files?name=a.txt", data=b"text", content_type="application/x-www-form-urlencoded")
    assert sent.json["media_type"] == "text/plain"


def test_a_range_is_sent_alone(alice: Somebody) -> None:
    content = f"/files/{_upload(alice)}/content"
    part = alice.get(content, headers={"Range": "bytes=6-9"})
    assert (part.status_code, part.data) == (206, b"ACGT")
    assert part.headers["Content-Range"] == f"bytes 6-9/{len(GENOME)}"
    beyond = alice.get(content, headers={"Range": f"bytes={len(GENOME)}-"})
    assert (beyond.status_code, beyond.mimetype) == (416, "application/problem+json")
    unchanged = alice.get(content, headers={"If-None-Match": part.headers["ETag"]})
    assert (unchanged.status_code, unchanged.data) == (304, b"")


def test_bytes_that_are_not_those_promised_are_refused(alice: Somebody) -> None:
    for promised, status in ((SHA256, 201), ("0" * 64, 422), ("nonsense", 422)):
        answer = alice.post("/files?name=x", data=GENOME, headers={"X-Content-SHA256": promised})
        assert answer.status_code == status, answer.text
    assert len(alice.get("/files").json["items"]) == 1


def test_names_that_lead_elsewhere_are_refused(alice: Somebody) -> None:
    for name in ("../x", "/etc/passwd", "a//b", ".", "a/../../b", "x%0ay", "a%5Cb"):
        assert alice.post(f"/files?name={name}", data=b"x").status_code == 422, name


def test_an_input_is_named_in_a_job_and_kept_while_needed(alice: Somebody, bob: Somebody) -> None:
    file_id = _upload(alice)
    refused = bob.post("/jobs", {"type": "square", "args": {"k": 1}, "inputs": {"table": file_id}})
    assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "inputs.table")
    job = alice.submit(inputs={"table": file_id})["id"]
    assert [item["id"] for item in alice.get(f"/jobs/{job}/files").json["items"]] == [file_id]
    assert alice.delete(f"/files/{file_id}").status_code == 409
    alice.post(f"/jobs/{job}/cancel")
    assert alice.delete(f"/files/{file_id}").status_code == 204
    assert alice.get(f"/files/{file_id}/content").status_code == 404


def test_an_output_of_a_job_is_listed_and_downloaded(alice: Somebody, world: World) -> None:
    job = alice.submit()["id"]
    claimed = world.claim()
    assert claimed is not None
    made = of(world.app)
    source = made.settings.data_dir / "result.txt"
    source.write_text("nine")
    stored = made.files.adopt(source, claimed.lease.job_id, 1, "result.txt", "text/plain")
    output = report.Output(stored.id, stored.name, stored.path, stored.size, stored.sha256, stored.media_type)
    report.save_output(world.store, claimed.lease.job_id, 1, output)
    [item] = alice.get(f"/jobs/{job}/files?role=output").json["items"]
    assert (item["name"], item["job"], item["attempt"], item["role"]) == ("result.txt", job, 1, "output")
    assert alice.get(f"/files/{item['id']}/content").data == b"nine"


def test_somebody_elses_file_is_not_there(alice: Somebody, bob: Somebody) -> None:
    file_id = _upload(alice)
    assert bob.get("/files").json["items"] == []
    for path in (f"/files/{file_id}", f"/files/{file_id}/content", f"/files/{uuid4()}"):
        assert bob.get(path).status_code == 404


def test_a_file_that_is_too_large_is_refused(alice: Somebody, world: World) -> None:
    made = of(world.app)
    made.files.max_upload = 1000
    answer = alice.post("/files?name=big", data=b"x" * 1001)
    assert (answer.status_code, answer.json["code"]) == (413, "too-large")
    assert alice.get("/files").json["items"] == []
