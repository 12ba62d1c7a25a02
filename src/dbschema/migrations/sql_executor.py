"""Execute the steps of an upgrade as compiled SQL, with psycopg alone.

The order is Alembic's: create the version table in its own transaction; then, for each revision, execute its statements in
one transaction or, if the revision says so, outside a transaction, and record the version last.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, Final

import psycopg

from dbschema.migrations import preflight
from dbschema.migrations.errors import InvalidIndex
from dbschema.migrations.preflight import VERSION_TABLE
from dbschema.migrations.step_runner import LockTimeoutSwitch, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dbschema.migrations.compiled import CompiledRevision, Statement
    from dbschema.migrations.step_runner import StepRunner

_MAKE_VERSION_TABLE: Final = f"""
CREATE TABLE {VERSION_TABLE} (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num)
)""".encode()
_FIRST_VERSION: Final = f"INSERT INTO {VERSION_TABLE} (version_num) VALUES (%s)".encode()  # noqa: S608  a constant
_NEXT_VERSION: Final = f"UPDATE {VERSION_TABLE} SET version_num = %s WHERE version_num = %s".encode()  # noqa: S608  as above


class VersionMoved(Exception):
    """The content of the version table changed during the run."""


def run(
    runner: StepRunner,
    database: str,
    before: str | None,
    plan: Sequence[tuple[CompiledRevision, tuple[Statement, ...]]],
) -> None:
    """Execute the revisions of `plan`.

    Args:
        runner: the step runner of the connection.
        database: the name of the database, for errors.
        before: the current revision of the database; None: base.
        plan: the revisions with their statements.

    Raises:
        MigrationError: see `StepRunner.run`.
        psycopg.Error, VersionMoved: a revision failed and was rolled back.
    """
    work, lock_timeout = runner.work, LockTimeoutSwitch(runner.timeouts)
    below = dict(zip((compiled.revision.id for compiled, _ in plan), _ids(before, plan), strict=False))

    def load() -> list[Task]:
        return [
            Task(compiled.revision.id, compiled.revision.doc, "upgrade", compiled.path, statements)
            for compiled, statements in plan
        ]

    def attempt(hand_out: Callable[..., Iterator[Task]]) -> None:
        try:
            if not preflight.read_current(work):
                _ensure_version_table(work)
            for task in hand_out():
                _apply(work, task, below[task.revision], lock_timeout)
                _reject_invalid_index(work, database, task.revision)
                work.commit()
        except BaseException:
            with suppress(psycopg.Error):  # a lost connection has nothing to roll back
                work.rollback()
                work.autocommit = False
            raise

    runner.run(load, attempt)


def _ids(
    before: str | None, plan: Sequence[tuple[CompiledRevision, tuple[Statement, ...]]]
) -> Iterator[str | None]:
    yield before
    for compiled, _ in plan:
        yield compiled.revision.id


def _ensure_version_table(work: psycopg.Connection) -> None:
    row = work.execute("SELECT to_regclass(%s)", (VERSION_TABLE,)).fetchone()
    if row is None or row[0] is None:
        work.execute(_MAKE_VERSION_TABLE)
    work.commit()


def _apply(work: psycopg.Connection, task: Task, below: str | None, lock_timeout: LockTimeoutSwitch) -> None:
    """Execute one revision and record its version. Does not commit the last transaction."""
    for alone, sql in _messages(task.work):
        if alone != work.autocommit:
            work.commit()
            work.autocommit = alone
        lock_timeout.before(work, sql)
        work.execute(sql.encode())
        lock_timeout.after(work, sql)
    if work.autocommit:
        work.autocommit = False
    if below is None:
        work.execute(_FIRST_VERSION, (task.revision,))
        return
    moved = work.execute(_NEXT_VERSION, (task.revision, below)).rowcount
    if moved != 1:
        raise VersionMoved(
            f"{VERSION_TABLE} was to be moved from {below} to {task.revision}, and {moved} rows of it match"
        )


def _messages(statements: Sequence[Statement]) -> Iterator[tuple[bool, str]]:
    """Join successive statements of a transaction into one message, to save round trips.

    The server executes the statements one by one, each with its own timeouts. The line break ends a comment at the end of a
    statement.
    """
    for alone, group in groupby(statements, key=lambda statement: statement.alone):
        if alone:
            yield from ((True, statement.sql) for statement in group)
        else:
            yield False, "\n;\n".join(statement.sql for statement in group)


def _reject_invalid_index(work: psycopg.Connection, database: str, revision: str) -> None:
    if invalid := preflight.invalid_indexes(work):
        raise InvalidIndex(database, [index.quoted for index in invalid], revision)
