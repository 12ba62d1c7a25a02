"""Run the steps of a run one by one: check the migration lock, retry after lock timeouts, keep the deadline, and log.

A revision that gets no lock is rolled back and retried as a whole. An executor (`sql_executor`, `alembic_executor`) executes
the steps.
"""

from __future__ import annotations

import logging
import re
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from dbschema._retry import Pauses, Retry
from dbschema.connect.translation import sqlstate
from dbschema.migrations import preflight
from dbschema.migrations.blockers import Watch, end_autovacuum
from dbschema.migrations.errors import InvalidIndex, LockNotGiven
from dbschema.migrations.timeouts import milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import psycopg

    from dbschema.connect.connection import Open
    from dbschema.migrations.blockers import Blocker
    from dbschema.migrations.lock import Held
    from dbschema.migrations.revisions import Direction
    from dbschema.migrations.timeouts import Timeouts

log: Final = logging.getLogger("dbschema.migrations")

LOCK_NOT_AVAILABLE: Final = {"55P03", "40P01"}
"""The SQLSTATEs of a lock timeout and of a deadlock, which PostgreSQL resolves by an error in one session."""

_PAUSES: Final = Pauses(0.05, 1.0, least=0.5)
_FOR_AUTOVACUUM: Final = 5.0
_CONCURRENT: Final = re.compile(
    r"\s*(?:(?:CREATE\s+(?:UNIQUE\s+)?|DROP\s+)INDEX\s+CONCURRENTLY\b|REINDEX\b.{0,80}?\bCONCURRENTLY\b)",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Task:
    """One step of a run.

    Args:
        revision, doc: the id and the first line of the docstring of the revision; for a stamp, its target.
        direction: 'upgrade' or 'downgrade'.
        path: the file of the revision; None for a stamp.
        work: the data that the executor needs.
    """

    revision: str
    doc: str
    direction: Direction
    path: Path | None
    work: Any = None


class LockTimeoutSwitch:
    """Raise the lock timeout for statements with CONCURRENTLY.

    They block no other session, and a timeout would leave an invalid index. The executor calls `before` and `after` around
    each statement.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        self._long, self._short = milliseconds(timeouts.retry), milliseconds(timeouts.lock)

    def before(self, connection: psycopg.Connection, statement: str) -> None:
        """Raise `lock_timeout` if the statement blocks no other session."""
        self._set(connection, statement, self._long)

    def after(self, connection: psycopg.Connection, statement: str) -> None:
        """Reset `lock_timeout`. After an error, `Timeouts.apply` resets it."""
        self._set(connection, statement, self._short)

    def _set(self, connection: psycopg.Connection, statement: str, limit: str) -> None:
        if connection.autocommit and _CONCURRENT.match(statement):
            connection.execute(f"SET lock_timeout = '{limit}'".encode())


@dataclass
class StepRunner:
    """Runs the steps of one run.

    Args:
        work: the connection that executes the steps; outside a transaction, with the second lock.
        opener: opens a further connection, to find the holders of locks.
        held: the migration lock.
        timeouts: the timeouts, set on `work`.
        stop_at: the deadline by the monotonic clock; no step begins after it. None: no deadline.
        on_begin: called with the number of a step, from 0, before its first attempt.
        on_done: called with the number of a step after its commit.
    """

    work: psycopg.Connection
    opener: Open
    held: Held
    timeouts: Timeouts
    stop_at: float | None = None
    on_begin: Callable[[int], None] | None = None
    on_done: Callable[[int], None] | None = None
    done: list[str] = field(default_factory=list)
    stopped: bool = False

    def run(
        self,
        load: Callable[..., Iterable[Task]],
        attempt: Callable[[Callable[..., Iterator[Task]]], None],
    ) -> None:
        """Run each step once. Sets `stopped` if the deadline came first, and `done` to the committed revisions.

        Args:
            load: returns the steps. Called once, with the arguments that `attempt` passes to `hand_out`.
            attempt: executes and commits the steps of its argument `hand_out`, one after the other. Called again after a
                lock timeout; it must have rolled back the uncommitted step.

        Raises:
            LockNotGiven: a revision waited too long for the locks of other sessions.
            LockLost, InvalidIndex: the run stops between two steps, or before the first.
        """
        steps = _Steps(self, load)
        pid = self.work.info.backend_pid
        blockers: tuple[Blocker, ...] = ()
        while True:
            self.timeouts.apply(self.work)
            watch = Watch(self.opener, pid) if steps.retry.attempt > 1 else None
            try:
                with watch or nullcontext():
                    attempt(steps.hand_out)
            except Exception as error:
                if watch is not None:
                    blockers = watch.found or blockers
                if steps.current is None or sqlstate(error) not in LOCK_NOT_AVAILABLE:
                    raise
                self.work.rollback()
                if not self._again(steps, error, blockers):
                    return
            else:
                return

    def _again(self, steps: _Steps, error: Exception, blockers: tuple[Blocker, ...]) -> bool:
        """Wait before the next attempt. Return False if the deadline comes first."""
        retry = steps.retry
        retries, waited = retry.attempt - 1, retry.waited
        if retries and waited >= self.timeouts.retry:
            task = steps.tasks[steps.number]
            raise LockNotGiven(
                self.held.place,
                task.direction,
                revision=task.revision,
                doc=task.doc,
                done=self.done,
                blockers=blockers,
                retries=retries,
                waited=waited,
                sqlstate=sqlstate(error),
            ) from error
        pause = retry.draw()
        if not self.out_of_time(_FOR_AUTOVACUUM) and self._autovacuum_left(blockers):
            pause = 0.0  # retry before autovacuum returns
        if self.out_of_time(pause):
            self.stopped = True
            return False
        retry.pause(pause)
        return True

    def _autovacuum_left(self, blockers: tuple[Blocker, ...]) -> bool:
        """End autovacuum on the tables that the revision needs. Return whether it was there and ended on all of them."""
        tables = {blocker.vacuumed for blocker in blockers if blocker.vacuumed is not None}
        left = [end_autovacuum(self.opener, table) for table in tables]
        return bool(left) and all(left)

    def out_of_time(self, seconds: float = 0.0) -> bool:
        """Whether the deadline passes within `seconds`."""
        return self.stop_at is not None and time.monotonic() + seconds >= self.stop_at


class _Steps:
    """The steps of a run, and its progress."""

    def __init__(self, runner: StepRunner, load: Callable[..., Iterable[Task]]) -> None:
        self._runner, self._load = runner, load
        self._loaded = False
        self.tasks: list[Task] = []
        self.number = 0
        self.current: Task | None = None
        self.retry = Retry(_PAUSES)

    def hand_out(self, *arguments: Any) -> Iterator[Task]:
        """Yield the remaining steps. The executor asks for the next step after it has committed the step before."""
        if not self._loaded:
            self.tasks, self._loaded = list(self._load(*arguments)), True
        runner = self._runner
        while self.number < len(self.tasks):
            task = self.tasks[self.number]
            if runner.out_of_time():
                runner.stopped = True
                return
            runner.held.check(runner.work, runner.done)
            if self.current is None:
                if self.number == 0:
                    _reject_invalid_indexes(runner, task)
                if runner.on_begin is not None:
                    runner.on_begin(self.number)
                self.current, self.retry = task, Retry(_PAUSES)
            tried = time.monotonic()
            yield task
            self._committed(task, tried)

    def _committed(self, task: Task, tried: float) -> None:
        runner = self._runner
        retry = self.retry
        log_step(task.revision, task.direction, began=retry.began, tried=tried, retries=retry.attempt - 1)
        runner.done.append(task.revision)
        self.current = None
        self.number += 1
        if runner.on_done is not None:
            runner.on_done(self.number - 1)


def log_step(revision: str, direction: Direction, *, began: float, tried: float, retries: int) -> None:
    """Log a step that was committed just now.

    Args:
        revision, direction: the step.
        began, tried: the start of its first and of its last attempt, by the monotonic clock.
        retries: the number of attempts that ended in a lock timeout or a deadlock.
    """
    facts = {
        "revision": revision,
        "direction": direction,
        "duration": round(time.monotonic() - tried, 4),
        "lock_wait": round(tried - began, 4),
        "retries": retries,
    }
    log.info(
        "%(direction)s of revision %(revision)s: %(duration).3f s, lock wait %(lock_wait).3f s, retries %(retries)d",
        facts,
        extra=facts,
    )


def _reject_invalid_indexes(runner: StepRunner, first: Task) -> None:
    """Check for invalid indexes that the first revision does not name.

    If the first revision names an invalid index, an earlier run was interrupted in this revision, which now repairs it.

    Raises:
        InvalidIndex: an index is invalid, and the first revision does not repair it.
    """
    invalid = preflight.invalid_indexes(runner.work)
    runner.work.commit()
    if not invalid:
        return
    source = "" if first.path is None else first.path.read_text(encoding="utf-8")
    unnamed = [index.quoted for index in invalid if not re.search(rf"\b{re.escape(index.name)}\b", source)]
    if unnamed:
        raise InvalidIndex(runner.held.place, unnamed)
