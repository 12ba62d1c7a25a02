"""Upgrade a database through the RDS Data API: execute compiled SQL, one statement per call, one transaction per revision.

The API has no session that spans transactions, so a run cannot hold a lock between revisions. Instead, the transaction of each
revision acquires the migration lock (with the keys that runs on connections use) and reads the version table under the lock.
So another run between two revisions does no harm. If the response of a transaction is lost, the transaction either still
holds the lock or has ended: the next transaction that gets the lock reads its outcome.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from dbschema._retry import Pauses, Retry
from dbschema.connect.errors import Cancelled, Rejection, Unanswered, data_api_unsupported
from dbschema.errors import ConnectError
from dbschema.migrations import preflight
from dbschema.migrations.errors import (
    InvalidIndex,
    LockNotGiven,
    RevisionFailed,
    RunnerBusy,
    foreign_tables,
    needs_connection,
)
from dbschema.migrations.history import revision_names
from dbschema.migrations.lock import KEY, WORK_KEY
from dbschema.migrations.preflight import UNMANAGED_RELATIONS, VERSION_TABLE
from dbschema.migrations.result import RunResult, Step
from dbschema.migrations.step_runner import LOCK_NOT_AVAILABLE, log, log_step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dbschema.connect.data_api import DataApi, Transaction
    from dbschema.migrations.history import History, Target
    from dbschema.migrations.revisions import Revision
    from dbschema.migrations.timeouts import Timeouts

    Execute = Callable[[str], list[tuple[Any, ...]]]

LONGEST_IDLE: Final = 60.0
"""In seconds: after that, the server ends an idle transaction, and so releases the lock of a run that died."""

LONGEST_STATEMENT: Final = 45.0
"""In seconds: after that, the API cancels a statement."""

_LEAST: Final = 1.0
"""In seconds: the least timeout of a statement, by which it may exceed the deadline of the run."""

_LOST_RESPONSES: Final = 3
_PAUSES: Final = Pauses(0.9, least=1 / 3)
_HIGH, _LOW, _LOW_OF_WORK = KEY >> 32, KEY & 0xFFFF_FFFF, WORK_KEY & 0xFFFF_FFFF
# The API transfers texts, numbers and booleans: cast other types to text.
_TRY: Final = f"SELECT pg_try_advisory_xact_lock({KEY}) AND pg_try_advisory_xact_lock({WORK_KEY})"
_HOLDER: Final = f"""
    SELECT format('process %s%s', a.pid, CASE WHEN a.application_name <> '' THEN format(' %L', a.application_name) END)
    FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.pid <> pg_backend_pid()
      AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
      AND l.classid = {_HIGH} AND l.objid IN ({_LOW}, {_LOW_OF_WORK})
    LIMIT 1
"""  # noqa: S608  two constants
_HAS_VERSIONS: Final = f"SELECT to_regclass('{VERSION_TABLE}') IS NOT NULL"
_VERSIONS: Final = f"SELECT version_num::text FROM {VERSION_TABLE}"  # noqa: S608  a constant
_INVALID: Final = f"SELECT quoted::text FROM ({preflight.INVALID_INDEXES}) AS found"  # noqa: S608  a constant
_STATE: Final = """
    SELECT current_setting('server_version'),
           (SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'postgis'),
           pg_is_in_recovery()
