"""The first tables, and the triggers that make history append-only."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

STATES = "state IN ('draft', 'pending', 'blocked', 'queued', 'running', 'paused', 'completed', 'failed', 'cancelled')"

ON_SQLITE = (
    """
CREATE TRIGGER status_record_no_update BEFORE UPDATE ON status_record
BEGIN SELECT RAISE(ABORT, 'status records are never changed'); END
""",
    """
CREATE TRIGGER status_record_no_delete BEFORE DELETE ON status_record
WHEN EXISTS (SELECT 1 FROM job WHERE job.id = OLD.job_id)
BEGIN SELECT RAISE(ABORT, 'status records go only with their job'); END
""",
)

ON_POSTGRESQL = (
    """
CREATE FUNCTION refuse_status_record_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'status records are never changed' USING ERRCODE = 'restrict_violation'; END $$
""",
    """
CREATE FUNCTION refuse_status_record_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM job WHERE job.id = OLD.job_id) THEN
        RAISE EXCEPTION 'status records go only with their job' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
END $$
""",
    # A transaction may get its number and then wait for another, younger one that changes the same job first: the feed
    # would show the job's records in the wrong order. So a record counts as no older than the one before it.
    """
CREATE FUNCTION keep_status_record_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.xid := greatest(
        NEW.xid, (SELECT xid FROM status_record WHERE job_id = NEW.job_id AND seq = NEW.seq - 1)
    );
    RETURN NEW;
END $$
""",
    """
CREATE TRIGGER status_record_keep_order BEFORE INSERT ON status_record
FOR EACH ROW WHEN (NEW.seq > 1) EXECUTE FUNCTION keep_status_record_order()
""",
    """
CREATE TRIGGER status_record_no_update BEFORE UPDATE ON status_record
FOR EACH ROW EXECUTE FUNCTION refuse_status_record_change()
""",
    """
CREATE TRIGGER status_record_no_delete BEFORE DELETE ON status_record
FOR EACH ROW EXECUTE FUNCTION refuse_status_record_removal()
""",
    """
