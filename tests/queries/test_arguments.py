"""An argument that has no meaning is told in words, before the database is asked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from dbschema.queries import BadCursor, BadSearch, DistanceCursor, TimeCursor, audit, documents, incidents
from dbschema.queries.places import FARTHEST

if TYPE_CHECKING:
    from collections.abc import Callable

NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001  what is refused
HERE = (7.4, 46.9)
DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("argument", "ask"),
    [
        ("status", lambda: incidents.near(HERE, within=1, status="lost")),
        ("since", lambda: incidents.near(HERE, within=1, since=NAIVE)),
        ("until", lambda: incidents.in_box(1, 1, 2, 2, until=NAIVE)),
        ("since", lambda: incidents.by_domain("roads", since=NAIVE)),
        ("until", lambda: incidents.by_category("flood", until="2026-01-01")),  # type: ignore[arg-type]  # what is refused
        ("domain", lambda: incidents.by_domain("ro\0ads")),
        ("domain", lambda: incidents.by_data({}, domain="ro\0ads")),
        ("category", lambda: incidents.by_category(5)),  # type: ignore[arg-type]  # as above
        ("resource_type", lambda: audit.trail("inci\0dent", "1")),
        ("resource_id", lambda: audit.trail("incident", 1)),  # type: ignore[arg-type]  # as above
        ("data", lambda: incidents.by_data(["flood"])),  # type: ignore[arg-type]  # as above
        ("data", lambda: incidents.by_data({"a": [{"b": "x\0"}]})),
        ("data", lambda: incidents.by_data({"x\0": 1})),
        ("data", lambda: incidents.by_data({"a": float("nan")})),
        ("data", lambda: incidents.by_data({"a": "\ud800"})),
        ("data", lambda: incidents.by_data({"a": DEEP})),
    ],
)
def test_an_argument_without_meaning_is_named(argument: str, ask: Callable[[], object]) -> None:
    with pytest.raises(BadSearch) as caught:
        ask()

    assert caught.value.argument == argument


def test_no_distance_is_too_far() -> None:
    (metres,) = (
        value
        for name, value in incidents.near(HERE, within=10**400).compile().params.items()
        if "metres" in name
    )

    assert metres == FARTHEST


@pytest.mark.parametrize(
    "ask",
    [
        lambda: incidents.newest(after=DistanceCursor(1.0, UUID(int=1))),  # type: ignore[arg-type]  # what is refused
        lambda: incidents.near(HERE, within=1, after=TimeCursor(datetime.now(UTC), UUID(int=1))),  # type: ignore[arg-type]  # as above
        lambda: documents.with_words("flood", after=7),  # type: ignore[arg-type]  # as above
    ],
)
def test_a_cursor_of_another_kind_is_refused(ask: Callable[[], object]) -> None:
    with pytest.raises(BadCursor):
        ask()
