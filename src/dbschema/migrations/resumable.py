"""A run that outlives the server it began on: where failover is asked for, it goes on with the instance that writes next.

A connection that breaks leaves open what became of its last transaction. So nothing of the broken attempt is kept: the next
one has new connections, takes the lock on the new writer, and reads in the version table where the database stands.
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
"""How many servers a run may meet; more failovers in one run are no accident."""

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
    """Where a run began, and where it shall end, whatever becomes of the server.

    Args:
        settings: the database.
        history: the scripts.
        direction: of the run.
        before: the revisions at its beginning, one of each line.
        goal: counted from there, where it was relative.
        server: the one that it began on.
    """

    settings: connect.Settings
    history: History
    direction: Direction
    before: tuple[str, ...]
    goal: Target
    server: str

    @classmethod
    def begun(
        cls, settings: connect.Settings, history: History, direction: Direction, goal: Target
    ) -> ResumableRun:
        """One that begins where the database stands now.

        Raises:
            DatabaseNewer, WrongTarget: as the run itself.
            ConnectError: the database cannot be reached.
        """
        with connect.translating(settings), closing(connect.open(settings)) as connection:
            server = _server(connection)
            before = preflight.checked_current(connection, history, settings.place)
        applied = history.applied(before)
        way = frozenset(one.id for one in history.plan(direction, before, goal))
        end = applied | way if direction == "upgrade" else applied - way
        return cls(settings, history, direction, before, Target(goal.text, end, above=way), server)

    def made(
        self,
        once: Callable[[connect.Settings, Target], RunResult],
        *,
        stop_at: float | None,
        compare: Callable[[Connection], Sequence[Any]] | None = None,
    ) -> RunResult:
        """What `once` gives, called anew after each failover, as one run.

        Args:
            once: makes an attempt.
            stop_at: by the monotonic clock; after it, none is begun. None: no end.
            compare: what `once` calls after its last step; called here where the last attempt had no step to make.

        Raises:
            DbSchemaError: of the first attempt that failed for another reason, or of the last.
        """
        settings = self.settings
        for attempt in range(1, ATTEMPTS + 1):
            try:
                run = once(settings, self.goal)
            except DbSchemaError as error:
                left = None if stop_at is None else stop_at - time.monotonic()
                if attempt == ATTEMPTS or not self._lost_its_server(error) or (left is not None and left < 1):
                    raise
                log.warning("%s. The run goes on with the instance that writes now", _first_sentence(error))
                if left is not None:
                    settings = replace(settings, failover_seconds=min(settings.failover_seconds, left))
                continue
            if attempt == 1:
                return run  # of its own steps: what another run has done meanwhile is not ours
            steps = self._steps_to(run.after)
            if compare is not None and steps and not run.steps and run.after == self.history.head:
                run = replace(run, differences=self._compared(compare))
            return replace(run, before=revision_names(self.before), steps=steps)
        raise AssertionError("the last attempt returns or raises")

    def told(self, on_step: Callable[[Step], None]) -> Callable[[Step], None]:
        """`on_step`, told the number of a step in the whole run, and not in one attempt."""
        numbers = {one.id: number for number, one in enumerate(self._plan(), start=1)}

        def tell(step: Step) -> None:
            number = numbers.get(step.revision.id)
            on_step(step if number is None else replace(step, number=number, total=len(numbers)))

        return tell

    def _compared(self, compare: Callable[[Connection], Sequence[Any]]) -> tuple[Any, ...]:
        with connect.translating(self.settings), connect.create_engine(self.settings).connect() as connection:
            return tuple(compare(connection))

    def _plan(self) -> Sequence[Revision]:
        return self.history.plan(self.direction, self.before, self.goal)

    def _steps_to(self, after: str | None) -> tuple[Revision, ...]:
        there = self.history.applied(() if after is None else after.split(", "))
        made = there.symmetric_difference(self.history.applied(self.before))
        return tuple(one for one in self._plan() if one.id in made)

    def _lost_its_server(self, error: DbSchemaError) -> bool:
        """Whether another instance may do what this one could not."""
        if isinstance(error, NotWritable):
            return error.recovery
        cause: Any = error if isinstance(error, errors.Rejection) else error.__cause__
        if isinstance(cause, Exception) and is_of_the_database(cause):
            cause = connect.translate(cause, self.settings)
        if not isinstance(cause, _GONE):
            return False
        # Whoever ends our session on a server that stays means this run.
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
