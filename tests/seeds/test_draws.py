"""Drawn numbers follow from their name alone, for ever."""

from __future__ import annotations

from dbschema.seeds.sample.repeatable import Draws
from dbschema.seeds.writing import SAMPLE_SLUGS, row_id, tenant_id


def test_the_same_name_gives_the_same_numbers() -> None:
    first, second = Draws("orders", "1"), Draws("orders", "1")

    assert [first.number(0, 999) for _ in range(9)] == [second.number(0, 999) for _ in range(9)]


def test_numbers_stay_within_their_bounds_and_reach_them() -> None:
    draws = Draws("bounds")

    numbers = [draws.number(3, 5) for _ in range(200)]

    assert set(numbers) == {3, 4, 5}


def test_numbers_and_ids_are_those_of_every_other_machine() -> None:
    """Literals: what is in databases already must not change with a version of Python or of this package."""
    draws = Draws("azulejo-lane", "orders", "0")

    assert [draws.number(0, 9999) for _ in range(4)] == [3126, 8577, 4503, 5843]
    assert [str(tenant_id(slug)) for slug in SAMPLE_SLUGS] == [
        "b0760d34-486e-56ae-841a-4fd978726f50",
        "d2dff04c-8901-5db4-ab7d-963d7f4bab02",
        "1444361a-5eaa-578c-82f9-306659737143",
    ]
    assert str(row_id(tenant_id("azulejo-lane"), "users", "ines")) == "a11ca59a-1d27-5b9d-bb2a-b2f247ad373a"
