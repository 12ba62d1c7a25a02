"""What stands around the steps of a run, whoever began it: its lock, the locks of others, the deadline, the log.

A revision that meets a lock is undone and tried again, as a whole. How a step is executed is not known here: by Alembic
(`by_alembic`), or as SQL that was compiled before (`by_sql`).
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
"""A lock timeout, and a deadlock, which PostgreSQL solves by failing one of the two."""

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
        revision, doc: the id of the revision, and the first line of its text; of a stamp, where it leads.
        direction: whether it is applied or taken back.
        path: the file of the revision; None where there is none.
        work: what whoever executes it needs to know.
    """

    revision: str
    doc: str
    direction: Direction
    path: Path | None
    work: Any = None


class LockTimeoutSwitch:
    """Gives statements with CONCURRENTLY all the time: nobody waits behind them, and one that gives up leaves rubbish.

    `before` and `after` are called around each statement, by whoever executes it.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        self._patient, self._short = milliseconds(timeouts.retry), milliseconds(timeouts.lock)

    def before(self, connection: psycopg.Connection, statement: str) -> None:
        """Let the statement wait longer, where that stops nobody."""
        self._set(connection, statement, self._patient)

    def after(self, connection: psycopg.Connection, statement: str) -> None:
        """Back to the short limit. After an error, `Timeouts.apply` sees to it."""
        self._set(connection, statement, self._short)

    def _set(self, connection: psycopg.Connection, statement: str, limit: str) -> None:
        if connection.autocommit and _CONCURRENT.match(statement):
            connection.execute(f"SET lock_timeout = '{limit}'".encode())


@dataclass
class StepRunner:
    """One run.

    Args:
        work: the connection that executes the steps; in no transaction, with the second lock.
        another: opens a further connection, to look who holds a lock.
        held: the lock.
        timeouts: which are made to hold for `work`.
        stop_at: by the monotonic clock; no step begins after it. None: never.
        on_begin: called with the number of a step, from 0, before its first attempt.
        on_done: called with the number of a step when it is committed.
    """

    work: psycopg.Connection
    another: Open
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
        """Go through the steps, each once. `stopped` tells whether there was no time for all; `done` is what was committed.

        Args:
            load: gives the steps; called once, with the arguments that `attempt` has for the function it gets.
            attempt: executes and commits the steps that this function hands out, one after the other. It is called
                anew after a lock was not given; it then has undone what was not committed.

        Raises:
            LockNotGiven: a revision met the locks of others for too long.
            LockLost, InvalidIndex: the run stops between two steps, or before the first.
        """
        steps = _Steps(self, load)
        pid = self.work.info.backend_pid
        blockers: tuple[Blocker, ...] = ()
        while True:
            self.timeouts.apply(self.work)
            watch = Watch(self.another, pid) if steps.retry.attempt > 1 else None
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
        """Wait before the next attempt; False where the deadline comes first."""
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
            pause = 0.0  # before it comes back
        if self.out_of_time(pause):
            self.stopped = True
            return False
        retry.pause(pause)
        return True

    def _autovacuum_left(self, blockers: tuple[Blocker, ...]) -> bool:
        """Have autovacuum leave what the revision needs; whether it did, and was there."""
        tables = {one.vacuumed for one in blockers if one.vacuumed is not None}
        left = [end_autovacuum(self.another, table) for table in tables]
        return bool(left) and all(left)

    def out_of_time(self, seconds: float = 0.0) -> bool:
        """Whether the deadline is over in `seconds`."""
        return self.stop_at is not None and time.monotonic() + seconds >= self.stop_at


class _Steps:
    """The steps of a run, and how far it has come with them."""

    def __init__(self, guard: StepRunner, load: Callable[..., Iterable[Task]]) -> None:
        self._guard, self._load = guard, load
        self._loaded = False
        self.tasks: list[Task] = []
        self.number = 0
        self.current: Task | None = None
        self.retry = Retry(_PAUSES)

    def hand_out(self, *arguments: Any) -> Iterator[Task]:
        """What is left to do; whoever executes it asks for a step when he has committed the one before."""
        if not self._loaded:
            self.tasks, self._loaded = list(self._load(*arguments)), True
        guard = self._guard
        while self.number < len(self.tasks):
            task = self.tasks[self.number]
            if guard.out_of_time():
                guard.stopped = True
                return
            guard.held.check(guard.work, guard.done)
            if self.current is None:
                if self.number == 0:
                    _refuse_leftovers(guard, task)
                if guard.on_begin is not None:
                    guard.on_begin(self.number)
                self.current, self.retry = task, Retry(_PAUSES)
            tried = time.monotonic()
            yield task
            self._committed(task, tried)

    def _committed(self, task: Task, tried: float) -> None:
        guard = self._guard
        retry = self.retry
        log_step(task.revision, task.direction, began=retry.began, tried=tried, retries=retry.attempt - 1)
        guard.done.append(task.revision)
        self.current = None
        self.number += 1
        if guard.on_done is not None:
            guard.on_done(self.number - 1)


def log_step(revision: str, direction: Direction, *, began: float, tried: float, retries: int) -> None:
    """Log a step that is committed now.

    Args:
        revision, direction: which step.
        began, tried: when its first attempt began, and its last one, by the monotonic clock.
        retries: how many attempts met the locks of others.
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


def _refuse_leftovers(guard: StepRunner, first: Task) -> None:
    """Raise where an index is invalid, unless the first revision speaks of it: then an earlier run died in that one.

    Raises:
        InvalidIndex: nothing that is about to be done would repair it.
    """
    found = preflight.invalid_indexes(guard.work)
    guard.work.commit()
    if not found:
        return
    source = "" if first.path is None else first.path.read_text(encoding="utf-8")
    strange = [one.quoted for one in found if not re.search(rf"\b{re.escape(one.name)}\b", source)]
    if strange:
        raise InvalidIndex(guard.held.place, strange)
