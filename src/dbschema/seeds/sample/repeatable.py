"""Repeatable times and pseudo-random numbers: the sample is the same on every machine and version of Python.

The sample covers ninety days of the year 2026.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence


BEGINNING = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
LAST_DAY = 90
"""The current day of the sample, counted from its first day."""


def at(day: float, minute: int = 0) -> datetime:
    """Return a time of the sample: days since its beginning, plus minutes."""
    return (BEGINNING + timedelta(days=day, minutes=minute)).replace(microsecond=0)


def on(day: int) -> date:
    """Return a date of the sample: days since its beginning."""
    return at(day).date()


T = TypeVar("T")


class Draws:
    """A sequence of pseudo-random numbers that depends only on a name.

    The standard library guarantees repeatability for `random.random()` only, not for the functions based on it.
    """

    def __init__(self, *name: str) -> None:
        self._name = "/".join(name)
        self._count = 0

    def share(self) -> float:
        """Return the next number, from 0 (included) to 1 (excluded)."""
        self._count += 1
        digest = sha256(f"{self._name}/{self._count}".encode()).digest()
        return int.from_bytes(digest[:6]) / 2**48

    def number(self, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`, both included."""
        return low + int(self.share() * (high - low + 1))

    def one_of(self, values: Sequence[T]) -> T:
        """Return one of `values`."""
        return values[self.number(0, len(values) - 1)]
