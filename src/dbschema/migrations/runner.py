"""Upgrade a database, downgrade it, or read its status: the interface for the command line and other programs.

A run resolves its target before it connects, and checks the database before it changes anything. It holds the migration lock
and commits each revision separately: a failed revision leaves no changes. With a deadline, a run stops between two
revisions; the next run continues.

The status needs only psycopg. Alembic and SQLAlchemy are imported on demand: their import takes longer than a complete run
without pending revisions.
"""

from __future__ import annotations

import sys
import time
from contextlib import closing
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

from dbschema import connect
from dbschema.connect.errors import data_api_unsupported
from dbschema.migrations import preflight
from dbschema.migrations.errors import DatabaseNewer, needs_database
from dbschema.migrations.history import BASE, HEAD, History, revision_names
from dbschema.migrations.preflight import scalar
from dbschema.migrations.result import RunResult, Status, Step
from dbschema.migrations.timeouts import Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import psycopg
    from alembic.runtime.migration import MigrationStep
    from sqlalchemy import URL, Connection

    from dbschema.migrations.history import Target
    from dbschema.migrations.revisions import Direction


DEFAULTS: Final = Timeouts()


def upgrade(
    target: connect.Settings | connect.DataApi | URL | str,
    revision: str = HEAD,
    *,
    on_step: Callable[[Step], None] | None = None,
    on_wait: Callable[[str], None] | None = None,
    wait: float | None = None,
    location: Path | None = None,
    timeouts: Timeouts = DEFAULTS,
    within: float | None = None,
    tolerate_newer: bool = False,
    compare: Callable[[Connection], Sequence[Any]] | None = None,
    known: Callable[[psycopg.Connection], bool] | None = None,
) -> RunResult:
    """Apply the revisions up to `revision`. Does nothing if the database has `revision`.

    Args:
        target: the database. The RDS Data API needs compiled revisions, and supports no comparison.
        revision: an id or its prefix, 'head', '+1', or an id with a count ('1a2b3c4d+2').
        on_step: called before each revision, and again after its commit.
        on_wait: called with a description of another run, when this run waits for its lock.
        wait: seconds to wait for another run on the same database; None: `timeouts.wait`.
        location: the folder of the scripts, or an application's `alembic.ini`, whose branches run as
            one history, each revision after its dependencies; None: the scripts of this package.
        timeouts: the limits for locks and statements.
        within: seconds from now until the deadline. After it no further revision begins, with the RDS Data API no further
            statement; None: no deadline.
        tolerate_newer: if the scripts do not contain the revision of the database, change nothing and raise no error.
        compare: called after a run of at least one step that reached the head; returns `RunResult.differences`. Example:
            `dbschema.catalog.check` with the models. An upgrade itself does not need the models.
        known: called before `compare`; True: skip `compare`, the database is known to match. Example:
            `dbschema.tools.application.is_known_to_hold`.

    Raises:
        UnknownRevision, WrongTarget: the target is invalid; raised before the run connects.
        DatabaseNewer, UnexpectedState, MissingPrivilege, NotWritable, RunnerBusy, PooledConnection, InvalidIndex: the run
            cannot start; nothing was changed. InvalidIndex also if a revision leaves an invalid index: that revision is not
            recorded as applied.
        RevisionFailed: a revision failed; none of its changes were kept. Subclass LockNotGiven: it waited too long for locks.
        LockLost: the run stopped between two revisions.
        DataApiUnsupported: a revision cannot go through the RDS Data API.
        ConnectError: the database cannot be reached.
    """
    stop_at = None if within is None else time.monotonic() + within
    history = History(location)
    goal = history.goal("upgrade", revision)
    limits = timeouts if wait is None else timeouts.changed(wait=wait)
    try:
        if data_api := _data_api(target):
            from dbschema.migrations import data_api_executor  # noqa: PLC0415  rarely needed

            return data_api_executor.upgrade(
                data_api,
                history,
                goal,
                timeouts=limits,
                stop_at=stop_at,
                on_step=on_step,
                on_wait=on_wait,
                compare=compare,
            )
        return _run(
            "upgrade",
            target,
            history,
            goal,
            timeouts=limits,
            stop_at=stop_at,
            on_step=on_step,
            on_wait=on_wait,
            compare=compare,
            known=known,
        )
    except DatabaseNewer as newer:
        if not tolerate_newer:
            raise
        return RunResult(newer.place, newer.unknown[-1], newer.unknown[-1], (), unknown=newer.unknown)


def downgrade(
    target: connect.Settings | connect.DataApi | URL | str,
    revision: str,
    *,
    on_step: Callable[[Step], None] | None = None,
    on_wait: Callable[[str], None] | None = None,
    wait: float | None = None,
    location: Path | None = None,
    timeouts: Timeouts = DEFAULTS,
    within: float | None = None,
) -> RunResult:
    """Revert the revisions above `revision`. This deletes the data of their tables and columns. See `upgrade`."""
    stop_at = None if within is None else time.monotonic() + within
    history = History(location)
    goal = history.goal("downgrade", revision)
    limits = timeouts if wait is None else timeouts.changed(wait=wait)
    if data_api := _data_api(target):
        raise data_api_unsupported(data_api.cluster, "a downgrade")
    return _run(
        "downgrade",
        target,
        history,
        goal,
        timeouts=limits,
        stop_at=stop_at,
        on_step=on_step,
        on_wait=on_wait,
    )


def check_target(direction: Direction, revision: str, *, location: Path | None = None) -> None:
    """Check a target without a database. Raises the errors that `upgrade` or `downgrade` raises before it connects."""
    History(location).goal(direction, revision)


