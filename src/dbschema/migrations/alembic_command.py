"""Execute the run of an Alembic command like a run of `runner`, with the steps that Alembic chooses.

Alembic supports stamps, and more names of targets in several branches. Everything else is the same: one run at a time, the
preflight, retries after lock timeouts, a deadline, and the comparison with the models at the end.
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
from dbschema.migrations.run import clean_up, failed
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
_BOOLEANS: Final = {"yes": True, "1": True, "true": True, "no": False, "0": False, "false": False}


@dataclass(frozen=True)
class RunOptions:
    """The options of an Alembic command for its run.

    Args:
        stop_at: the deadline by the monotonic clock; no step begins after it. None: no deadline.
        compare: whether to compare a database at its heads with the models.
        shown: whether to print each step on the terminal.
    """

    stop_at: float | None = None
    compare: bool = True
    shown: bool = False

    @classmethod
    def read(cls, arguments: Mapping[str, Any], *, compare: bool, shown: bool) -> Self:
        """Read the options from the arguments of a command.

        Args:
            arguments: 'within', in seconds from now, and 'compare': the values of -x or the attributes of the configuration.
            compare: the default of the environment for 'compare'.
            shown: whether to print each step on the terminal.

        Raises:
            BadSetting: a value is invalid.
        """
        compare = choice(COMPARE, arguments.get(COMPARE), default=compare)
        return cls(_deadline(arguments.get(WITHIN)), compare, shown)


@dataclass
class AlembicRun:
    """The run of one Alembic command.

    Args:
        database: the database.
        connection: a connection to the database, outside a transaction.
        scripts: Alembic's script directory.
        choose: Alembic's function that returns the steps.
        migrate: runs Alembic with another function in the place of `choose`.
        metadata: the models.
        options: the options of the command.
    """

    database: connect.Settings
    connection: Connection
    scripts: ScriptDirectory
    choose: Callable[[Any, Any], Iterator[MigrationStep]]
    migrate: Callable[[Callable[[Any, Any], Iterator[MigrationStep]]], None]
    metadata: MetaData | Sequence[MetaData]
    options: RunOptions

    def run(self, timeouts: Timeouts) -> None:
        """Execute the run.

        Raises:
            DatabaseNewer, UnexpectedState, MissingPrivilege, NotWritable, RunnerBusy, PooledConnection, InvalidIndex,
            BrokenScripts: the run cannot start; nothing was changed.
            RevisionFailed, LockNotGiven, LockLost: see `runner.upgrade`.
            MigrationIncomplete: the deadline passed before the last step.
            DiffersFromModels: all steps are done, and the database differs from the models.
        """
        place = self.database.place
        work, opener = alembic_executor.driver(self.connection), connect.opener(self.database)
        preflight.check_direct(self.database)
        preflight.check_rights(work, place)
        with lock.exclusive(opener, place, self._wait_seconds(timeouts), on_wait=_log_wait) as held:
            held.join(work, on_wait=_log_wait)
            steps = self._execute(StepRunner(work, opener, held, timeouts, self.options.stop_at), held)
            if self.options.compare and any(map(_applies, steps)):
                self._compare()

    def _wait_seconds(self, timeouts: Timeouts) -> float:
        if self.options.stop_at is None:
            return timeouts.wait
        return max(0.0, min(timeouts.wait, self.options.stop_at - time.monotonic()))

    def _execute(self, runner: StepRunner, held: Held) -> list[MigrationStep]:
        """Execute the steps and return them.

        Raises:
            MigrationIncomplete: the deadline passed before the last step.
        """
        steps: list[MigrationStep] = []

        def load(heads: Any, context: Any) -> list[MigrationStep]:
            steps.extend(self._chosen(heads, context))
            if any(map(_applies, steps)):
                self._check_upgrade(runner, held.place, heads)
            return steps

        if self.options.shown:
            runner.on_begin = lambda number: _show(steps[number], number + 1, len(steps))
        try:
            alembic_executor.run(runner, self.connection, load, self.migrate)
        except (DbSchemaError, CommandError):
            raise
        except Exception as error:
            if not is_of_the_database(error) or len(runner.done) >= len(steps):
                raise
            raise self._failed(steps[len(runner.done)], runner.done, error) from error
        finally:
            clean_up(runner.work)
        if runner.stopped:
            raise out_of_time(held.place, runner.done, [_name(step) for step in steps[len(runner.done) :]])
        return steps

    def _chosen(self, heads: Sequence[str], context: Any) -> list[MigrationStep]:
        """Return the steps that Alembic chooses.

        Raises:
            DatabaseNewer: the scripts do not contain the current revision of the database.
        """
        try:
            return list(self.choose(heads, context))
        except CommandError as error:
            known = {script.revision for script in self.scripts.walk_revisions()}
            if unknown := [revision for revision in heads if revision not in known]:
                raise DatabaseNewer(self.database.place, unknown) from error
            raise

    def _check_upgrade(self, runner: StepRunner, place: str, heads: Sequence[str]) -> None:
        """Check the scripts and the database before an upgrade. Not for a stamp, which changes only the version table.

        Raises:
            BrokenScripts: a branch has several heads.
            UnexpectedState: the database has no revision, but tables.
        """
        if several := graph_of(self.scripts).split():
            raise BrokenScripts(
                Path(self.scripts.dir), f"they have several heads ({', '.join(sorted(several))})"
            )
        if not heads:
            preflight.check_empty(runner.work, place)

    def _failed(self, step: MigrationStep, done: Sequence[str], error: Exception) -> DbSchemaError:
        revision = Revision(_name(step), step.doc or "")
        direction: Direction = "upgrade" if step.is_upgrade else "downgrade"
        return failed(direction, self.database, revision, done, error)

    def _compare(self) -> None:
        """Compare a database at its heads with the models.

        Raises:
            DiffersFromModels: the database differs from the models; contains the differences.
        """
        graph = graph_of(self.scripts)
        current = preflight.read_current(alembic_executor.driver(self.connection))
        if graph.below(current) != frozenset(graph.order):
            return
        models = (self.metadata,) if isinstance(self.metadata, MetaData) else tuple(self.metadata)
        if len(models) != 1:
            log.warning(
                "Skipped the comparison of %s: it needs one MetaData, not %d",
                self.database.place,
                len(models),
            )
            return
        from dbschema import catalog  # noqa: PLC0415  not needed by most runs

        if differences := catalog.check(self.connection, models[0]):
            raise DiffersFromModels(self.database.place, [str(difference) for difference in differences])


def _deadline(value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError) as error:
        raise bad_argument(WITHIN, str(value), "a number of seconds, such as 600") from error
    if not 0 <= seconds < float("inf"):
        raise bad_argument(WITHIN, str(value), "a number of seconds, such as 600")
    return time.monotonic() + seconds


def choice(name: str, value: Any, *, default: bool) -> bool:
    """Parse `value` of the argument `name`, from -x or an attribute of the configuration: yes/no, true/false or 1/0.

    Raises:
        BadSetting: the value is not one of these.
    """
    if value is None or isinstance(value, bool):
        return default if value is None else value
    enabled = _BOOLEANS.get(str(value).strip().lower())
    if enabled is None:
        raise bad_argument(name, str(value), "yes or no")
    return enabled


def _applies(step: MigrationStep) -> bool:
    """Whether a step applies a revision: neither a downgrade nor a stamp."""
    return isinstance(step, RevisionStep) and step.is_upgrade


def _name(step: MigrationStep) -> str:
    script = getattr(step, "revision", None)
    return str(getattr(script, "revision", None) or step.short_log)


def _show(step: MigrationStep, number: int, total: int) -> None:
    verb = "Apply" if step.is_upgrade else "Take back"
    print(f"{verb} {number}/{total}: {_name(step)} {step.doc or ''}".rstrip(), file=sys.stderr, flush=True)  # noqa: T201  asked for


def _log_wait(holder: str) -> None:
    log.info("Waiting for another run: %s", holder)
