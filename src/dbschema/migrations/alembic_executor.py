"""The steps of a run by Alembic, on SQLAlchemy's connection around the one that the guard watches over.

What Alembic keeps about its progress belongs to one attempt, so each attempt is a new one of Alembic's, which is handed
the steps that are left.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

from dbschema import connect
from dbschema.migrations.step_runner import LockTimeoutSwitch, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import psycopg
    from alembic.runtime.migration import MigrationStep
    from sqlalchemy import Connection

    from dbschema.migrations.step_runner import StepRunner

    HandOut = Callable[[Any, Any], Iterator[MigrationStep]]


def run(
    guard: StepRunner,
    connection: Connection,
    load: Callable[[Any, Any], Iterable[MigrationStep]],
    migrate: Callable[[HandOut], None],
) -> None:
    """Go through the steps of Alembic's.

    Args:
        guard: of the driver's connection.
        connection: SQLAlchemy's around it, in no transaction.
        load: gives the steps; called once, by Alembic.
        migrate: runs Alembic with the function that hands out the steps that are left.

    Raises:
        MigrationError: as `Guard.run`.
    """

    def attempt(hand_out: Callable[..., Iterator[Task]]) -> None:
        def steps(heads: Any, context: Any) -> Iterator[MigrationStep]:
            tasks = hand_out(heads, context)
            while True:
                # What Alembic did between two steps is to stay, such as the new version table: the guard works on the
                # driver's connection, below SQLAlchemy's transaction.
                connection.commit()
                task = next(tasks, None)
                if task is None:
                    return
                yield task.work

        try:
            migrate(steps)
        except BaseException:
            if not connection.closed and not connection.invalidated:
                connection.rollback()
            raise

    with _patient(connection, LockTimeoutSwitch(guard.timeouts)):
        guard.run(lambda heads, context: [_task(step) for step in load(heads, context)], attempt)


def driver(connection: Connection) -> psycopg.Connection:
    """The connection of psycopg in one of SQLAlchemy's."""
    found: psycopg.Connection = connection.connection.driver_connection  # type: ignore[assignment]  # of our own engine
    return found


@contextmanager
def around(work: psycopg.Connection, settings: connect.Settings) -> Iterator[Connection]:
    """SQLAlchemy's connection on the session of `work`, which goes with it.

    Further connections of its engine are new ones: a revision may open some.
    """
    # Listeners are asked in the order in which they came (`insert=True` is ignored here), and the first that gives a
    # connection is believed: one that opens sessions by rules of its own (see `connect.attach`) has to come after ours.
    plain = replace(settings, secret=None, iam=False, wake_seconds=0.0, failover_seconds=0.0)
    engine = connect.create_engine(plain)
    first = [work]

    def do_connect(*_: Any) -> psycopg.Connection | None:
        return first.pop() if first else None

    event.listen(engine, "do_connect", do_connect)
    connect.attach(engine, settings)
    with closing(engine.connect()) as connection:
        yield connection


def _task(step: MigrationStep) -> Task:
    script = getattr(step, "revision", None)
    path = getattr(script, "path", None)
    return Task(
        revision=str(getattr(script, "revision", None) or step.short_log),
        doc=step.doc or "",
        direction="upgrade" if step.is_upgrade else "downgrade",
        path=None if path is None else Path(path),
        work=step,
    )


@contextmanager
def _patient(connection: Connection, patience: LockTimeoutSwitch) -> Iterator[None]:
    def before(_c: Any, cursor: Any, statement: str, _p: Any, _x: Any, _m: bool) -> None:
        patience.before(cursor.connection, statement)

    def after(_c: Any, cursor: Any, statement: str, _p: Any, _x: Any, _m: bool) -> None:
        patience.after(cursor.connection, statement)

    event.listen(connection, "before_cursor_execute", before)
    event.listen(connection, "after_cursor_execute", after)
    try:
        yield
    finally:
        event.remove(connection, "before_cursor_execute", before)
        event.remove(connection, "after_cursor_execute", after)
