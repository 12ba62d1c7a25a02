"""A cursor comes back as it went, and anything else is told in words."""

from __future__ import annotations

import string
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbschema.errors import DbSchemaError
from dbschema.queries import BadCursor, BadSearch, DistanceCursor, TimeCursor, incidents

TIMES = st.builds(
    TimeCursor,
    st.datetimes(
        min_value=datetime(1, 1, 2),  # noqa: DTZ001  hypothesis adds the time zone
        max_value=datetime(9999, 12, 30),  # noqa: DTZ001  as above
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]),
    ),
    st.uuids(),
)
DISTANCES = st.builds(
    DistanceCursor, st.floats(min_value=0, allow_nan=False, allow_infinity=False), st.uuids()
)
NOW = TimeCursor(datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC), UUID(int=7))


@given(TIMES)
def test_a_cursor_of_times_comes_back_to_the_microsecond(cursor: TimeCursor) -> None:
    assert TimeCursor.read(str(cursor)) == cursor


@given(DISTANCES)
def test_a_cursor_of_distances_comes_back_to_the_last_bit(cursor: DistanceCursor) -> None:
    assert DistanceCursor.read(str(cursor)) == cursor


@given(TIMES)
def test_a_cursor_needs_no_escaping_in_an_address(cursor: TimeCursor) -> None:
    assert set(str(cursor)) <= set(string.ascii_letters + string.digits + "-_")


@given(st.text(max_size=300))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(BadCursor):
        TimeCursor.read(text)


@given(st.data())
def test_a_cursor_with_one_character_changed_is_refused(data: st.DataObject) -> None:
    text = str(NOW)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(
        st.sampled_from(string.ascii_letters + string.digits + "-_").filter(lambda c: c != text[place])
    )

    with pytest.raises(BadCursor):
        TimeCursor.read(text[:place] + other + text[place + 1 :])


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_cursor_that_was_cut_or_lengthened_is_refused(cut: int) -> None:
    for text in (str(NOW)[:-cut], str(NOW)[cut:], str(NOW) + "A" * cut, str(NOW) + "=" * cut):
        with pytest.raises(BadCursor):
            TimeCursor.read(text)


def test_a_cursor_of_another_order_is_told_as_such() -> None:
    with pytest.raises(BadCursor, match="belongs to pages by distance, and these are by time") as caught:
        incidents.newest(after=str(DistanceCursor(3.5, uuid4())))

    assert isinstance(caught.value, DbSchemaError)
    assert caught.value.next_step


@pytest.mark.parametrize(
    "payload",
    ["time|now()|{key}", "time|'; DROP TABLE incidents; --|{key}", "time|2026-01-01T00:00:00|{key}"],
)
def test_a_forged_cursor_holds_a_time_or_nothing(payload: str) -> None:
    """The checksum is no secret: whoever works it out gets no further than to what a cursor can say."""
    from dbschema.queries.cursors import _checksum  # noqa: PLC0415  what a forger would do

    forged = payload.format(key=UUID(int=1).hex).encode()

    with pytest.raises(BadCursor):
        TimeCursor.read(urlsafe_b64encode(_checksum(forged) + forged).rstrip(b"=").decode())


def test_a_time_without_zone_is_no_cursor() -> None:
    with pytest.raises(BadCursor, match="time zone"):
        TimeCursor(datetime(2026, 1, 1), uuid4())  # noqa: DTZ001  what is refused


@pytest.mark.parametrize("metres", [float("nan"), float("inf"), -1.0])
def test_a_distance_that_is_none_is_no_cursor(metres: float) -> None:
    with pytest.raises(BadCursor, match="distance"):
        DistanceCursor(metres, uuid4())


@pytest.mark.parametrize("limit", [0, -1, 1001, 10**12, 2.5, True, "5", None])
def test_a_page_has_one_to_a_thousand_rows(limit: object) -> None:
    with pytest.raises(BadSearch, match="from 1 to 1000"):
        incidents.newest(limit=limit)  # type: ignore[arg-type]  # what is refused
