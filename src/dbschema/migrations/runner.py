"""Upgrades, downgrades and the state of a database, for the command line and for other programs.

A run resolves its target before it connects, looks at the database before it changes anything, holds the lock while it
works, and commits each revision by itself: what fails leaves nothing of its revision behind. It can be given a time, by
which it stops between two revisions; the next run goes on from there.

Looking at a database needs psycopg alone. Alembic and SQLAlchemy are imported when there is work that needs them: they cost
more time than all the rest of a run that has nothing to do.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

from dbschema import connect
from dbschema.migrations import preflight
from dbschema.migrations.errors import DatabaseNewer, NeedsDatabase
from dbschema.migrations.history import BASE, HEAD, Direction, History, Revision
from dbschema.migrations.query import scalar
from dbschema.migrations.timeouts import Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from alembic.runtime.migration import MigrationStep
    from sqlalchemy import URL, Connection

    from dbschema.migrations.history import Target


DEFAULTS: Final = Timeouts()


@dataclass(frozen=True)
class Step:
    """One revision of a run: the `number`-th of `total`, about to begin or, with `done`, committed."""

    direction: Direction
    revision: Revision
    number: int
    total: int
    done: bool = False


@dataclass(frozen=True)
class Run:
    """What a run has done: from which revision to which (None: base), by which steps in their order.

    Args:
        place: the database.
        before, after, steps: see above.
        left: the steps for which there was no time; the next run takes them.
        unknown: revisions of a newer database, which was tolerated: nothing was done.
        differences: what a comparison after the run has found.
        waited: seconds until the lock was given.
    """

    place: str
    before: str | None
    after: str | None
    steps: tuple[Revision, ...]
    left: tuple[Revision, ...] = ()
    unknown: tuple[str, ...] = ()
    differences: tuple[Any, ...] = ()
    waited: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether the target is reached."""
        return not self.left


@dataclass(frozen=True)
class Status:
    """How a database stands against the revision scripts.

    `current` is empty before the first upgrade; `unknown` are those of `current` that the scripts do not hold;
    `pending` what an upgrade would apply. Versions are such as '15.4' and '3.3.2'.
    """

    place: str
    source: str
    server_version: str
    postgis_version: str | None
    in_recovery: bool
    current: tuple[str, ...]
    head: str | None
    pending: tuple[Revision, ...]
    unknown: tuple[str, ...]

    @property
    def up_to_date(self) -> bool:
        """Whether the database stands at the head."""
        return not self.pending and not self.unknown


def upgrade(
    target: connect.Settings | URL | str,
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
) -> Run:
    """Apply the revisions up to `revision`. A database that has it already is left as it is.

    Args:
        target: the database.
        revision: an id or its beginning, 'head', '+1', or an id with a count ('1a2b3c4d+2').
        on_step: called before each revision, and again after its commit.
        on_wait: called with the name of another run on the same database, when it has to be waited for.
        wait: seconds to wait for that other run; None: `timeouts.wait`.
        location: the folder of the scripts; None: those of this package.
        timeouts: how long to wait for locks and statements.
        within: seconds from now, after which no further revision is begun; None: no end.
        tolerate_newer: a database whose revision the scripts do not hold is left as it is, without an error.
        compare: called after a run that has come to the head by at least one step; its findings are `Run.differences`.
            `dbschema.catalog.check` with the models is one; an upgrade itself never needs the models.

    Raises:
        UnknownRevision, AmbiguousRevision, OutOfRange, WrongDirection: before a connection is made.
        DatabaseNewer, ForeignTables, MayNotCreate, NotWritable, RunnerBusy, PooledConnection, InvalidIndex: before
            anything is changed. InvalidIndex also where a revision would leave one; it then is not recorded as applied.
        RevisionFailed: nothing of that revision was kept. LockNotGiven, its child: because of the locks of others.
        LockLost: the run stopped between two revisions.
        ConnectError: the database cannot be reached.
    """
    stop_at = None if within is None else time.monotonic() + within
    history = History(location)
    goal = history.goal("upgrade", revision)
    limits = timeouts if wait is None else timeouts.changed(wait=wait)
    try:
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
        )
    except DatabaseNewer as newer:
        if not tolerate_newer:
            raise
        return Run(newer.place, newer.unknown[-1], newer.unknown[-1], (), unknown=newer.unknown)


