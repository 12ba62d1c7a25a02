"""What stands around the steps of a run, whoever began it: its lock, the locks of others, the deadline, the log.

A revision that meets a lock is undone and tried again, as a whole: what Alembic keeps about its progress belongs to one
attempt, so each attempt is a new one of Alembic's, which is handed the steps that are left.
"""

from __future__ import annotations

import logging
import random
import re
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from dbschema.migrations import preflight
from dbschema.migrations.blockers import Watch
from dbschema.migrations.errors import InvalidIndex, LockNotGiven
from dbschema.migrations.timeouts import milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from alembic.runtime.migration import MigrationStep
    from sqlalchemy import Connection

    from dbschema.migrations.blockers import Blocker
    from dbschema.migrations.lock import Held
    from dbschema.migrations.timeouts import Timeouts

log: Final = logging.getLogger("dbschema.migrations")

_NOT_GIVEN: Final = {"55P03", "40P01"}
"""A lock timeout, and a deadlock, which PostgreSQL solves by failing one of the two."""

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_CONCURRENT: Final = re.compile(
    r"\s*(?:(?:CREATE\s+(?:UNIQUE\s+)?|DROP\s+)INDEX\s+CONCURRENTLY\b|REINDEX\b.{0,80}?\bCONCURRENTLY\b)",
    re.IGNORECASE | re.DOTALL,
)


@dataclass
class Guard:
    """One run.

    Args:
        connection: Alembic's own, in no transaction, with the second lock.
        held: the lock.
        timeouts: which are made to hold for `connection`.
        stop_at: by the monotonic clock; no step begins after it. None: never.
        on_begin: called with the number of a step, from 0, before its first attempt.
        on_done: called with the number of a step when it is committed.
    """

    connection: Connection
    held: Held
    timeouts: Timeouts
    stop_at: float | None = None
    on_begin: Callable[[int], None] | None = None
    on_done: Callable[[int], None] | None = None
    done: list[str] = field(default_factory=list)
    stopped: bool = False

    def run(
        self,
        load: Callable[[Any, Any], Iterable[MigrationStep]],
        attempt: Callable[[Callable[[Any, Any], Iterator[MigrationStep]]], None],
    ) -> None:
        """Go through the steps, each once. `stopped` tells whether there was no time for all; `done` is what was committed.

        Args:
            load: gives the steps; called once, by Alembic.
            attempt: runs Alembic with the function that hands out the steps that are left.

        Raises:
            LockNotGiven: a revision met the locks of others for too long.
            LockLost, InvalidIndex: the run stops between two steps, or before the first.
        """
        steps = _Steps(self, load)
        pid = self.connection.connection.driver_connection.info.backend_pid  # type: ignore[union-attr]  # a psycopg connection
        blockers: tuple[Blocker, ...] = ()
        with self._patient_where_it_stops_nobody():
            while True:
                self.timeouts.apply(self.connection)
                watch = Watch(self.connection.engine, pid) if steps.retries else None
                try:
                    with watch or nullcontext():
                        attempt(steps.hand_out)
                except DBAPIError as error:
                    if watch is not None:
                        blockers = watch.found or blockers
                    if steps.current is None or _state(error) not in _NOT_GIVEN:
                        raise
                    self.connection.rollback()
                    if not self._again(steps, error, blockers):
                        return
                else:
                    return

    def _again(self, steps: _Steps, error: DBAPIError, blockers: tuple[Blocker, ...]) -> bool:
        """Wait before the next attempt; False where the deadline comes first."""
        waited = time.monotonic() - steps.began
        if steps.retries and waited >= self.timeouts.retry:
            step = steps.steps[steps.number]
            raise LockNotGiven(
                self.held.place,
                "upgrade" if step.is_upgrade else "downgrade",
                revision=name(step),
                doc=step.doc or "",
                done=self.done,
                blockers=blockers,
                retries=steps.retries,
                waited=waited,
                sqlstate=_state(error),
            ) from error
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(steps.retries, 10))
        pause = random.uniform(0.5, 1.0) * longest  # noqa: S311  runs shall not ask in step with others; nothing secret
        if self.out_of_time(pause):
            self.stopped = True
            return False
        steps.retries += 1
        time.sleep(pause)
        return True

    def out_of_time(self, seconds: float = 0.0) -> bool:
        """Whether the deadline is over in `seconds`."""
        return self.stop_at is not None and time.monotonic() + seconds >= self.stop_at

    @contextmanager
    def _patient_where_it_stops_nobody(self) -> Iterator[None]:
        """Give statements with CONCURRENTLY all the time: nobody waits behind them, and one that gives up leaves rubbish."""
        patient, short = milliseconds(self.timeouts.retry), milliseconds(self.timeouts.lock)

        def before(_c: Any, cursor: Any, statement: str, _p: Any, _x: Any, _m: bool) -> None:
            if cursor.connection.autocommit and _CONCURRENT.match(statement):
                cursor.connection.execute(f"SET lock_timeout = '{patient}'")

        def after(_c: Any, cursor: Any, statement: str, _p: Any, _x: Any, _m: bool) -> None:
            if cursor.connection.autocommit and _CONCURRENT.match(statement):
                cursor.connection.execute(f"SET lock_timeout = '{short}'")

        event.listen(self.connection, "before_cursor_execute", before)
        event.listen(self.connection, "after_cursor_execute", after)
        try:
            yield
        finally:
            event.remove(self.connection, "before_cursor_execute", before)
            event.remove(self.connection, "after_cursor_execute", after)


