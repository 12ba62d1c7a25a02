"""Upgrades through the RDS Data API: the compiled SQL of each revision, one statement a call, in one transaction.

No session outlives a call there, so nothing can be held over several transactions. The lock of a run is taken anew in each
revision's transaction, under the keys that runs on connections use, and what counts is what the version table says under
it: whoever comes between two revisions is no danger. A transaction whose answer was lost still has the lock, or is over; so
whoever gets the lock next can read what became of it.
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
"""Seconds after which the server ends a transaction that nobody continues, and with it the lock of a run that died."""

LONGEST_STATEMENT: Final = 45.0
"""Seconds after which the API itself ends a statement."""

_LEAST: Final = 1.0
"""Seconds that a statement gets at least, and by which it may outlast the run."""

_LOST_ANSWERS: Final = 3
_PAUSES: Final = Pauses(0.9, least=1 / 3)
_HIGH, _LOW, _LOW_OF_WORK = KEY >> 32, KEY & 0xFFFF_FFFF, WORK_KEY & 0xFFFF_FFFF
# The API carries texts, numbers and truth values: what is of another type is made text.
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
    """As `runner.upgrade`, by whose arguments it is called.

    Raises:
        DataApiUnsupported: a comparison is wanted.
    """
    if compare is not None:
        raise data_api_unsupported(api.cluster, "a comparison with the models")

    def tell(revision: Revision, number: int, total: int, *, done: bool = False) -> None:
        if on_step is not None:
            on_step(Step("upgrade", revision, number, total, done))

    run = DataApiRun(
        api,
        history,
        timeouts,
        stop_at,
        on_begin=tell,
        on_done=lambda *step: tell(*step, done=True),
        on_wait=on_wait,
    )
    before, after, plan = run.run(goal)
    applied = history.applied(after)
    return RunResult(
        api.place,
        revision_names(before),
        revision_names(after),
        tuple(one for one in plan if one.id in applied),
        left=tuple(one for one in plan if one.id not in applied),
        waited=run.waited,
        cut_short=run.cut_short,
    )


class _OutOfTime(Exception):
    """The time of the run was over within a revision."""


@dataclass
class DataApiRun:
    """One run through the API.

    Args:
        api: the database.
        history: the scripts, which have to be compiled.
        timeouts: how long to wait for whom; `wait` counts for each revision.
        stop_at: by the monotonic clock; no statement of a revision is begun after it, and the revision that is at work
            then is undone. None: no end.
        on_begin, on_done: called with a revision, its number from 1, and the number of all.
        on_wait: called once, with the holder of the lock in words.
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
    _told: set[str] = field(default_factory=set)
    _lost: int = 0

    def run(self, goal: Target) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Revision, ...]]:
        """Go to `goal`; where the database stood, where it stands, and the revisions of the plan.

        Raises:
            MigrationError: as of `runner.upgrade`, and `DataApiUnsupported` before anything is changed.
            ConnectError: the API refuses, or gives no answer.
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
                if self._lost > _LOST_ANSWERS:
                    raise
                log.warning("%s gave no answer; what became of the transaction is looked up", self.api.place)
                continue
            return before, after, plan

    def _advance(self, plan: Sequence[Revision], steps: dict[str, list[str]]) -> tuple[str, ...]:
        """Apply what is left of `plan`; where the database stands then."""
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
                self._tell_done(left[0], plan)
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
        """See to it that the next statement ends with the run; the limit that it has then.

        Args:
            transaction: in which it will be executed.
            limit: that a statement of it has by now, in seconds.

        Raises:
            _OutOfTime: there is no time for one.
        """
        if self.stop_at is None:
            return limit
        left = self.stop_at - time.monotonic()
        if left <= 0:
            raise _OutOfTime
        if limit <= left + _LEAST:  # a call of its own: only where it makes a difference
            return limit
        wanted = max(left, _LEAST)
        # Rounded up: what is cancelled shall not be taken for a failure, because it was a little before the end.
        transaction.execute(f"SELECT set_config('statement_timeout', '{math.ceil(wanted * 1000)}ms', true)")
        return wanted

    def _left(self, current: Sequence[str], plan: Sequence[Revision]) -> list[Revision]:
        """The revisions of `plan` above `current`; those that turn out to be done are told."""
        applied = self.history.applied(current)
        for one in plan:
            if one.id in self._begun and one.id in applied:
                self._tell_done(one, plan)
        return [one for one in plan if one.id not in applied]

    def _tell_done(self, revision: Revision, plan: Sequence[Revision]) -> None:
        if revision.id not in self._told:
            self._told.add(revision.id)
            if self.on_done is not None:
                self.on_done(revision, plan.index(revision) + 1, len(plan))

    def _locked(self) -> Transaction:
        """A transaction that has the lock of a run.

        Raises:
            RunnerBusy: another run has it for longer than `timeouts.wait`.
        """
        retry = Retry(_PAUSES)
        while True:
            transaction = self.api.begin()
            try:
                transaction.execute(self._settings())
                if transaction.execute(_TRY)[0][0]:
                    self.waited += retry.waited
                    return transaction
                found = transaction.execute(_HOLDER)
            except BaseException:
                transaction.rollback()
                raise
            transaction.rollback()
            holder = found[0][0] if found else "a session that has just ended"
            if self.on_wait is not None:
                self.on_wait(holder)
                self.on_wait = None
            if retry.waited >= self._patience():
                raise RunnerBusy(self.api.place, holder, retry.waited)
            retry.pause()

    def _patience(self) -> float:
        if self.stop_at is None:
            return self.timeouts.wait
        return max(0.0, min(self.timeouts.wait, self.stop_at - time.monotonic()))

    def _settings(self) -> str:
        given = self.timeouts.settings()
        idle = min(LONGEST_IDLE, self.timeouts.idle_in_transaction or LONGEST_IDLE)
        values = {
            "lock_timeout": given["lock_timeout"],
            "idle_in_transaction_session_timeout": f"{round(idle * 1000)}ms",
        }
        if "statement_timeout" in given:
            values["statement_timeout"] = given["statement_timeout"]
        calls = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in values.items())
        return f"SELECT {calls}"

    def _current(self, execute: Execute) -> tuple[str, ...]:
        """As `preflight.known_current`."""
        return preflight.check_current(versions(execute), self.history, self.api.place)

    def _check_empty(self, execute: Execute) -> None:
        found = execute(UNMANAGED_RELATIONS)
        if found:
            raise foreign_tables(self.api.place, preflight.DEFAULT_SCHEMA, [row[0] for row in found])

    def _check_valid(self, execute: Execute, revision: str | None = None) -> None:
        if found := execute(_INVALID):
            raise InvalidIndex(self.api.place, [row[0] for row in found], revision)

    def _pause(
        self, error: BaseException, revision: Revision, plan: Sequence[Revision], retry: Retry
    ) -> None:
        """Wait before the next attempt at a revision that has met a lock."""
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
        return [one.id for one in plan if one.id in self._told]


def compiled(history: History, plan: Sequence[Revision], place: str) -> dict[str, list[str]]:
    """The single statements of each revision of `plan`.

    Raises:
        DataApiUnsupported: one of them was not compiled, or holds a step outside of a transaction.
    """
    found: dict[str, list[str]] = {}
    for revision in plan:
        ready = None if history.compiled is None else history.compiled.statements([revision.id])
        if ready is None:
            raise needs_connection(place, revision.id, "is no plain SQL that was compiled beforehand")
        ((_, statements),) = ready
        if any(one.alone for one in statements):
            raise needs_connection(
                place,
                revision.id,
                "holds a step outside of a transaction (CONCURRENTLY), where no lock could be held",
            )
        found[revision.id] = [one.sql for one in statements]
    return found


def versions(execute: Execute) -> tuple[str, ...]:
    """The revisions at which the database stands."""
    if not execute(_HAS_VERSIONS)[0][0]:
        return ()
    return tuple(row[0] for row in execute(_VERSIONS))


def state(api: DataApi) -> tuple[tuple[str, ...], str, str | None, bool]:
    """The revisions at which the database stands, the versions of the server and of PostGIS, and whether it is a standby."""
    current = versions(api.execute)
    ((server, postgis, recovery),) = api.execute(_STATE)
    return current, str(server).partition(" ")[0], postgis, bool(recovery)


def _is_cancelled(error: ConnectError) -> bool:
    """Whether a statement was ended by a limit: by PostgreSQL's, or by the API's own."""
    return isinstance(error, Cancelled)


def _version(current: str | None, revision: str) -> list[str]:
    """What notes a revision as applied; under the lock, nobody has moved it."""
    if current is not None:
        return [f"UPDATE {VERSION_TABLE} SET version_num = '{revision}' WHERE version_num = '{current}'"]  # noqa: S608  ids of our own scripts
    return [
        f"CREATE TABLE IF NOT EXISTS {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL, CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num))",
        f"INSERT INTO {VERSION_TABLE} (version_num) VALUES ('{revision}')",  # noqa: S608  as above
    ]