CREATE TRIGGER status_record_no_truncate BEFORE TRUNCATE ON status_record
FOR EACH STATEMENT EXECUTE FUNCTION refuse_status_record_change()
""",
)


def _where(condition: str) -> dict[str, Any]:
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}


def upgrade() -> None:
    _create_tables()
    for statement in ON_SQLITE if op.get_bind().dialect.name == "sqlite" else ON_POSTGRESQL:
        op.execute(statement)


def _create_tables() -> None:
    op.create_table(
        "audit_entry",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=50), nullable=False),
        sa.Column("target", sa.String(length=300), nullable=False),
        sa.Column("reason", sa.String(length=2000), nullable=True),
        sa.Column("detail", JSON, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_entry_target", "audit_entry", ["target"])
    op.create_table(
        "idempotency_key",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("body_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("numbers", JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "key", name=op.f("pk_idempotency_key")),
    )
    op.create_index(op.f("ix_idempotency_key_created_at"), "idempotency_key", ["created_at"])
    op.create_table(
        "job_type",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("version", sa.String(length=50), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("revision", sa.String(length=64), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("pause_reason", sa.String(length=2000), nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_job_type")),
    )
    op.create_table(
        "leadership",
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("holder", sa.Uuid(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("lease_boot", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leadership")),
    )
    op.create_table(
        "queue",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("pause_reason", sa.String(length=2000), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_queue")),
    )
    op.create_table(
        "status_record",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("xid", SERIAL, nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("event", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("ends", sa.Boolean(), nullable=False),
        sa.Column("flag", sa.String(length=8), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("rerun", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(length=200), nullable=True),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("done", sa.Float(), nullable=True),
        sa.Column("total", sa.Float(), nullable=True),
        sa.Column("message", sa.String(length=2000), nullable=False),
        sa.Column("error", JSON, nullable=True),
        sa.Column("by", sa.String(length=200), nullable=True),
        sa.Column("reason", sa.String(length=2000), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("flag IN ('pause', 'cancel')", name=op.f("ck_status_record_flag")),
        sa.CheckConstraint(
            STATES,
            name=op.f("ck_status_record_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_status_record")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_status_record_feed", "status_record", ["xid", "id"])
    op.create_index(
        "uq_status_record_final",
        "status_record",
        ["job_id", "rerun"],
        unique=True,
        **_where("state IN ('completed', 'failed', 'cancelled') AND ends"),
    )
    op.create_index("uq_status_record_job_id_seq", "status_record", ["job_id", "seq"], unique=True)
    op.create_table(
        "stored_file",
        sa.Column("number", SERIAL, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("path", sa.String(length=500), nullable=False),
        sa.Column("size", SERIAL, nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("media_type", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("role IN ('input', 'output')", name=op.f("ck_stored_file_role")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_stored_file")),
        sa.UniqueConstraint("id", name=op.f("uq_stored_file_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_stored_file_job_id", "stored_file", ["job_id", "number"])
    op.create_index(op.f("ix_stored_file_owner_id"), "stored_file", ["owner_id"])
    op.create_table(
        "user_account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("scopes", JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_account")),
        sa.UniqueConstraint("name", name=op.f("uq_user_account_name")),
    )
    op.create_table(
        "worker",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("node", sa.String(length=255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("queues", JSON, nullable=False),
        sa.Column("offers", JSON, nullable=False),
        sa.Column("versions", JSON, nullable=False),
        sa.Column("draining", sa.Boolean(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worker")),
    )
    op.create_index(op.f("ix_worker_seen_at"), "worker", ["seen_at"])
    op.create_table(
        "job",
        sa.Column("number", SERIAL, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column("type_version", sa.String(length=50), nullable=False),
        sa.Column("revision", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("title", sa.String(length=500), nullable=False),
        sa.Column("labels", JSON, nullable=False),
        sa.Column("args", JSON, nullable=False),
        sa.Column("inputs", JSON, nullable=False),
        sa.Column("extra", JSON, nullable=True),
        sa.Column("queue", sa.String(length=100), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=True),
        sa.Column("timeout", sa.Float(), nullable=True),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("backoff", JSON, nullable=False),
        sa.Column("pause_at", sa.String(length=200), nullable=True),
        sa.Column("expires_after", sa.Float(), nullable=True),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("state_at", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("flag", sa.String(length=8), nullable=True),
        sa.Column("flag_mode", sa.String(length=8), nullable=True),
        sa.Column("flag_at", sa.BigInteger(), nullable=True),
        sa.Column("flag_by", sa.String(length=200), nullable=True),
        sa.Column("flag_reason", sa.String(length=2000), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("burnt", sa.Integer(), nullable=False),
        sa.Column("rerun", sa.Integer(), nullable=False),
        sa.Column("holder", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("lease_boot", sa.String(length=36), nullable=True),
        sa.Column("wakeups", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(length=200), nullable=True),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("done", sa.Float(), nullable=True),
        sa.Column("total", sa.Float(), nullable=True),
        sa.Column("message", sa.String(length=2000), nullable=False),
        sa.Column("error", JSON, nullable=True),
        sa.Column("result", JSON, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("NOT held OR state = 'paused'", name=op.f("ck_job_held_is_paused")),
        sa.CheckConstraint("flag IN ('pause', 'cancel')", name=op.f("ck_job_flag")),
        sa.CheckConstraint(
            "flag IS NULL OR state = 'running' OR (state = 'paused' AND holder IS NOT NULL AND flag = 'cancel')",
            name=op.f("ck_job_flag_needs_holder"),
        ),
        sa.CheckConstraint("flag_mode IN ('park', 'suspend')", name=op.f("ck_job_flag_mode")),
        sa.CheckConstraint("holder IS NULL OR state IN ('running', 'paused')", name=op.f("ck_job_holder_state")),
        sa.CheckConstraint("state <> 'running' OR holder IS NOT NULL", name=op.f("ck_job_running_is_held")),
        sa.CheckConstraint(
            STATES,
            name=op.f("ck_job_state"),
        ),
        sa.CheckConstraint("burnt >= 0 AND burnt <= max_attempts AND burnt <= attempt", name=op.f("ck_job_burnt")),
        sa.CheckConstraint("holder IS NULL OR lease_until IS NOT NULL", name=op.f("ck_job_holder_has_lease")),
        sa.CheckConstraint("max_attempts >= 1", name=op.f("ck_job_max_attempts")),
        sa.CheckConstraint("progress >= 0 AND progress <= 1", name=op.f("ck_job_progress")),
        sa.ForeignKeyConstraint(["owner_id"], ["user_account.id"], name=op.f("fk_job_owner_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_job")),
        sa.UniqueConstraint("id", name=op.f("uq_job_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_job_claim", "job", ["queue", "priority", "number"], **_where("state = 'queued'"))
    op.create_index("ix_job_expires", "job", ["expires_at"], **_where("expires_at IS NOT NULL"))
    op.create_index("ix_job_holder", "job", ["holder"], **_where("holder IS NOT NULL"))
    op.create_index("ix_job_not_before", "job", ["not_before"], **_where("not_before IS NOT NULL"))
    op.create_index("ix_job_owner_number", "job", ["owner_id", "number"])
    op.create_index("ix_job_state_number", "job", ["state", "number"])
    op.create_index("ix_job_type_number", "job", ["type", "number"])
    op.create_table(
        "revision",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("version", sa.String(length=50), nullable=False),
        sa.Column("interface", sa.String(length=64), nullable=False),
        sa.Column("declaration", JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=True),
        sa.ForeignKeyConstraint(
            ["name", "version"],
            ["job_type.name", "job_type.version"],
            name=op.f("fk_revision_name_version"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_revision")),
    )
    op.create_index("ix_revision_name_version", "revision", ["name", "version"])
    op.create_table(
        "token",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("prefix", sa.String(length=12), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("scopes", JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_token_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
        sa.UniqueConstraint("sha256", name=op.f("uq_token_sha256")),
    )
    op.create_index(op.f("ix_token_user_id"), "token", ["user_id"])
    op.create_table(
        "checkpoint",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("state", JSON, nullable=True),
        sa.Column("files", JSON, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_checkpoint_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_checkpoint")),
    )
    op.create_table(
        "execution",
        sa.Column("number", SERIAL, nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker_id", sa.Uuid(), nullable=False),
        sa.Column("node", sa.String(length=255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("token_sha256", sa.LargeBinary(length=32), nullable=True),
        sa.Column("claimed_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("signal", sa.Integer(), nullable=True),
        sa.Column("error", JSON, nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_execution_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_execution")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_execution_token_sha256"), "execution", ["token_sha256"])
    op.create_index("uq_execution_job_id_attempt", "execution", ["job_id", "attempt"], unique=True)
    op.create_table(
        "job_label",
        sa.Column("label", sa.String(length=255), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_job_label_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("label", "job_id", name=op.f("pk_job_label")),
    )
    op.create_index(op.f("ix_job_label_job_id"), "job_label", ["job_id"])
    op.create_table(
        "log_chunk",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("stream", sa.String(length=8), nullable=False),
        sa.Column("start", SERIAL, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_log_chunk_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_chunk")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_log_chunk_read", "log_chunk", ["job_id", "attempt", "stream", "start"], unique=True)
