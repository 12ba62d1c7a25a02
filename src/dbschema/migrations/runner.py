"""Upgrades, downgrades and the state of a database, for the command line and for other programs.

A run resolves its target before it connects, looks at the database before it changes anything, holds the lock while it
works, and commits each revision by itself: what fails leaves nothing of its revision behind. It can be given a time, by
which it stops between two revisions; the next run goes on from there.

Looking at a database needs psycopg alone. Alembic and SQLAlchemy are imported when there is work that needs them: they cost
more time than all the rest of a run that has nothing to do.
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
    """Apply the revisions up to `revision`. A database that has it already is left as it is.

    Args:
        target: the database. Through the RDS Data API, revisions have to be compiled, and nothing is compared.
        revision: an id or its beginning, 'head', '+1', or an id with a count ('1a2b3c4d+2').
        on_step: called before each revision, and again after its commit.
        on_wait: called with the name of another run on the same database, when it has to be waited for.
        wait: seconds to wait for that other run; None: `timeouts.wait`.
        location: the folder of the scripts, or an application's `alembic.ini`, whose lines of revisions are then run like
            one, each revision after what it depends on; None: those of this package.
        timeouts: how long to wait for locks and statements.
        within: seconds from now, after which no further revision is begun, and through the RDS Data API no further
            statement; None: no end.
        tolerate_newer: a database whose revision the scripts do not hold is left as it is, without an error.
        compare: called after a run that has come to the head by at least one step; its findings are `Run.differences`.
            `dbschema.catalog.check` with the models is one; an upgrade itself never needs the models.
        known: asked before it; True: nothing would be found. `dbschema.tools.application.is_known_to_hold` is one.

    Raises:
        UnknownRevision, WrongTarget: before a connection is made.
        DatabaseNewer, UnexpectedState, MissingPrivilege, NotWritable, RunnerBusy, PooledConnection, InvalidIndex:
            before anything is changed. InvalidIndex also where a revision would leave one; it then is not recorded as applied.
        RevisionFailed: nothing of that revision was kept. LockNotGiven, its child: because of the locks of others.
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
            from dbschema.migrations import data_api_executor  # noqa: PLC0415  few need it

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
    """Take back the revisions above `revision`, with the data that they hold. Arguments and errors as `upgrade`."""
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
    """Raise what `upgrade` or `downgrade` would raise for `revision` before a connection is made."""
    History(location).goal(direction, revision)


def status(target: connect.Settings | connect.DataApi | URL | str, *, location: Path | None = None) -> Status:
    """How a database stands; nothing is changed, and nothing waited for.

    Raises:
        ConnectError: it cannot be reached.
    """
    history = History(location)
    settings = _data_api(target) or _settings(target)
    current, server, postgis, recovery = _state(settings)
    unknown = history.unknown(current)
    applied = frozenset[str]() if unknown else history.applied(current)
    if not unknown and not history.graph.share_a_line(current):
        current = history.standing(applied)
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
    """The revisions at which a database stands, the versions of the server and of PostGIS, and whether it is a standby."""
    if data_api := _data_api(target):
        from dbschema.migrations import data_api_executor  # noqa: PLC0415  few need it

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
    """The SQL of a run, for an administrator who executes it himself; no database is asked.

    Args:
        span: 'FROM:TO', where either may be left out; 'TO' alone starts at base; None: base:head. Where TO lies below
            FROM, it is the SQL of a downgrade.
        location: as `upgrade`.

    Raises:
        UnknownRevision: one of the two is not there.
        WrongTarget: one of the two is ambiguous, or counts from where a database stands.
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
    start = history.standing(reached[0])
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
    """`target`, where it is one; then its module is imported already."""
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
    journey = None
    if settings.failover_seconds:
        from dbschema.migrations.resumable import ResumableRun  # noqa: PLC0415  few ask for failover

        journey = ResumableRun.begun(settings, history, direction, goal)
        on_step = None if on_step is None else journey.told(on_step)

    def once(there: connect.Settings, end: Target) -> RunResult:
        return _once(
            direction,
            there,
            history,
            end,
            timeouts=timeouts,
            stop_at=stop_at,
            on_step=on_step,
            on_wait=on_wait,
            compare=compare,
            known=known,
        )

    if journey is None:
        return once(settings, goal)
    return journey.made(once, stop_at=stop_at, compare=compare)


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
    """A run on one server."""
    another = connect.opener(settings)
    with connect.translating(settings), closing(another()) as work:
        before = preflight.checked_current(work, history, settings.place)
        if not history.plan(direction, before, goal):
            preflight.check_valid(work, settings.place)
            return RunResult(settings.place, revision_names(before), revision_names(before), ())
        from dbschema.migrations.run import Run  # noqa: PLC0415  most runs of a deployment end above

        execution = Run(
            direction,
            settings,
            work,
            another,
            history,
            goal,
            timeouts=timeouts,
            stop_at=stop_at,
            on_step=on_step,
            on_wait=on_wait,
            compare=compare,
            known=known,
        )
        return execution.run()