"""


def upgrade(
    api: DataApi,
    history: History,
    goal: Target,
    *,
    timeouts: Timeouts,
    stop_at: float | None,
    on_step: Callable[[Step], None] | None,
    on_wait: Callable[[str], None] | None,
    compare: object | None,
) -> RunResult:
    """Upgrade a database through the RDS Data API. See `runner.upgrade`.

    Raises:
        DataApiUnsupported: `compare` is not None.
    """
    if compare is not None:
        raise data_api_unsupported(api.cluster, "a comparison with the models")

    def report(revision: Revision, number: int, total: int, *, done: bool = False) -> None:
        if on_step is not None:
            on_step(Step("upgrade", revision, number, total, done))

    run = DataApiRun(
        api,
        history,
        timeouts,
        stop_at,
        on_begin=report,
        on_done=lambda *step: report(*step, done=True),
        on_wait=on_wait,
    )
    before, after, plan = run.run(goal)
    applied = history.applied(after)
    return RunResult(
        api.place,
        revision_names(before),
        revision_names(after),
        tuple(revision for revision in plan if revision.id in applied),
        left=tuple(revision for revision in plan if revision.id not in applied),
        waited=run.waited,
        cut_short=run.cut_short,
    )


class _OutOfTime(Exception):
    """The deadline of the run passed within a revision."""


@dataclass
class DataApiRun:
    """One run through the API.

    Args:
        api: the database.
        history: the scripts, which must be compiled.
        timeouts: the limits of the run; `wait` applies to each revision separately.
        stop_at: the deadline by the monotonic clock: no statement of a revision begins after it, and an unfinished revision is
            rolled back. None: no deadline.
        on_begin, on_done: called with a revision, its number from 1, and the number of all revisions.
        on_wait: called once, with a description of the holder of the lock.
    """

    api: DataApi
    history: History
    timeouts: Timeouts
    stop_at: float | None = None
    on_begin: Callable[[Revision, int, int], None] | None = None
    on_done: Callable[[Revision, int, int], None] | None = None
    on_wait: Callable[[str], None] | None = None
    waited: float = 0.0
    cut_short: float = 0.0
    _begun: list[str] = field(default_factory=list)
    _reported: set[str] = field(default_factory=set)
    _lost: int = 0

    def run(self, goal: Target) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Revision, ...]]:
        """Upgrade to `goal`. Return the current revisions before and after the run, and its plan.

        Raises:
            MigrationError: see `runner.upgrade`.
            DataApiUnsupported: a revision cannot go through the API; nothing was changed.
            ConnectError: the API rejects a call, or does not respond.
        """
        before = self._current(self.api.execute)
        plan = self.history.plan("upgrade", before, goal)
        if not plan:
            self._check_valid(self.api.execute)
            return before, before, ()
        steps = compiled(self.history, plan, self.api.place)
        preflight.check_facts(self.api.place, self.api.execute(preflight.FACTS)[0])
        while True:
            try:
                after = self._advance(plan, steps)
            except Unanswered:
                self._lost += 1
                if self._lost > _LOST_RESPONSES:
                    raise
                log.warning("%s did not respond: reading the outcome of the transaction", self.api.place)
                continue
            return before, after, plan

    def _advance(self, plan: Sequence[Revision], steps: dict[str, list[str]]) -> tuple[str, ...]:
        """Apply the rest of `plan`. Return the current revisions afterwards."""
        retry: Retry | None = None
        while True:
            left: list[Revision] = []
            transaction = self._locked()
            began = time.monotonic()
            try:
                current = self._current(transaction.execute)
                left = self._left(current, plan)
                if not left or self._is_over():
                    transaction.rollback()
                    return current
                if not current:
                    self._check_empty(transaction.execute)
                self._apply(transaction, current, left[0], plan, steps)
            except _OutOfTime:
                transaction.rollback()
                self.cut_short = time.monotonic() - began
                return current
            except BaseException as error:
                transaction.rollback()
                if (
                    not left
                    or getattr(error, "sqlstate", None) not in LOCK_NOT_AVAILABLE
                    or isinstance(error, RevisionFailed)
                ):
                    raise
                retry = retry or Retry(_PAUSES, began=began)
                self._pause(error, left[0], plan, retry)
            else:
                first, retries = (began, 0) if retry is None else (retry.began, retry.attempt - 1)
                log_step(left[0].id, "upgrade", began=first, tried=began, retries=retries)
                self._report_done(left[0], plan)
                retry = None

    def _apply(
        self,
        transaction: Transaction,
        current: Sequence[str],
        revision: Revision,
        plan: Sequence[Revision],
        steps: dict[str, list[str]],
    ) -> None:
        number = plan.index(revision) + 1
        if revision.id not in self._begun:
            self._begun.append(revision.id)
            if self.on_begin is not None:
                self.on_begin(revision, number, len(plan))
        limit = min(self.timeouts.statement or LONGEST_STATEMENT, LONGEST_STATEMENT)
        try:
            for statement in (*steps[revision.id], *_version(revision_names(current), revision.id)):
                limit = self._bound(transaction, limit)
                transaction.execute(statement)
            self._check_valid(transaction.execute, revision.id)
            transaction.commit()
        except Unanswered:
            raise
        except ConnectError as error:
            if getattr(error, "sqlstate", None) in LOCK_NOT_AVAILABLE:
                raise
            if self._is_over() and _is_cancelled(error):
                raise _OutOfTime from error
            raise self._failed(revision, plan, error) from error

    def _is_over(self) -> bool:
        return self.stop_at is not None and time.monotonic() >= self.stop_at

    def _bound(self, transaction: Transaction, limit: float) -> float:
        """Limit the next statement to the deadline of the run. Return its timeout in seconds.

        Args:
            transaction: the transaction of the statement.
            limit: the present timeout of statements in the transaction, in seconds.

        Raises:
            _OutOfTime: the deadline has passed.
        """
        if self.stop_at is None:
            return limit
        left = self.stop_at - time.monotonic()
        if left <= 0:
            raise _OutOfTime
        if limit <= left + _LEAST:  # saves a call if the timeout makes no difference
            return limit
        timeout = max(left, _LEAST)
        # Round up: a cancellation just before the deadline would count as a failure.
        transaction.execute(f"SELECT set_config('statement_timeout', '{math.ceil(timeout * 1000)}ms', true)")
        return timeout

    def _left(self, current: Sequence[str], plan: Sequence[Revision]) -> list[Revision]:
        """Return the revisions of `plan` above `current`. Reports begun revisions that are applied now as done."""
        applied = self.history.applied(current)
        for revision in plan:
            if revision.id in self._begun and revision.id in applied:
                self._report_done(revision, plan)
        return [revision for revision in plan if revision.id not in applied]

    def _report_done(self, revision: Revision, plan: Sequence[Revision]) -> None:
        if revision.id not in self._reported:
            self._reported.add(revision.id)
            if self.on_done is not None:
                self.on_done(revision, plan.index(revision) + 1, len(plan))

    def _locked(self) -> Transaction:
        """Begin a transaction that holds the migration lock.

        Raises:
            RunnerBusy: another run held the lock for longer than `timeouts.wait`.
        """
        retry = Retry(_PAUSES)
        while True:
            transaction = self.api.begin()
            try:
                transaction.execute(self._settings())
                if transaction.execute(_TRY)[0][0]:
                    self.waited += retry.waited
                    return transaction
                holders = transaction.execute(_HOLDER)
            except BaseException:
                transaction.rollback()
                raise
            transaction.rollback()
            holder = holders[0][0] if holders else "a session that has just ended"
            if self.on_wait is not None:
                self.on_wait(holder)
                self.on_wait = None
            if retry.waited >= self._wait_seconds():
                raise RunnerBusy(self.api.place, holder, retry.waited)
            retry.pause()

    def _wait_seconds(self) -> float:
        if self.stop_at is None:
            return self.timeouts.wait
        return max(0.0, min(self.timeouts.wait, self.stop_at - time.monotonic()))

    def _settings(self) -> str:
        settings = self.timeouts.settings()
        idle = min(LONGEST_IDLE, self.timeouts.idle_in_transaction or LONGEST_IDLE)
        values = {
            "lock_timeout": settings["lock_timeout"],
            "idle_in_transaction_session_timeout": f"{round(idle * 1000)}ms",
        }
        if "statement_timeout" in settings:
            values["statement_timeout"] = settings["statement_timeout"]
        calls = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in values.items())
        return f"SELECT {calls}"

    def _current(self, execute: Execute) -> tuple[str, ...]:
        """Read and check the version table. See `preflight.checked_current`."""
        return preflight.check_current(versions(execute), self.history, self.api.place)

    def _check_empty(self, execute: Execute) -> None:
        tables = execute(UNMANAGED_RELATIONS)
        if tables:
            raise foreign_tables(self.api.place, preflight.DEFAULT_SCHEMA, [row[0] for row in tables])

    def _check_valid(self, execute: Execute, revision: str | None = None) -> None:
        if invalid := execute(_INVALID):
            raise InvalidIndex(self.api.place, [row[0] for row in invalid], revision)

    def _pause(
        self, error: BaseException, revision: Revision, plan: Sequence[Revision], retry: Retry
    ) -> None:
        """Wait before the next attempt at a revision after a lock timeout."""
        retries, waited = retry.attempt - 1, retry.waited
        if retries and waited >= self.timeouts.retry:
            raise LockNotGiven(
                self.api.place,
                "upgrade",
                revision=revision.id,
                doc=revision.doc,
                done=self._done(plan),
                blockers=(),
                retries=retries,
                waited=waited,
                sqlstate=getattr(error, "sqlstate", None),
            ) from error
        retry.pause()

    def _failed(self, revision: Revision, plan: Sequence[Revision], error: ConnectError) -> RevisionFailed:
        return RevisionFailed(
            self.api.place,
            "upgrade",
            revision=revision.id,
            doc=revision.doc,
            done=self._done(plan),
            reason=error.reason if isinstance(error, Rejection) else error.what,
            remedy=error.next_step,
            sqlstate=error.sqlstate if isinstance(error, Rejection) else None,
        )

    def _done(self, plan: Sequence[Revision]) -> list[str]:
        return [revision.id for revision in plan if revision.id in self._reported]


def compiled(history: History, plan: Sequence[Revision], place: str) -> dict[str, list[str]]:
    """Return the single statements of each revision of `plan`.

    Raises:
        DataApiUnsupported: a revision is not compiled, or contains a statement outside a transaction.
    """
    steps: dict[str, list[str]] = {}
    for revision in plan:
        ready = None if history.compiled is None else history.compiled.statements([revision.id])
        if ready is None:
            raise needs_connection(place, revision.id, "is not compiled to SQL")
        ((_, statements),) = ready
        if any(statement.alone for statement in statements):
            raise needs_connection(
                place,
                revision.id,
                "contains a statement outside a transaction (CONCURRENTLY), where a run can hold no lock",
            )
        steps[revision.id] = [statement.sql for statement in statements]
    return steps


def versions(execute: Execute) -> tuple[str, ...]:
    """Return the content of the version table; an empty tuple without that table."""
    if not execute(_HAS_VERSIONS)[0][0]:
        return ()
    return tuple(row[0] for row in execute(_VERSIONS))


def state(api: DataApi) -> tuple[tuple[str, ...], str, str | None, bool]:
    """Return the current revisions, the versions of the server and of PostGIS, and whether the server is a standby."""
    current = versions(api.execute)
    ((server, postgis, recovery),) = api.execute(_STATE)
    return current, str(server).partition(" ")[0], postgis, bool(recovery)


def _is_cancelled(error: ConnectError) -> bool:
    """Whether a timeout of PostgreSQL or of the API cancelled the statement."""
    return isinstance(error, Cancelled)


def _version(current: str | None, revision: str) -> list[str]:
    """Return the statements that record `revision`. The lock ensures that `current` is still valid."""
    if current is not None:
        return [f"UPDATE {VERSION_TABLE} SET version_num = '{revision}' WHERE version_num = '{current}'"]  # noqa: S608  ids of our own scripts
    return [
        f"CREATE TABLE IF NOT EXISTS {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL, CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num))",
        f"INSERT INTO {VERSION_TABLE} (version_num) VALUES ('{revision}')",  # noqa: S608  as above
    ]
