"""Pauses grow, differ, and end with the deadline."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbschema import _retry
from dbschema._retry import Pauses, Retry, wait_until

sys.path[:0] = [str(Path(__file__).parent)]  # for `clock`
from clock import Clock  # noqa: E402  as above


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of the loop, which passes by its pauses alone."""
    clock = Clock()
    monkeypatch.setattr(_retry, "time", clock)
    return clock


@given(number=st.integers(1, 10_000), least=st.floats(0, 1))
def test_a_pause_is_within_its_limits(number: int, least: float) -> None:
    limit = min(5.0, 0.5 * 2 ** min(number - 1, 30))

    assert least * limit <= Pauses(0.5, 5.0, least).draw(number) <= limit + 1e-9


def test_the_limit_doubles_up_to_the_longest() -> None:
    pauses = Pauses(0.5, 3.0, least=1)

    assert [pauses.draw(number) for number in range(1, 6)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_the_limit_stays_without_a_longest() -> None:
    assert {Pauses(0.5, least=1).draw(number) for number in range(1, 6)} == {0.5}


def test_two_callers_do_not_pause_in_step() -> None:
    assert len({Pauses(1.0).draw(1) for _ in range(20)}) > 1


def test_the_last_attempt_is_at_the_deadline(clock: Clock) -> None:
    retry = Retry(Pauses(0.4, least=1), seconds=1.0)

    while retry.again():
        pass

    assert clock.pauses == pytest.approx([0.4, 0.4, 0.2])
    assert (retry.attempt, retry.waited, retry.left) == (4, pytest.approx(1.0), pytest.approx(0.0))


def test_without_a_deadline_there_is_always_another_attempt(clock: Clock) -> None:
    retry = Retry(Pauses(1.0, 60.0))

    assert all(retry.again() for _ in range(1_000))
    assert sum(clock.pauses) > 1_000


def test_a_deadline_that_has_passed_allows_one_attempt(clock: Clock) -> None:
    asked: list[bool] = []

    assert not wait_until(lambda: bool(asked.append(True)), Pauses(1.0), seconds=0)

    assert (len(asked), clock.pauses) == (1, [])


def test_what_is_done_is_not_waited_for(clock: Clock) -> None:
    answers = iter([False, False, True])

    assert wait_until(lambda: next(answers), Pauses(1.0, least=1), seconds=10)

    assert clock.pauses == [1.0, 1.0]


def test_time_of_an_earlier_first_attempt_counts(clock: Clock) -> None:
    retry = Retry(Pauses(1.0), seconds=10, began=clock.now - 9)

    assert (retry.waited, retry.left) == (9, 1)


def test_a_caller_can_bring_its_own_clock_and_its_own_way_to_wait() -> None:
    other = Clock()
    retry = Retry(Pauses(1.0, least=1), 2, clock=other.monotonic, sleep=other.sleep)

    while retry.again():
        pass

    assert other.pauses == [1.0, 1.0]


def test_a_pause_can_have_a_length_of_the_callers(clock: Clock) -> None:
    retry = Retry(Pauses(1.0))

    retry.pause(0.0)

    assert (clock.pauses, retry.attempt) == ([0.0], 2)


def test_nothing_else_in_the_package_waits_by_itself() -> None:
    """A loop with a pause of its own would have no jitter, or no end."""
    source = Path(_retry.__file__).parent
    found = {
        f"{path.relative_to(source)}: {line.strip()}"
        for path in source.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\bsleep\(", line)
    }

    assert found == {
        # The two ways to wait that a `Retry` is given.
        "connect/connection.py: time.sleep(seconds)",
        "connect/connection.py: await_only(asyncio.sleep(seconds))",
    }
