"""Upkeep: one leads, another takes over, the lost are rescued only after a full lease, the expired are removed."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, insert, select, update

from broker_config import Settings, celery_settings
from shared import catalog, persist
from shared.errors import NotFound
from shared.execute import Completed
from shared.files import FileStore
from shared.lifecycle import Event, State
from shared.models import IdempotencyKey, Job, Leadership, StoredFile
from shared.models.types import lease_now, now
from shared.persist import Order
from shared.presence import WorkerCard, present
from shared.report import Output, save_output
from shared.timings import Timings
from shared.upkeep import Upkeep
from shared.upkeep.clock import seconds_to_next_due
from shared.upkeep.leader import lead
from shared.upkeep.pruner import prune
from shared.wire import Wire
from tests.servers.valkey import ValkeyServer
from tests.shared.kit import Kit
from tests.waiting import wait_for


def test_one_leads_until_its_lease_runs_out(kit: Kit) -> None:
    first, second = uuid4(), uuid4()
    assert lead(kit.store, first, 10)
    assert not lead(kit.store, second, 10)
    assert lead(kit.store, first, 10)
    with kit.store.transaction() as tx:
        tx.execute(update(Leadership).values(lease_until=lease_now() - 1))
    assert lead(kit.store, second, 10)
    assert not lead(kit.store, first, 10)


def test_one_that_has_just_come_waits_one_lease_before_its_first_rescue(kit: Kit, valkey: ValkeyServer) -> None:
    settings = Settings.from_env({}, broker_url=valkey.url)
    wire = Wire(valkey.url, celery_settings(settings)["broker_transport_options"])
    present(kit.store, WorkerCard(uuid4(), "w", "n", 1, 1, ["default"], []))
    lease = kit.running().lease
    with kit.store.transaction() as tx:
        tx.execute(update(Job).values(lease_until=lease_now() - 1))
    upkeep = Upkeep(kit.store, wire, replace(Timings(), lease=1.0, tick=0.1), uuid4())
    upkeep.step()
    assert kit.job(lease.job_id).state == State.RUNNING
    wait_for(lambda: upkeep.step() and kit.job(lease.job_id).state == State.QUEUED, 5, "the rescue after one lease")
    job = kit.job(lease.job_id)
    assert (job.burnt, job.error["name"]) == (1, "worker-lost")
    assert wire.depth("default") == 1


def test_a_follower_that_was_in_contact_rescues_as_soon_as_it_leads(kit: Kit, valkey: ValkeyServer) -> None:
    """It used to wait a whole lease more, so that a job whose worker led too was rescued late."""
    settings = Settings.from_env({}, broker_url=valkey.url)
    wire = Wire(valkey.url, celery_settings(settings)["broker_transport_options"])
    lease = kit.running().lease
    with kit.store.transaction() as tx:
        tx.execute(update(Job).values(lease_until=lease_now() - 1))
    leader = uuid4()
    follower = Upkeep(kit.store, wire, replace(Timings(), lease=1.0, tick=60.0), uuid4())
    renewed_until = time.monotonic() + 1.2
    while time.monotonic() < renewed_until:
        assert lead(kit.store, leader, 10)
        follower.step()
    assert kit.job(lease.job_id).state == State.RUNNING
    with kit.store.transaction() as tx:
        tx.execute(update(Leadership).values(lease_until=lease_now() - 1))
    follower.step()
    assert kit.job(lease.job_id).state == State.QUEUED


def _rescuer(kit: Kit, **options: Any) -> Upkeep:
    """One that would rescue after a second of contact, over a broker that nobody can reach."""
    wire = Wire("redis://127.0.0.1:1/0")
    return Upkeep(kit.store, wire, replace(Timings(), lease=1.0, tick=0.1), uuid4(), **options)


def test_jobs_are_rescued_while_the_broker_is_away(kit: Kit) -> None:
    present(kit.store, WorkerCard(uuid4(), "w", "n", 1, 1, ["default"], []))
    lease = kit.running().lease
    kit.queued()
    kit.expire(lease)
    upkeep = _rescuer(kit)
    wait_for(lambda: upkeep.step() and kit.job(lease.job_id).state == State.QUEUED, 10, "the rescue without a broker")


def test_nothing_is_rescued_right_after_the_machine_slept(kit: Kit) -> None:
    """Its worker was asleep as well, and may renew its lease or give the job back unburnt."""
    lease = kit.running().lease
    awake = count()
    slept = [0.0]
    upkeep = _rescuer(kit, clock=lambda: next(awake) / 100 + slept[0])
    for _ in range(100):
        upkeep.step()
    slept[0] = 3600.0
    kit.expire(lease)
    upkeep.step()
    assert kit.job(lease.job_id).state == State.RUNNING
    for _ in range(100):
        upkeep.step()
    assert kit.job(lease.job_id).state == State.QUEUED


def test_one_kind_of_upkeep_that_fails_keeps_no_other_from_being_done(kit: Kit, tmp_path: Path) -> None:
    files = FileStore(tmp_path)
    lease = kit.running().lease

    class Broken(FileStore):
        def remove(self, path: str) -> None:
            raise PermissionError(path)

    save_output(kit.store, lease.job_id, lease.attempt, Output(uuid4(), "a", "outputs/a", 1, bytes(32), "text/plain"))
    kit.finish(lease, Completed(None))
    with kit.store.transaction() as tx:
        tx.execute(update(Job).where(Job.id == lease.job_id).values(expires_at=now() - 1))
    lost = kit.running().lease
    kit.expire(lost)
    upkeep = _rescuer(kit, files=Broken(files.root))
    wait_for(lambda: upkeep.step() and kit.job(lost.job_id).state == State.QUEUED, 10, "the rescue")


def test_an_output_that_another_job_needs_outlives_its_job(kit: Kit, tmp_path: Path) -> None:
    files = FileStore(tmp_path)
    lease = kit.running().lease
    (tmp_path / "a.txt").write_text("x")
    stored = files.adopt(tmp_path / "a.txt", lease.job_id, lease.attempt, "a.txt")
    save_output(kit.store, lease.job_id, lease.attempt, Output(**vars(stored)))
    kit.finish(lease, Completed(None))
    reader = {"kind": "python", "name": "reader", "inputs": {"text": {}}}
    catalog.declare(kit.store, [reader], "worker-1")
    order = Order("reader", inputs={"text": str(stored.id)})
    following = persist.submit(kit.store, kit.alice, order).jobs[0]
    persist.remove(kit.store, kit.alice, lease.job_id)
    prune(kit.store, 7, files)
    assert files.resolve(stored.path).read_text() == "x"
    kit.act(Event.CANCEL, following.id)
    prune(kit.store, 7, files)
    with pytest.raises(NotFound):
        files.resolve(stored.path)


def test_what_has_expired_is_removed_with_its_files(kit: Kit, tmp_path: Path) -> None:
    files = FileStore(tmp_path, max_upload=100)
    lease = kit.running().lease
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "a").write_text("x")
    output = Output(uuid4(), "a.txt", "outputs/a", 1, bytes(32), "text/plain")
    save_output(kit.store, lease.job_id, lease.attempt, output)
    kit.finish(lease, Completed(None))
    kept = kit.queued()
    assert prune(kit.store, 7, files).jobs == 0
    with kit.store.transaction() as tx:
        tx.execute(update(Job).where(Job.id == lease.job_id).values(expires_at=now() - 1))
    assert prune(kit.store, 7, files).jobs == 1
    assert not (tmp_path / "outputs" / "a").exists()
    assert kit.job(kept.id).state == State.QUEUED
    with kit.store.reading() as connection:
        assert connection.execute(select(func.count()).select_from(StoredFile)).scalar_one() == 0


def test_a_jobs_own_expiry_counts_from_its_end(kit: Kit) -> None:
    lease = kit.running(expires_after=60.0).lease
    kit.finish(lease, Completed(None))
    job = kit.job(lease.job_id)
    assert round((job.expires_at - job.finished_at) / 1e6) == 60


def test_old_keys_are_forgotten(kit: Kit) -> None:
    with kit.store.transaction() as tx:
        tx.execute(
            insert(IdempotencyKey).values(
                owner_id=kit.alice.user_id, key="k", body_sha256=bytes(32), created_at=now() - 8 * 86_400 * 10**6
            )
        )
    prune(kit.store, 7)
    with kit.store.reading() as connection:
        assert connection.execute(select(func.count()).select_from(IdempotencyKey)).scalar_one() == 0


def test_the_next_round_comes_when_the_next_job_is_due(kit: Kit) -> None:
    assert seconds_to_next_due(kit.store) == 86_400.0
    soon = time.time_ns() // 1000 + 60 * 10**6
    kit.queued(not_before=soon + 10**9)
    sooner = kit.queued(not_before=soon)
    assert 50 < seconds_to_next_due(kit.store) <= 60
    kit.act(Event.CANCEL, sooner.id)
    assert 1000 < seconds_to_next_due(kit.store) <= 1060
