"""When things happen in the sample: ninety days of the year 2026, always the same.

Numbers that look drawn and are the same everywhere, on every version of Python.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence


BEGINNING = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
LAST_DAY = 90
"""The sample's today, counted from its first day."""


def at(day: float, minute: int = 0) -> datetime:
    """A moment of the sample: days since its beginning, and minutes."""
    return (BEGINNING + timedelta(days=day, minutes=minute)).replace(microsecond=0)


def on(day: int) -> date:
    """A date of the sample."""
    return at(day).date()


T = TypeVar("T")


class Draws:
    """A sequence of numbers that follows from a name alone.

    The standard library promises repeatability for `random.random()` only, and not for what is built on it.
    """

    def __init__(self, *name: str) -> None:
        self._name = "/".join(name)
        self._count = 0

    def share(self) -> float:
        """The next number, from 0 up to but not including 1."""
        self._count += 1
        digest = sha256(f"{self._name}/{self._count}".encode()).digest()
        return int.from_bytes(digest[:6]) / 2**48

    def number(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + int(self.share() * (high - low + 1))

    def one_of(self, values: Sequence[T]) -> T:
        """One of `values`."""
        return values[self.number(0, len(values) - 1)]