class _Steps:
    """The steps of a run, and how far it has come with them."""

    def __init__(self, guard: Guard, load: Callable[[Any, Any], Iterable[MigrationStep]]) -> None:
        self._guard, self._load = guard, load
        self._loaded = False
        self.steps: list[MigrationStep] = []
        self.number = 0
        self.current: MigrationStep | None = None
        self.retries = 0
        self.began = 0.0

    def hand_out(self, heads: Any, context: Any) -> Iterator[MigrationStep]:
        """What Alembic calls; it asks for a step when it has committed the one before."""
        if not self._loaded:
            self.steps, self._loaded = list(self._load(heads, context)), True
        guard = self._guard
        while self.number < len(self.steps):
            step = self.steps[self.number]
            if guard.out_of_time():
                guard.stopped = True
                return
            guard.held.check(guard.connection, guard.done)
            if self.current is None:
                if self.number == 0:
                    _refuse_leftovers(guard, step)
                if guard.on_begin is not None:
                    guard.on_begin(self.number)
                self.current, self.retries, self.began = step, 0, time.monotonic()
            tried = time.monotonic()
            yield step
            self._committed(step, tried)

    def _committed(self, step: MigrationStep, tried: float) -> None:
        guard, ended = self._guard, time.monotonic()
        facts = {
            "revision": name(step),
            "direction": "upgrade" if step.is_upgrade else "downgrade",
            "duration": round(ended - tried, 4),
            "lock_wait": round(tried - self.began, 4),
            "retries": self.retries,
        }
        log.info(
            "%(direction)s of revision %(revision)s: %(duration).3f s, lock wait %(lock_wait).3f s, retries %(retries)d",
            facts,
            extra=facts,
        )
        guard.done.append(name(step))
        self.current = None
        self.number += 1
        if guard.on_done is not None:
            guard.on_done(self.number - 1)


def name(step: MigrationStep) -> str:
    """The id of the revision of a step; of a stamp, where it leads."""
    script = getattr(step, "revision", None)
    return str(getattr(script, "revision", None) or step.short_log)


def _refuse_leftovers(guard: Guard, first: MigrationStep) -> None:
    """Raise where an index is invalid, unless the first revision speaks of it: then an earlier run died in that one.

    Raises:
        InvalidIndex: nothing that is about to be done would repair it.
    """
    found = preflight.invalid_indexes(guard.connection)
    guard.connection.commit()
    if not found:
        return
    path = getattr(getattr(first, "revision", None), "path", None)
    source = "" if path is None else Path(path).read_text(encoding="utf-8")
    strange = [one.quoted for one in found if not re.search(rf"\b{re.escape(one.name)}\b", source)]
    if strange:
        raise InvalidIndex(guard.held.place, strange)


def _state(error: DBAPIError) -> str | None:
    return error.orig.sqlstate if isinstance(error.orig, psycopg.Error) else None
