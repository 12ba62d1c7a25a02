"""When things happen in the sample: ninety days of the year 2026, always the same."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

BEGINNING = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
LAST_DAY = 90
"""The sample's today, counted from its first day."""


def at(day: float, minute: int = 0) -> datetime:
    """A moment of the sample: days since its beginning, and minutes."""
    return (BEGINNING + timedelta(days=day, minutes=minute)).replace(microsecond=0)


def on(day: int) -> date:
    """A date of the sample."""
    return at(day).date()
