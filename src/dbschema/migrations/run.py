"""A run that has something to do: under its lock, by the compiled SQL where there is some, else by Alembic."""

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
    """One run, after it was found that there is something to do.

    Args:
        direction, history, goal: which revisions, and which way.
        settings: the database.
        work: the connection that works.
        another: opens further ones.
        timeouts, stop_at, on_step, on_wait, compare, known: as `runner.upgrade`; `stop_at` by the monotonic clock.
    """

    direction: Direction
    settings: connect.Settings
    work: psycopg.Connection
    another: Open
    history: History
    goal: Target
    timeouts: Timeouts
    stop_at: float | None
    on_step: Callable[[Step], None] | None
    on_wait: Callable[[str], None] | None
    compare: Callable[[Connection], Sequence[Any]] | None
    known: Callable[[psycopg.Connection], bool] | None = None
    _end: ExitStack = field(default_factory=ExitStack)
    _made: Connection | None = None

    def run(self) -> RunResult:
        """Do it. Errors as `runner.upgrade`."""
        place, history = self.settings.place, self.history
        preflight.check_direct(self.settings)
        preflight.check_rights(self.work, place)
        with lock.exclusive(self.another, place, self._patience(), on_wait=self.on_wait) as held, self._end:
            held.join(self.work, on_wait=self.on_wait)
            log.info("The lock of %s was given after %.3f s", place, held.waited)
            # Another run may have come first: what counts is what stands there now.
            before = preflight.checked_current(self.work, history, place)
            plan = history.plan(self.direction, before, self.goal)
            if not before and plan and self.direction == "upgrade":
                preflight.check_empty(self.work, place)
            try:
                done = self._execute(plan, before, held)
            finally:
                tidy(self.work)
            moved = frozenset(one.id for one in plan[:done])
            applied = history.applied(before)
            applied = applied | moved if self.direction == "upgrade" else applied - moved
            differences: Sequence[Any] = ()
            if self.compare is not None and done and applied == history.everything:
                differences = () if self._is_known() else self.compare(self._alchemy())
        return RunResult(
            place,
            revision_names(before),
            revision_names(history.standing(applied)),
            plan[:done],
            left=plan[done:],
            differences=tuple(differences),
            waited=held.waited,
        )

    def _is_known(self) -> bool:
        """Whether nothing has to be compared; what cannot be told so is left to the comparison."""
        try:
            return self.known is not None and self.known(self.work)
        except (DbSchemaError, psycopg.Error) as error:
            log.info("The database is compared with the models themselves: %s", type(error).__name__)
            return False

    def _patience(self) -> float:
        """Seconds to wait for another run: not beyond the time of this one."""
        if self.stop_at is None:
            return self.timeouts.wait
        return max(0.0, min(self.timeouts.wait, self.stop_at - time.monotonic()))

    def _execute(self, plan: Sequence[Revision], before: Sequence[str], held: Held) -> int:
        """Go through `plan`, as far as the time allows; how many of its revisions were done."""
        if not plan:
            return 0

        def tell(number: int, *, done: bool = False) -> None:
            if self.on_step is not None:
                self.on_step(Step(self.direction, plan[number], number + 1, len(plan), done))

        guard = StepRunner(
            self.work,
            self.another,
            held,
            self.timeouts,
            self.stop_at,
            on_begin=tell,
            on_done=lambda number: tell(number, done=True),
        )
        ready = None
        if self.direction == "upgrade" and self.history.compiled is not None:
            ready = self.history.compiled.statements(revision.id for revision in plan)
        try:
            if ready is None:
                self._by_alembic(plan, guard)
            else:
                sql_executor.run(guard, str(self.settings.address.database), revision_names(before), ready)
        except (DbSchemaError, BrokenPipeError):
            raise  # of our own, or of whoever is told about the steps
        except Exception as error:
            if len(guard.done) == len(plan):
                raise
            first = behind(error)
            raise failed(self.direction, self.settings, plan[len(guard.done)], guard.done, first) from first
        return len(guard.done)

    def _by_alembic(self, plan: Sequence[Revision], guard: StepRunner) -> None:
        from dbschema.migrations import alembic_executor  # noqa: PLC0415  imports Alembic and SQLAlchemy

        connection, scripts = self._alchemy(), self.history.scripts

        def steps(_heads: Any, _context: Any) -> Iterator[MigrationStep]:
            return (scripts.step(self.direction, revision) for revision in plan)

        alembic_executor.run(
            guard, connection, steps, lambda hand_out: scripts.run(hand_out, connection=connection)
        )

    def _alchemy(self) -> Connection:
        """SQLAlchemy's connection on the session that works, until the end of the run."""
        from dbschema.migrations import alembic_executor  # noqa: PLC0415  imports SQLAlchemy

        if self._made is None:
            self._made = self._end.enter_context(alembic_executor.around(self.work, self.settings))
        return self._made


def failed(
    direction: Direction,
    settings: connect.Settings,
    revision: Revision,
    done: Sequence[str],
    error: Exception,
) -> RevisionFailed:
    """What `error`, which ended `revision`, means to whoever asked for the run; `done` was finished before."""
    state = None
    if is_of_the_database(error):
        told = connect.translate(error, settings)
        reason, remedy, state = told.reason, told.next_step, told.sqlstate
    elif _speaks_for_itself(error):
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


def _speaks_for_itself(error: Exception) -> bool:
    """Whether the sentence of `error` tells enough without its class, as those of Alembic and SQLAlchemy do."""
    kinds = (("alembic.util", "CommandError"), ("sqlalchemy.exc", "SQLAlchemyError"))
    return isinstance(error, sql_executor.VersionMoved) or any(
        module in sys.modules and isinstance(error, getattr(sys.modules[module], name))
        for module, name in kinds
    )


def tidy(work: psycopg.Connection) -> None:
    """Leave no empty version table behind; where the connection is gone, there is nothing that could be done."""
    try:
        work.rollback()
        preflight.remove_empty_version_table(work)
    except psycopg.Error:
        return
