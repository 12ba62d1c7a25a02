"""The time of a call, and what is stopped when it is over."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from dbschema.migrations.errors import LockLost
from dbschema.tools.deploy.deadline import Deadline
from dbschema.tools.deploy.runs import _is_cancelled
from dbschema.tools.deploy.target import reachable

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(("remaining", "margin"), [(840, 15), (100, 10), (30, 3), (3, 0.5), (0.1, 0.5)])
def test_a_part_of_the_time_is_kept_for_the_answer(remaining: float, margin: float) -> None:
    deadline = Deadline(remaining)

    assert deadline.stop_at == pytest.approx(deadline.began + remaining - margin)
    assert deadline.answer_at == pytest.approx(deadline.began + remaining - margin / 2)
    assert deadline.left is not None
    assert 0 <= deadline.left <= max(0, remaining - margin)


def test_without_a_context_there_is_no_end() -> None:
    deadline = Deadline.of(None)

    assert (deadline.stop_at, deadline.answer_at, deadline.left, deadline.over) == (None, None, None, False)


def test_lambda_tells_the_time_that_is_left() -> None:
    deadline = Deadline.of(SimpleNamespace(get_remaining_time_in_millis=lambda: 20_000))

    assert deadline.stop_at == pytest.approx(deadline.began + 18)


@pytest.mark.parametrize(
    "variables",
    [
        {"DATABASE_URL": "postgresql://nobody@127.0.0.1/shop"},
        {
            "AURORA_CLUSTER_ARN": "arn:aws:rds:eu-central-2:111122223333:cluster:shop",
            "AURORA_SECRET_ARN": "arn:aws:secretsmanager:eu-central-2:111122223333:secret:shop-AbCdEf",
            "DATABASE_NAME": "shop",
        },
    ],
    ids=["connections", "Data API"],
)
def test_a_server_that_sleeps_is_waited_for_within_the_time_of_the_call(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**variables, "DB_WAKE_SECONDS": "60"}.items():
        monkeypatch.setenv(name, value)

    assert reachable(Deadline(None)).wake_seconds == 60
    assert 0 < reachable(Deadline(10)).wake_seconds <= 9


def test_a_statement_is_cancelled_when_the_time_is_over(new_database: Callable[..., str]) -> None:
    with psycopg.connect(new_database(driver="")) as connection:
        deadline = Deadline(0.6)
        deadline.watch(connection)

        with pytest.raises(psycopg.errors.QueryCanceled), deadline.enforced():
            connection.execute("SELECT pg_sleep(600)")

    assert deadline.over


def test_one_statement_after_the_other_is_cancelled(new_database: Callable[..., str]) -> None:
    """A revision that catches the error, or was between two statements, must not go on until it is killed."""
    with psycopg.connect(new_database(driver=""), autocommit=True) as connection:
        deadline = Deadline(0.6)
        deadline.watch(connection)

        with deadline.enforced():
            for _ in range(3):
                with pytest.raises(psycopg.errors.QueryCanceled):
                    connection.execute("SELECT pg_sleep(600)")


def test_what_ended_in_time_is_not_cancelled(new_database: Callable[..., str]) -> None:
    with psycopg.connect(new_database(driver="")) as connection:
        deadline = Deadline(600)
        deadline.watch(connection)
        with deadline.enforced():
            connection.execute("SELECT 1")

        assert connection.execute("SELECT 2").fetchone() == (2,)

    assert not [
        thread for thread in threading.enumerate() if thread.name == "dbschema-deadline" and _alive(thread)
    ]


def _alive(thread: threading.Thread) -> bool:
    thread.join(30)
    return thread.is_alive()


def test_a_cancellation_that_fails_is_followed_by_another() -> None:
    """The connection may be gone, or the server not reached for a moment; the call must come to its answer."""
    tries, again = [], threading.Event()

    def cancel_safe(*, timeout: float) -> None:
        tries.append(timeout)
        if len(tries) == 2:
            again.set()
        raise psycopg.OperationalError("the connection is closed")

    deadline = Deadline(0.0)
    deadline.watch(SimpleNamespace(cancel_safe=cancel_safe))

    with deadline.enforced():
        assert again.wait(30)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_cancellation_is_known_behind_the_errors_that_it_causes(wrapped: bool) -> None:
    """Between two steps the session is asked about its lock: cancelled there, it looks as if the lock were lost."""
    cancelled = psycopg.errors.QueryCanceled("canceling statement due to user request")
    cause = DBAPIError("SELECT 1", {}, cancelled) if wrapped else cancelled
    error = LockLost("shop at host", ["one"])
    error.__cause__ = cause

    assert _is_cancelled(error)
    assert not _is_cancelled(LockLost("shop at host", ["one"]))
    assert not _is_cancelled(None)
