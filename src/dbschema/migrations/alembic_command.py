"""A run that an Alembic command began: as `runner` makes them, with the steps that Alembic chose.

Alembic knows more ways to name a place in several lines than `runner` does, and stamps. All the rest is the same: one run at
a time, the rights and what stands in the database looked at first, a revision that meets a lock tried again, a deadline, and
the comparison with the models at the end.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from alembic.runtime.migration import RevisionStep
from alembic.util import CommandError
from sqlalchemy import MetaData

from dbschema import connect
from dbschema.connect.translation import is_of_the_database
from dbschema.errors import DbSchemaError
from dbschema.migrations import alembic_executor, lock, preflight
from dbschema.migrations.errors import (
    BrokenScripts,
    DatabaseNewer,
    DiffersFromModels,
    bad_argument,
    out_of_time,
)
from dbschema.migrations.revisions import Revision
from dbschema.migrations.run import failed, tidy
from dbschema.migrations.scripts import graph_of
from dbschema.migrations.step_runner import StepRunner, log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from alembic.runtime.migration import MigrationStep
    from alembic.script import ScriptDirectory
    from sqlalchemy import Connection

    from dbschema.migrations.lock import Held
    from dbschema.migrations.revisions import Direction
    from dbschema.migrations.timeouts import Timeouts

WITHIN: Final = "within"
COMPARE: Final = "compare"
_ANSWERS: Final = {"yes": True, "1": True, "true": True, "no": False, "0": False, "false": False}


@dataclass(frozen=True)
class RunOptions:
    """What whoever gave the command wants of its run.

    Args:
        stop_at: by the monotonic clock; no step begins after it. None: never.
        compare: whether a database that came to its heads is compared with the models.
        shown: whether each step is shown on the terminal.
    """

    stop_at: float | None = None
    compare: bool = True
    shown: bool = False

    @classmethod
    def read(cls, given: Mapping[str, Any], *, compare: bool, shown: bool) -> Self:
        """Those that `given` holds.

        Args:
            given: 'within', in seconds from now, and 'compare', as -x has them, or the attributes of the configuration.
            compare: the choice of the environment, where nothing is given.
            shown: see there.

        Raises:
            BadSetting: a value is none.
        """
        return cls(_deadline(given.get(WITHIN)), choice(COMPARE, given.get(COMPARE), default=compare), shown)


@dataclass
class AlembicRun:
    """One run.

    Args:
        database: the database.
        connection: to it, in no transaction.
        scripts: those that Alembic works with.
        choose: Alembic's function that gives the steps.
        migrate: runs Alembic with another such function in the place of that.
        metadata: the models.
        wishes: of whoever gave the command.
    """

    database: connect.Settings
    connection: Connection
    scripts: ScriptDirectory
    choose: Callable[[Any, Any], Iterator[MigrationStep]]
    migrate: Callable[[Callable[[Any, Any], Iterator[MigrationStep]]], None]
    metadata: MetaData | Sequence[MetaData]
    wishes: RunOptions

    def run(self, timeouts: Timeouts) -> None:
        """Do it.

        Raises:
            DatabaseNewer, UnexpectedState, MissingPrivilege, NotWritable, RunnerBusy, PooledConnection, InvalidIndex,
            BrokenScripts: before anything is changed.
            RevisionFailed, LockNotGiven, LockLost: as `runner.upgrade`.
            MigrationIncomplete: steps are left.
            DiffersFromModels: after all steps.
        """
        place = self.database.place
        work, another = alembic_executor.driver(self.connection), connect.opener(self.database)
        preflight.check_direct(self.database)
        preflight.check_rights(work, place)
        with lock.exclusive(another, place, self._patience(timeouts), on_wait=_say_wait) as held:
            held.join(work, on_wait=_say_wait)
            steps = self._go(StepRunner(work, another, held, timeouts, self.wishes.stop_at), held)
            if self.wishes.compare and any(map(_applies, steps)):
                self._compare()

    def _patience(self, timeouts: Timeouts) -> float:
        if self.wishes.stop_at is None:
            return timeouts.wait
        return max(0.0, min(timeouts.wait, self.wishes.stop_at - time.monotonic()))

    def _go(self, guard: StepRunner, held: Held) -> list[MigrationStep]:
        """Make the steps; which they were.

        Raises:
            MigrationIncomplete: there was no time for all.
        """
        steps: list[MigrationStep] = []

        def load(heads: Any, context: Any) -> list[MigrationStep]:
            steps.extend(self._chosen(heads, context))
            if any(map(_applies, steps)):
                self._check_upgrade(guard, held.place, heads)
            return steps

        if self.wishes.shown:
            guard.on_begin = lambda number: _show(steps[number], number + 1, len(steps))
        try:
            alembic_executor.run(guard, self.connection, load, self.migrate)
        except (DbSchemaError, CommandError):
            raise
        except Exception as error:
            if not is_of_the_database(error) or len(guard.done) >= len(steps):
                raise
            raise self._failed(steps[len(guard.done)], guard.done, error) from error
        finally:
            tidy(guard.work)
        if guard.stopped:
            raise out_of_time(held.place, guard.done, [_name(step) for step in steps[len(guard.done) :]])
        return steps

    def _chosen(self, heads: Sequence[str], context: Any) -> list[MigrationStep]:
        """The steps of Alembic's choice.

        Raises:
            DatabaseNewer: the scripts do not hold where the database stands.
        """
        try:
            return list(self.choose(heads, context))
        except CommandError as error:
            known = {script.revision for script in self.scripts.walk_revisions()}
            if unknown := [revision for revision in heads if revision not in known]:
                raise DatabaseNewer(self.database.place, unknown) from error
            raise

    def _check_upgrade(self, guard: StepRunner, place: str, heads: Sequence[str]) -> None:
        """Raise where revisions should not be applied here; a stamp only writes down what somebody knows.

        Raises:
            UnexpectedState, BrokenScripts: see there.
        """
        if several := graph_of(self.scripts).split():
            raise BrokenScripts(
                Path(self.scripts.dir), f"they have several heads ({', '.join(sorted(several))})"
            )
        if not heads:
            preflight.check_empty(guard.work, place)

    def _failed(self, step: MigrationStep, done: Sequence[str], error: Exception) -> DbSchemaError:
        revision = Revision(_name(step), step.doc or "")
        direction: Direction = "upgrade" if step.is_upgrade else "downgrade"
        return failed(direction, self.database, revision, done, error)

    def _compare(self) -> None:
        """Raise where the database came to its heads, and is not what the models say.

        Raises:
            DiffersFromModels: with the differences.
        """
        graph = graph_of(self.scripts)
        current = preflight.read_current(alembic_executor.driver(self.connection))
        if graph.below(current) != frozenset(graph.order):
            return
        models = (self.metadata,) if isinstance(self.metadata, MetaData) else tuple(self.metadata)
        if len(models) != 1:
            log.warning("%s was not compared with %d sets of models", self.database.place, len(models))
            return
        from dbschema import catalog  # noqa: PLC0415  most runs have nothing to compare

        if differences := catalog.check(self.connection, models[0]):
            raise DiffersFromModels(self.database.place, [str(one) for one in differences])


def _deadline(given: Any) -> float | None:
    if given is None or given == "":
        return None
    try:
        seconds = float(given)
    except (TypeError, ValueError) as error:
        raise bad_argument(WITHIN, str(given), "a number of seconds, such as 600") from error
    if not 0 <= seconds < float("inf"):
        raise bad_argument(WITHIN, str(given), "a number of seconds, such as 600")
    return time.monotonic() + seconds


def choice(name: str, given: Any, *, default: bool) -> bool:
    """What is given for `name` by -x or as an attribute of the configuration: yes or no, in some spelling.

    Raises:
        BadSetting: neither.
    """
    if given is None or isinstance(given, bool):
        return default if given is None else given
    answer = _ANSWERS.get(str(given).strip().lower())
    if answer is None:
        raise bad_argument(name, str(given), "yes or no")
    return answer


def _applies(step: MigrationStep) -> bool:
    """Whether a step applies a revision, and does not take one back, or only write it down."""
    return isinstance(step, RevisionStep) and step.is_upgrade


def _name(step: MigrationStep) -> str:
    script = getattr(step, "revision", None)
    return str(getattr(script, "revision", None) or step.short_log)


def _show(step: MigrationStep, number: int, total: int) -> None:
    verb = "Apply" if step.is_upgrade else "Take back"
    print(f"{verb} {number}/{total}: {_name(step)} {step.doc or ''}".rstrip(), file=sys.stderr, flush=True)  # noqa: T201  asked for


def _say_wait(holder: str) -> None:
    log.info("Waiting for another run: %s", holder)
