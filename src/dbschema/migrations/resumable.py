"""Resume a run on the new writer instance after a failover.

After a broken connection, the outcome of its last transaction is unknown. So an attempt reuses nothing of the attempt before:
it opens new connections, acquires the lock on the new writer, and reads the current revisions from the version table.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from dbschema import connect
from dbschema.connect import errors
from dbschema.connect.translation import is_of_the_database
from dbschema.errors import DbSchemaError, NotWritable
from dbschema.migrations import preflight
from dbschema.migrations.history import Target, revision_names
from dbschema.migrations.step_runner import log

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from dbschema.migrations.history import History
    from dbschema.migrations.result import RunResult, Step
    from dbschema.migrations.revisions import Direction, Revision

ATTEMPTS: Final = 4
"""The greatest number of attempts of one run. More failovers in one run indicate a persistent fault."""

_GONE: Final = (
    errors.ConnectionLost,
    errors.NotReady,
    errors.ReadOnly,
    errors.Unreachable,
)
_ENDED_BY_SOMEBODY: Final = "57P01"
_SERVER: Final = "SELECT concat_ws(' ', inet_server_addr(), inet_server_port(), pg_postmaster_start_time())"


@dataclass(frozen=True)
class ResumableRun:
    """The start and the target of a run, independent of the server that executes it.

    Args:
        settings: the database.
        history: the scripts.
        direction: the direction of the run.
        before: the revisions before the run, one of each branch.
        goal: the target, resolved from `before` if it is relative.
        server: the server that the run began on.
    """

    settings: connect.Settings
    history: History
    direction: Direction
    before: tuple[str, ...]
    goal: Target
    server: str

    @classmethod
    def begin(
        cls, settings: connect.Settings, history: History, direction: Direction, goal: Target
    ) -> ResumableRun:
        """Create a run that begins at the current revisions of the database.

        Raises:
            DatabaseNewer, UnexpectedState, WrongTarget: see `runner.upgrade`.
            ConnectError: the database cannot be reached.
        """
        with connect.translating(settings), closing(connect.open(settings)) as connection:
            server = _server(connection)
            before = preflight.checked_current(connection, history, settings.place)
        applied = history.applied(before)
        planned = frozenset(revision.id for revision in history.plan(direction, before, goal))
        end = applied | planned if direction == "upgrade" else applied - planned
        return cls(settings, history, direction, before, Target(goal.text, end, above=planned), server)

    def run(
        self,
        once: Callable[[connect.Settings, Target], RunResult],
        *,
        stop_at: float | None,
        compare: Callable[[Connection], Sequence[Any]] | None = None,
    ) -> RunResult:
        """Call `once`, again after each failover. Return the result of all attempts as one run.

        Args:
            once: makes one attempt.
            stop_at: the deadline by the monotonic clock; no attempt begins after it. None: no deadline.
            compare: the comparison that `once` calls after its last step; called here if the last attempt had no steps.

        Raises:
            DbSchemaError: an attempt failed for another reason than a failover, or the last attempt failed.
        """
        settings = self.settings
        for attempt in range(1, ATTEMPTS + 1):
            try:
                result = once(settings, self.goal)
            except DbSchemaError as error:
                left = None if stop_at is None else stop_at - time.monotonic()
                if attempt == ATTEMPTS or not self._lost_its_server(error) or (left is not None and left < 1):
                    raise
                log.warning("%s. The run continues on the new writer instance", _first_sentence(error))
                if left is not None:
                    settings = replace(settings, failover_seconds=min(settings.failover_seconds, left))
                continue
            if attempt == 1:
                return result  # with its own steps only, without the steps of a concurrent run
            steps = self._steps_to(result.after)
            if compare is not None and steps and not result.steps and result.after == self.history.head:
                result = replace(result, differences=self._compared(compare))
            return replace(result, before=revision_names(self.before), steps=steps)
        raise AssertionError("the last attempt returns or raises")

    def renumbered(self, on_step: Callable[[Step], None]) -> Callable[[Step], None]:
        """Wrap `on_step`: number the steps within the whole run instead of within one attempt."""
        numbers = {revision.id: number for number, revision in enumerate(self._plan(), start=1)}

        def report(step: Step) -> None:
            number = numbers.get(step.revision.id)
            on_step(step if number is None else replace(step, number=number, total=len(numbers)))

        return report

    def _compared(self, compare: Callable[[Connection], Sequence[Any]]) -> tuple[Any, ...]:
        with connect.translating(self.settings), connect.create_engine(self.settings).connect() as connection:
            return tuple(compare(connection))

    def _plan(self) -> Sequence[Revision]:
        return self.history.plan(self.direction, self.before, self.goal)

    def _steps_to(self, after: str | None) -> tuple[Revision, ...]:
        applied = self.history.applied(() if after is None else after.split(", "))
        changed = applied.symmetric_difference(self.history.applied(self.before))
        return tuple(revision for revision in self._plan() if revision.id in changed)

    def _lost_its_server(self, error: DbSchemaError) -> bool:
        """Whether `error` indicates a failover: another instance may be able to continue the run."""
        if isinstance(error, NotWritable):
            return error.recovery
        cause: Any = error if isinstance(error, errors.Rejection) else error.__cause__
        if isinstance(cause, Exception) and is_of_the_database(cause):
            cause = connect.translate(cause, self.settings)
        if not isinstance(cause, _GONE):
            return False
        # A terminated session on a server that is still there means that an administrator ended this run.
        return cause.sqlstate != _ENDED_BY_SOMEBODY or self._has_another_server()

    def _has_another_server(self) -> bool:
        with connect.translating(self.settings), closing(connect.open(self.settings)) as connection:
            return _server(connection) != self.server


def _server(connection: Any) -> str:
    row = connection.execute(_SERVER).fetchone()
    connection.rollback()
    return str(row[0])


def _first_sentence(error: DbSchemaError) -> str:
    return str(error).partition(". ")[0].rstrip(".")