def downgrade(
    target: connect.Settings | URL | str,
    revision: str,
    *,
    on_step: Callable[[Step], None] | None = None,
    on_wait: Callable[[str], None] | None = None,
    wait: float | None = None,
    location: Path | None = None,
    timeouts: Timeouts = DEFAULTS,
    within: float | None = None,
) -> Run:
    """Take back the revisions above `revision`, with the data that they hold. Arguments and errors as `upgrade`."""
    stop_at = None if within is None else time.monotonic() + within
    history = History(location)
    goal = history.goal("downgrade", revision)
    limits = timeouts if wait is None else timeouts.changed(wait=wait)
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


def status(target: connect.Settings | URL | str, *, location: Path | None = None) -> Status:
    """How a database stands; nothing is changed, and nothing waited for.

    Raises:
        ConnectError: it cannot be reached.
    """
    history = History(location)
    settings = _settings(target)
    with connect.translating(settings), closing(connect.open(settings)) as connection:
        current = preflight.read_current(connection)
        server = str(scalar(connection, "SHOW server_version")).partition(" ")[0]
        postgis = scalar(
            connection, "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'postgis'"
        )
        recovery = bool(scalar(connection, "SELECT pg_is_in_recovery()"))
    unknown = history.unknown(current)
    applied = 0 if unknown else max(map(history.position, current), default=0)
    return Status(
        place=settings.place,
        source=settings.source,
        server_version=server,
        postgis_version=postgis,
        in_recovery=recovery,
        current=current,
        head=history.head,
        pending=() if unknown else history.revisions[applied:],
        unknown=unknown,
    )


def sql(span: str | None = None, *, location: Path | None = None) -> str:
    """The SQL of a run, for an administrator who executes it himself; no database is asked.

    Args:
        span: 'FROM:TO', where either may be left out; 'TO' alone starts at base; None: base:head. Where TO lies below
            FROM, it is the SQL of a downgrade.
        location: as `upgrade`.

    Raises:
        UnknownRevision, AmbiguousRevision, OutOfRange: one of the two is not there.
        NeedsDatabase: one of the two counts from where a database stands.
    """
    history = History(location)
    first, colon, last = (span or "").partition(":")
    if not colon:
        first, last = "", first
    ends = [history.target(first or BASE), history.target(last or HEAD)]
    for end in ends:
        if end.position is None:
            raise NeedsDatabase(end.text)
    start = history.at(ends[0].position or 0)
    direction: Direction = "upgrade" if (ends[0].position or 0) <= (ends[1].position or 0) else "downgrade"
    plan = history.plan(direction, start, ends[1])
    output = StringIO()

    def steps(_heads: Any, _context: Any) -> Iterator[MigrationStep]:
        for revision in plan:
            yield history.scripts.step(direction, revision)

    if plan:
        history.scripts.run(steps, output=output, as_sql=True, starting_rev=start or BASE)
    return output.getvalue()


def _settings(target: connect.Settings | URL | str) -> connect.Settings:
    return target if isinstance(target, connect.Settings) else connect.resolve(target, source="the caller")


def _run(
    direction: Direction,
    target: connect.Settings | URL | str,
    history: History,
    goal: Target,
    *,
    timeouts: Timeouts,
    stop_at: float | None,
    on_step: Callable[[Step], None] | None,
    on_wait: Callable[[str], None] | None,
    compare: Callable[[Connection], Sequence[Any]] | None = None,
) -> Run:
    settings = _settings(target)
    another = connect.opener(settings)
    with connect.translating(settings), closing(another()) as work:
        before = preflight.known_current(work, history, settings.place)
        if not history.plan(direction, before, goal):
            preflight.check_valid(work, settings.place)
            return Run(settings.place, before, before, ())
        from dbschema.migrations.execution import Execution  # noqa: PLC0415  most runs of a deployment end above

        execution = Execution(
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
        )
        return execution.run()
