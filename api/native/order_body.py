"""What a client sends to have a job made or changed, and the `Order` it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import marshmallow as ma

from api.fields import EXPECTED, Document, Duration, Identity, Items, Moment, Number, Read, Text, Truth, Whole
from api.parsing import Strict
from shared.persist import Order

MAX_BATCH = 10_000
QUEUE = "[A-Za-z0-9][A-Za-z0-9._-]{0,99}"


class BackoffBody(Strict):
    """How long to wait between attempts: `first` seconds, `factor` times longer after each, at most `max`."""

    first = Number(0, 86_400 * 31)
    factor = Number(1, 1000)
    max = Number(0, 86_400 * 31)


class FileIds(Read, ma.fields.Field[Any]):
    """The id of a file, or a list of such ids."""

    default_error_messages = {"invalid": "Not a file id or a list of file ids."}  # noqa: RUF012 - marshmallow's form
    _one = Identity()
    _many = Items(Identity(), 10_000)

    def __init__(self) -> None:
        super().__init__(metadata={EXPECTED: "the id of an uploaded file, or a list of such ids"})

    def _read(self, value: Any) -> Any:
        """The ids as text, which is how a job keeps them."""
        if isinstance(value, list):
            return [str(each) for each in self._many.deserialize(value)]
        return str(self._one.deserialize(value))


class ChangesBody(Strict):
    """What may be said of a job before it runs."""

    args = Document("Its input, valid by the schema of the job type.")
    inputs = ma.fields.Dict(
        keys=ma.fields.String(),
        values=FileIds(),
        metadata={"description": "Input name to the id of an uploaded file, or to a list of such ids."},
    )
    title = Text(500, "For people.")
    labels = Items(Text(255, shortest=1), 50, "Words for finding it.")
    priority = Whole(-1_000_000, 1_000_000, "Lower is more urgent.")
    queue = Text(100, "Which workers may take it.", shortest=1, pattern=QUEUE)
    not_before = Moment(1, "Not run earlier:", allow_none=True)
    timeout = Duration("How long an attempt may run", least=0.001, allow_none=True)
    max_attempts = Whole(1, 1000, "How many attempts may be burnt.")
    backoff = ma.fields.Nested(BackoffBody)
    pause_at = Text(200, "Stage at whose start the job pauses itself.", shortest=1, allow_none=True)
    expires_after = Duration("How long it is kept after its end", allow_none=True)
    extra = Document("Free-form data of yours, kept untouched.", allow_none=True)


class OrderBody(ChangesBody):
    """A job to be made."""

    type = Text(100, "Name of the job type.", shortest=1, required=True)
    version = Text(50, "Version of the job type; without it the newest.", shortest=1, allow_none=True)
    draft = Truth("Keep it as a draft that is not run before it is submitted.")


class BatchBody(Strict):
    """Jobs to be made, all or none."""

    jobs = Items(ma.fields.Nested(OrderBody), MAX_BATCH, required=True, shortest=1)


def order(body: Mapping[str, Any]) -> Order:
    """The order that a loaded body stands for."""
    return Order(**body)