def status(target: connect.Settings | connect.DataApi | URL | str, *, location: Path | None = None) -> Status:
    """Read the status of a database. Changes nothing and waits for no lock.

    Raises:
        ConnectError: the database cannot be reached.
    """
    history = History(location)
    settings = _data_api(target) or _settings(target)
    current, server, postgis, recovery = _state(settings)
    unknown = history.unknown(current)
    applied = frozenset[str]() if unknown else history.applied(current)
    if not unknown and not history.graph.share_a_branch(current):
        current = history.current(applied)
    return Status(
        place=settings.place,
        source=settings.source,
        server_version=server,
        postgis_version=postgis,
        in_recovery=recovery,
        current=current,
        head=history.head,
        pending=() if unknown else history.among(history.everything - applied),
        unknown=unknown,
    )


def _state(
    target: connect.Settings | connect.DataApi,
) -> tuple[tuple[str, ...], str, str | None, bool]:
    """Return the current revisions, the versions of the server and of PostGIS, and whether the server is a standby."""
    if data_api := _data_api(target):
        from dbschema.migrations import data_api_executor  # noqa: PLC0415  rarely needed

        return data_api_executor.state(data_api)
    settings = _settings(target)
    with connect.translating(settings), closing(connect.open(settings)) as connection:
        current = preflight.read_current(connection)
        server = str(scalar(connection, "SHOW server_version")).partition(" ")[0]
        postgis = scalar(
            connection, "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'postgis'"
        )
        return current, server, postgis, bool(scalar(connection, "SELECT pg_is_in_recovery()"))


def sql(span: str | None = None, *, location: Path | None = None) -> str:
    """Return the SQL of a run as a script for an administrator. Needs no database.

    Args:
        span: 'FROM:TO', both optional; 'TO' alone starts at base; None: base:head. If TO is below FROM, returns the SQL of
            a downgrade.
        location: see `upgrade`.

    Raises:
        UnknownRevision: the scripts do not contain FROM or TO.
        WrongTarget: FROM or TO is ambiguous, or relative to the current revision of a database.
    """
    history = History(location)
    first, colon, last = (span or "").partition(":")
    if not colon:
        first, last = "", first
    ends = [history.target(first or BASE), history.target(last or HEAD)]
    reached = []
    for end in ends:
        if end.reached is None:
            raise needs_database(end.text)
        reached.append(end.reached)
    start = history.current(reached[0])
    direction: Direction = "upgrade" if reached[0] <= reached[1] else "downgrade"
    plan = history.plan(direction, start, ends[1])
    output = StringIO()

    def steps(_heads: Any, _context: Any) -> Iterator[MigrationStep]:
        for revision in plan:
            yield history.scripts.step(direction, revision)

    if plan:
        history.scripts.run(steps, output=output, as_sql=True, starting_rev=start or BASE)
    return output.getvalue()


def _settings(target: connect.Settings | connect.DataApi | URL | str) -> connect.Settings:
    if isinstance(target, connect.Settings):
        return target
    return connect.resolve(target, source="the caller")  # type: ignore[arg-type]  # a DataApi never comes here


def _data_api(target: connect.Settings | connect.DataApi | URL | str) -> connect.DataApi | None:
    """Return `target` if it is a DataApi; its module is imported already then."""
    module = sys.modules.get("dbschema.connect.data_api")
    return target if module is not None and isinstance(target, module.DataApi) else None


def _run(
    direction: Direction,
    target: connect.Settings | connect.DataApi | URL | str,
    history: History,
    goal: Target,
    *,
    timeouts: Timeouts,
    stop_at: float | None,
    on_step: Callable[[Step], None] | None,
    on_wait: Callable[[str], None] | None,
    compare: Callable[[Connection], Sequence[Any]] | None = None,
    known: Callable[[psycopg.Connection], bool] | None = None,
) -> RunResult:
    settings = _settings(target)
    resumable = None
    if settings.failover_seconds:
        from dbschema.migrations.resumable import ResumableRun  # noqa: PLC0415  rarely needed

        resumable = ResumableRun.begin(settings, history, direction, goal)
        on_step = None if on_step is None else resumable.renumbered(on_step)

    def attempt(server: connect.Settings, resolved: Target) -> RunResult:
        return _once(
            direction,
            server,
            history,
            resolved,
            timeouts=timeouts,
            stop_at=stop_at,
            on_step=on_step,
            on_wait=on_wait,
            compare=compare,
            known=known,
        )

    if resumable is None:
        return attempt(settings, goal)
    return resumable.run(attempt, stop_at=stop_at, compare=compare)


def _once(
    direction: Direction,
    settings: connect.Settings,
    history: History,
    goal: Target,
    *,
    timeouts: Timeouts,
    stop_at: float | None,
    on_step: Callable[[Step], None] | None,
    on_wait: Callable[[str], None] | None,
    compare: Callable[[Connection], Sequence[Any]] | None,
    known: Callable[[psycopg.Connection], bool] | None,
) -> RunResult:
    """Execute one attempt on one server."""
    opener = connect.opener(settings)
    with connect.translating(settings), closing(opener()) as work:
        before = preflight.checked_current(work, history, settings.place)
        if not history.plan(direction, before, goal):
            preflight.check_valid(work, settings.place)
            return RunResult(settings.place, revision_names(before), revision_names(before), ())
        from dbschema.migrations.run import Run  # noqa: PLC0415  most runs have no pending revision

        run = Run(
            direction,
            settings,
            work,
            opener,
            history,
            goal,
            timeouts=timeouts,
            stop_at=stop_at,
            on_step=on_step,
            on_wait=on_wait,
            compare=compare,
            known=known,
        )
        return run.run()
