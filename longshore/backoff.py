"""How long a job waits before it is tried again."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from longshore.errors import InvalidDeclaration


@dataclass(frozen=True, slots=True)
class Backoff:
    """Wait `first` seconds after the first burnt attempt, `factor` times longer each time, `max` at most."""

    first: float = 1
    factor: float = 2
    max: float = 300

    def __post_init__(self) -> None:
        if not all(isinstance(value, int | float) for value in (self.first, self.factor, self.max)):
            raise InvalidDeclaration(f"backoff needs numbers, not {self}")
        if self.first < 0 or self.factor < 1 or self.max < self.first:
            raise InvalidDeclaration(f"backoff needs first >= 0, factor >= 1 and max >= first, not {self}")

    def delay(self, burnt: int) -> float:
        """Give the seconds to wait after so many burnt attempts (1, 2, ...)."""
        # The exponent is bounded because a float overflows long after every sensible `max`.
        return min(self.first * self.factor ** min(max(burnt - 1, 0), 64), self.max)

    def as_json(self) -> dict[str, float]:
        """Give the form that stands in a declaration."""
        return asdict(self)
