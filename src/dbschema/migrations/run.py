"""Run pending revisions under the migration lock: compiled SQL if available, otherwise Alembic."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from dbschema import connect
from dbschema.connect.translation import behind, is_of_the_database
from dbschema.errors import DbSchemaError
from dbschema.migrations import lock, preflight, sql_executor
from dbschema.migrations.errors import RevisionFailed
from dbschema.migrations.history import revision_names
from dbschema.migrations.result import RunResult, Step
from dbschema.migrations.step_runner import StepRunner, log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from alembic.runtime.migration import MigrationStep
    from sqlalchemy import Connection

    from dbschema.connect.connection import Open
    from dbschema.migrations.history import History, Target
    from dbschema.migrations.lock import Held
    from dbschema.migrations.revisions import Direction, Revision
    from dbschema.migrations.timeouts import Timeouts


@dataclass
class Run:
    """One run that has at least one pending revision.

    Args:
        direction, history, goal: the direction, the scripts, and the target.
        settings: the database.
        work: the connection that executes the revisions.
        opener: opens further connections.
        timeouts, on_step, on_wait, compare, known: see `runner.upgrade`.
        stop_at: the deadline of `within`, by the monotonic clock; None: no deadline.
    """

    direction: Direction
    settings: connect.Settings
    work: psycopg.Connection
    opener: Open
    history: History
    goal: Target
    timeouts: Timeouts
    stop_at: float | None
    on_step: Callable[[Step], None] | None
    on_wait: Callable[[str], None] | None
    compare: Callable[[Connection], Sequence[Any]] | None
    known: Callable[[psycopg.Connection], bool] | None = None
    _cleanup: ExitStack = field(default_factory=ExitStack)
    _connection: Connection | None = None

    def run(self) -> RunResult:
        """Execute the run. Raises the errors of `runner.upgrade`."""
        place, history = self.settings.place, self.history
        preflight.check_direct(self.settings)
        preflight.check_rights(self.work, place)
        with (
            lock.exclusive(self.opener, place, self._wait_seconds(), on_wait=self.on_wait) as held,
            self._cleanup,
        ):
            held.join(self.work, on_wait=self.on_wait)
            log.info("Acquired the lock of %s after %.3f s", place, held.waited)
            # Another run may have finished first: read the current revisions again, under the lock.
            before = preflight.checked_current(self.work, history, place)
            plan = history.plan(self.direction, before, self.goal)
            if not before and plan and self.direction == "upgrade":
                preflight.check_empty(self.work, place)
            try:
                done = self._execute(plan, before, held)
            finally:
                clean_up(self.work)
            moved = frozenset(revision.id for revision in plan[:done])
            applied = history.applied(before)
            applied = applied | moved if self.direction == "upgrade" else applied - moved
            differences: Sequence[Any] = ()
            if self.compare is not None and done and applied == history.everything:
                differences = () if self._is_known() else self.compare(self._alchemy())
        return RunResult(
            place,
            revision_names(before),
            revision_names(history.current(applied)),
            plan[:done],
            left=plan[done:],
            differences=tuple(differences),
            waited=held.waited,
        )

    def _is_known(self) -> bool:
        """Whether `known` makes the comparison unnecessary; False if `known` fails."""
        try:
            return self.known is not None and self.known(self.work)
        except (DbSchemaError, psycopg.Error) as error:
            log.info(
                "Checking for a known state failed (%s): comparing the database with the models",
                type(error).__name__,
            )
            return False

    def _wait_seconds(self) -> float:
        """Return the seconds to wait for another run, at most until the deadline of this one."""
        if self.stop_at is None:
            return self.timeouts.wait
        return max(0.0, min(self.timeouts.wait, self.stop_at - time.monotonic()))

    def _execute(self, plan: Sequence[Revision], before: Sequence[str], held: Held) -> int:
        """Execute `plan` until its end or the deadline. Return the number of committed revisions."""
        if not plan:
            return 0

        def report(number: int, *, done: bool = False) -> None:
            if self.on_step is not None:
                self.on_step(Step(self.direction, plan[number], number + 1, len(plan), done))

        runner = StepRunner(
            self.work,
            self.opener,
            held,
            self.timeouts,
            self.stop_at,
            on_begin=report,
            on_done=lambda number: report(number, done=True),
        )
        ready = None
        if self.direction == "upgrade" and self.history.compiled is not None:
            ready = self.history.compiled.statements(revision.id for revision in plan)
        try:
            if ready is None:
                self._by_alembic(plan, runner)
            else:
                sql_executor.run(runner, str(self.settings.address.database), revision_names(before), ready)
        except (DbSchemaError, BrokenPipeError):
            raise  # an error with its own message, or of the callback `on_step`
        except Exception as error:
            if len(runner.done) == len(plan):
                raise
            first = behind(error)
            raise failed(self.direction, self.settings, plan[len(runner.done)], runner.done, first) from first
        return len(runner.done)

    def _by_alembic(self, plan: Sequence[Revision], runner: StepRunner) -> None:
        from dbschema.migrations import alembic_executor  # noqa: PLC0415  imports Alembic and SQLAlchemy

        connection, scripts = self._alchemy(), self.history.scripts

        def steps(_heads: Any, _context: Any) -> Iterator[MigrationStep]:
            return (scripts.step(self.direction, revision) for revision in plan)

        alembic_executor.run(
            runner, connection, steps, lambda hand_out: scripts.run(hand_out, connection=connection)
        )

    def _alchemy(self) -> Connection:
        """Return a SQLAlchemy connection on the session of `work`; it is closed at the end of the run."""
        from dbschema.migrations import alembic_executor  # noqa: PLC0415  imports SQLAlchemy

        if self._connection is None:
            self._connection = self._cleanup.enter_context(alembic_executor.wrap(self.work, self.settings))
        return self._connection


def failed(
    direction: Direction,
    settings: connect.Settings,
    revision: Revision,
    done: Sequence[str],
    error: Exception,
) -> RevisionFailed:
    """Translate `error` of `revision` into an error for the caller of the run.

    Args:
        direction: the direction of the run.
        settings: the database.
        revision: the revision that failed.
        done: the ids of the revisions that the run committed before.
        error: the original error.
    """
    state = None
    if is_of_the_database(error):
        rejection = connect.translate(error, settings)
        reason, remedy, state = rejection.reason, rejection.next_step, rejection.sqlstate
    elif _has_clear_message(error):
        reason, remedy = " ".join(str(error).split()).rstrip("."), "Correct the revision and repeat"
    else:
        reason, remedy = (
            f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip("."),
            "Correct the revision and repeat",
        )
    return RevisionFailed(
        settings.place,
        direction,
        revision=revision.id,
        doc=revision.doc,
        done=done,
        reason=reason,
        remedy=remedy,
        sqlstate=state,
    )


def _has_clear_message(error: Exception) -> bool:
    """Whether the message of `error` is clear without its class, as the messages of Alembic and SQLAlchemy are."""
    kinds = (("alembic.util", "CommandError"), ("sqlalchemy.exc", "SQLAlchemyError"))
    return isinstance(error, sql_executor.VersionMoved) or any(
        module in sys.modules and isinstance(error, getattr(sys.modules[module], name))
        for module, name in kinds
    )


def clean_up(work: psycopg.Connection) -> None:
    """Drop an empty version table. Ignores database errors, such as a lost connection."""
    try:
        work.rollback()
        preflight.remove_empty_version_table(work)
    except psycopg.Error:
        return
