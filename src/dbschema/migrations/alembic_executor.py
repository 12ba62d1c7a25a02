"""Execute the steps of a run with Alembic, on a SQLAlchemy connection around the connection of the step runner.

Alembic keeps its progress in memory. So each attempt starts a new Alembic run with the remaining steps.
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
    runner: StepRunner,
    connection: Connection,
    load: Callable[[Any, Any], Iterable[MigrationStep]],
    migrate: Callable[[HandOut], None],
) -> None:
    """Execute the steps with Alembic.

    Args:
        runner: the step runner of the driver connection.
        connection: the SQLAlchemy connection around it, outside a transaction.
        load: returns the steps; Alembic calls it once.
        migrate: runs Alembic with a function that yields the remaining steps.

    Raises:
        MigrationError: see `StepRunner.run`.
    """

    def attempt(hand_out: Callable[..., Iterator[Task]]) -> None:
        def steps(heads: Any, context: Any) -> Iterator[MigrationStep]:
            tasks = hand_out(heads, context)
            while True:
                # Commit the changes that Alembic made between two steps, such as the new version table. The step runner
                # works on the driver connection, below SQLAlchemy's transaction.
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

    with _switching(connection, LockTimeoutSwitch(runner.timeouts)):
        runner.run(lambda heads, context: [_task(step) for step in load(heads, context)], attempt)


def driver(connection: Connection) -> psycopg.Connection:
    """Return the psycopg connection of a SQLAlchemy connection."""
    raw: psycopg.Connection = connection.connection.driver_connection  # type: ignore[assignment]  # of our own engine
    return raw


@contextmanager
def wrap(work: psycopg.Connection, settings: connect.Settings) -> Iterator[Connection]:
    """Yield a SQLAlchemy connection on the session of `work`, and close both at the end.

    The engine opens new sessions for further connections, which a revision may need.
    """
    # SQLAlchemy calls the listeners in the order of their registration (it ignores `insert=True` here) and takes the first
    # connection that one returns. So a listener that opens sessions itself (see `connect.attach`) must follow this one.
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
def _switching(connection: Connection, lock_timeout: LockTimeoutSwitch) -> Iterator[None]:
    def before(_c: Any, cursor: Any, statement: str, _p: Any, _x: Any, _m: bool) -> None:
        lock_timeout.before(cursor.connection, statement)

    def after(_c: Any, cursor: Any, statement: str, _p: Any, _x: Any, _m: bool) -> None:
        lock_timeout.after(cursor.connection, statement)

    event.listen(connection, "before_cursor_execute", before)
    event.listen(connection, "after_cursor_execute", after)
    try:
        yield
    finally:
        event.remove(connection, "before_cursor_execute", before)
        event.remove(connection, "after_cursor_execute", after)
