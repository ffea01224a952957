"""Fields of request bodies and queries: stricter than marshmallow's own, and each can say what it expects.

`doc` of each is its description in the OpenAPI document; the expectation goes into the answer to a wrong value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import marshmallow as ma

from api import times

EXPECTED = "expected"
"""key of a field's metadata: what a value of it looks like, for people"""

_INTEGER = re.compile(r"-?\d{1,18}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _told(doc: str, expected: str) -> dict[str, str]:
    return {"description": doc or expected, EXPECTED: expected}


class Read:
    """Reads a value by itself alone, which is all that fields here need."""

    def _read(self, value: Any) -> Any:
        """The value meant; raises the field's own error for anything else."""
        raise NotImplementedError

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:  # noqa: ARG002 - marshmallow's form
        return self._read(value)


class Text(Read, ma.fields.String):
    """A string of bounded length, of a given form if there is a `pattern`."""

    def __init__(self, longest: int, doc: str = "", *, shortest: int = 0, pattern: str = "", **options: Any) -> None:
        checks: list[ma.validate.Validator] = [ma.validate.Length(min=shortest, max=longest)]
        if pattern:
            checks.append(ma.validate.Regexp(f"^{pattern}$", error="Does not have the form expected."))
        self.pattern = pattern
        expected = f"text of {shortest} to {longest} characters" + (f" like {pattern}" if pattern else "")
        super().__init__(validate=checks, metadata=_told(doc, expected), **options)

    def _read(self, value: Any) -> str:
        if not isinstance(value, str) or (self.pattern and value.endswith("\n")):
            raise self.make_error("invalid")
        return value


class Whole(Read, ma.fields.Integer):
    """A whole number within bounds, in a JSON body."""

    def __init__(self, least: int, most: int, doc: str = "", **options: Any) -> None:
        expected = f"a whole number from {least} to {most}"
        check = ma.validate.Range(min=least, max=most, error=f"Must be {expected}.")
        super().__init__(validate=check, metadata=_told(doc, expected), **options)

    def _read(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
            raise self.make_error("invalid")
        return int(value)


class QueryWhole(Whole):
    """A whole number within bounds, in a query."""

    def _read(self, value: Any) -> int:
        if not _INTEGER.fullmatch(str(value)):
            raise self.make_error("invalid")
        return int(value)


class Number(Read, ma.fields.Float):
    """A finite number within bounds, in a JSON body."""

    def __init__(self, least: float, most: float, doc: str = "", **options: Any) -> None:
        expected = f"a number from {least:g} to {most:g}"
        check = ma.validate.Range(min=least, max=most, error=f"Must be {expected}.")
        super().__init__(validate=check, metadata=_told(doc, expected), **options)

    def _read(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.make_error("invalid")
        return float(value)


class QueryNumber(Number):
    """A finite number within bounds, in a query."""

    def _read(self, value: Any) -> float:
        if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", str(value)):
            raise self.make_error("invalid")
        return float(value)


class Truth(Read, ma.fields.Boolean):
    """`true` or `false`, in a JSON body."""

    def __init__(self, doc: str = "", **options: Any) -> None:
        super().__init__(metadata=_told(doc, "true or false"), **options)

    def _read(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class QueryTruth(Truth):
    """`true` or `false`, in a query."""

    def _read(self, value: Any) -> bool:
        if value not in {"true", "false"}:
            raise self.make_error("invalid", input=value)
        return bool(value == "true")


class Word(ma.fields.String):
    """One of a fixed set of words."""

    def __init__(self, words: Iterable[str], doc: str = "", **options: Any) -> None:
        known = [str(word) for word in words]
        check = ma.validate.OneOf(known, error="Must be one of: {choices}.")
        super().__init__(validate=check, metadata=_told(doc, "one of " + ", ".join(known)), **options)


class Identity(Read, ma.fields.Field[UUID]):
    """A UUID."""

    default_error_messages = {"invalid": "Not a valid UUID."}  # noqa: RUF012 - marshmallow's own form

    def __init__(self, doc: str = "", **options: Any) -> None:
        super().__init__(metadata=_told(doc, "a UUID"), **options)

    def _read(self, value: Any) -> UUID:
        if not isinstance(value, str) or not _UUID.fullmatch(value):
            raise self.make_error("invalid")
        return UUID(value)


class Moment(Read, ma.fields.Field[int]):
    """An instant, or an ISO 8601 duration from now: ahead with `direction` 1, back with -1."""

    default_error_messages = {"invalid": "Not a valid date-time or duration."}  # noqa: RUF012 - marshmallow's own form

    def __init__(self, direction: int, doc: str = "", **options: Any) -> None:
        self.direction = direction
        meaning = "from now" if direction > 0 else "ago"
        expected = f"an ISO 8601 date-time such as 2026-01-02T03:04:05Z, or a duration {meaning} such as PT10M"
        super().__init__(metadata=_told(f"{doc} {expected}".strip(), expected), **options)

    def _read(self, value: Any) -> int:
        try:
            return times.moment(str(value), self.direction)
        except (ValueError, OverflowError):
            raise self.make_error("invalid") from None


class Duration(Read, ma.fields.Field[float]):
    """Seconds, as a number or as an ISO 8601 duration."""

    default_error_messages = {"invalid": "Not a valid duration."}  # noqa: RUF012 - marshmallow's own form

    def __init__(self, doc: str = "", *, least: float = 0.0, **options: Any) -> None:
        self.least = least
        expected = f"seconds ({least:g} or more), or an ISO 8601 duration such as PT10M"
        super().__init__(metadata=_told(f"{doc} ({expected})".strip(), expected), **options)

    def _read(self, value: Any) -> float:
        seconds = self._seconds(value)
        if seconds is None or not self.least <= seconds <= times.LONGEST:
            raise self.make_error("invalid")
        return seconds

    def _seconds(self, value: Any) -> float | None:
        if isinstance(value, str):
            try:
                return times.seconds(value)
            except ValueError:
                return None
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


class Document(ma.fields.Dict):
    """A JSON object of the client's own making."""

    def __init__(self, doc: str = "", **options: Any) -> None:
        super().__init__(keys=ma.fields.String(), metadata=_told(doc, "a JSON object"), **options)


class Items(ma.fields.List[Any]):
    """A list of bounded length."""

    def __init__(self, inner: Any, longest: int, doc: str = "", *, shortest: int = 0, **options: Any) -> None:
        check = ma.validate.Length(min=shortest, max=longest)
        super().__init__(inner, validate=check, metadata=_told(doc, f"a list of {shortest} to {longest}"), **options)


OPENAPI_TYPES: tuple[tuple[type[ma.fields.Field[Any]], str | None, str | None], ...] = (
    (Identity, "string", "uuid"),
    (Moment, "string", None),
    (Duration, None, None),
)
"""What the OpenAPI document says of fields that marshmallow does not know."""
