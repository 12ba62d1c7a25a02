"""The steps of an upgrade by SQL that was compiled beforehand, with nothing but psycopg.

What Alembic does around a revision, this does in the same order: the version table first and by itself, a transaction a
revision, parts of it outside of one where it says so, the version last.
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
    """The version table does not hold what it held when the run began."""


def run(
    guard: StepRunner,
    database: str,
    before: str | None,
    plan: Sequence[tuple[CompiledRevision, tuple[Statement, ...]]],
) -> None:
    """Go through the revisions of `plan`.

    Args:
        guard: of the connection.
        database: its name, for errors.
        before: the revision at which it stands; None: base.
        plan: the revisions with their statements.

    Raises:
        MigrationError: as `Guard.run`.
        psycopg.Error, VersionMoved: a revision failed, and is undone.
    """
    work, patience = guard.work, LockTimeoutSwitch(guard.timeouts)
    below = dict(zip((one.revision.id for one, _ in plan), _ids(before, plan), strict=False))

    def load() -> list[Task]:
        return [
            Task(one.revision.id, one.revision.doc, "upgrade", one.path, statements)
            for one, statements in plan
        ]

    def attempt(hand_out: Callable[..., Iterator[Task]]) -> None:
        try:
            if not preflight.read_current(work):
                _ensure_version_table(work)
            for task in hand_out():
                _apply(work, task, below[task.revision], patience)
                _refuse_invalid_index(work, database, task.revision)
                work.commit()
        except BaseException:
            with suppress(psycopg.Error):  # where it is gone, there is nothing to undo
                work.rollback()
                work.autocommit = False
            raise

    guard.run(load, attempt)


def _ids(
    before: str | None, plan: Sequence[tuple[CompiledRevision, tuple[Statement, ...]]]
) -> Iterator[str | None]:
    yield before
    for one, _ in plan:
        yield one.revision.id


def _ensure_version_table(work: psycopg.Connection) -> None:
    found = work.execute("SELECT to_regclass(%s)", (VERSION_TABLE,)).fetchone()
    if found is None or found[0] is None:
        work.execute(_MAKE_VERSION_TABLE)
    work.commit()


def _apply(work: psycopg.Connection, task: Task, below: str | None, patience: LockTimeoutSwitch) -> None:
    """Execute one revision and note its version; what is in a transaction is left to be committed."""
    for alone, sql in _messages(task.work):
        if alone != work.autocommit:
            work.commit()
            work.autocommit = alone
        patience.before(work, sql)
        work.execute(sql.encode())
        patience.after(work, sql)
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
    """What is sent at once: all that follows one another in a transaction, for each answer costs a wait.

    The server executes them one by one, each with its own time limits, as if they came alone. The line break ends a
    comment at the end of one.
    """
    for alone, group in groupby(statements, key=lambda statement: statement.alone):
        if alone:
            yield from ((True, statement.sql) for statement in group)
        else:
            yield False, "\n;\n".join(statement.sql for statement in group)


def _refuse_invalid_index(work: psycopg.Connection, database: str, revision: str) -> None:
    if found := preflight.invalid_indexes(work):
        raise InvalidIndex(database, [one.quoted for one in found], revision)
