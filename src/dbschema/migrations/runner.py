"""Upgrades, downgrades and the state of a database, by Alembic, for the command line and for other programs.

A run resolves its target before it connects, looks at the database before it changes anything, holds the lock while it
works, and commits each revision by itself: what fails leaves nothing of its revision behind.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import StringIO
from typing import TYPE_CHECKING, Any

import psycopg
from alembic.util import CommandError
from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from dbschema import connect
from dbschema.errors import DbSchemaError
from dbschema.migrations import lock, preflight
from dbschema.migrations.environment import LOCK_TIMEOUT
from dbschema.migrations.errors import NeedsDatabase, RevisionFailed
from dbschema.migrations.history import BASE, HEAD, Direction, History, Revision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from alembic.runtime.migration import MigrationStep
    from sqlalchemy import Connection

    from dbschema.migrations.history import Target


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
    """What a run has done: from which revision to which (None: base), by which steps in their order."""

    place: str
    before: str | None
    after: str | None
    steps: tuple[Revision, ...]


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
    wait: float = lock.WAIT_SECONDS,
    location: Path | None = None,
) -> Run:
    """Apply the revisions up to `revision`. A database that has it already is left as it is.

    Args:
        target: the database.
        revision: an id or its beginning, 'head', '+1', or an id with a count ('1a2b3c4d+2').
        on_step: called before each revision, and again after its commit.
        on_wait: called with the name of another run on the same database, when it has to be waited for.
        wait: seconds to wait for that other run.
        location: the folder of the scripts; None: those of this package.

    Raises:
        UnknownRevision, AmbiguousRevision, OutOfRange, WrongDirection: before a connection is made.
        DatabaseNewer, ForeignTables, MayNotCreate, NotWritable, RunnerBusy: before anything is changed.
        RevisionFailed: nothing of that revision was kept.
        ConnectError: the database cannot be reached.
    """
    history = History(location)
    goal = history.goal("upgrade", revision)
    return _run("upgrade", target, history, goal, on_step=on_step, on_wait=on_wait, wait=wait)


def downgrade(
    target: connect.Settings | URL | str,
    revision: str,
    *,
    on_step: Callable[[Step], None] | None = None,
    on_wait: Callable[[str], None] | None = None,
    wait: float = lock.WAIT_SECONDS,
    location: Path | None = None,
) -> Run:
    """Take back the revisions above `revision`, with the data that they hold. Arguments and errors as `upgrade`."""
    history = History(location)
    goal = history.goal("downgrade", revision)
    return _run("downgrade", target, history, goal, on_step=on_step, on_wait=on_wait, wait=wait)


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
    with connect.translating(settings), connect.create_engine(settings).connect() as connection:
        current = preflight.read_current(connection)
        server = str(connection.scalar(text("SHOW server_version"))).partition(" ")[0]
        postgis = connection.scalar(
            text("SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'postgis'")
        )
        recovery = bool(connection.scalar(text("SELECT pg_is_in_recovery()")))
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
            yield history.step(direction, revision)

    if plan:
        history.run(steps, output=output, as_sql=True, starting_rev=start or BASE)
    return output.getvalue()


def _settings(target: connect.Settings | URL | str) -> connect.Settings:
    return target if isinstance(target, connect.Settings) else connect.resolve(target, source="the caller")


def _run(
    direction: Direction,
    target: connect.Settings | URL | str,
    history: History,
    goal: Target,
    *,
    on_step: Callable[[Step], None] | None,
    on_wait: Callable[[str], None] | None,
    wait: float,
) -> Run:
    settings = _settings(target)
    with connect.translating(settings):
        engine = connect.create_engine(settings)
        with engine.connect() as connection:
            before = preflight.known_current(connection, history, settings.place)
            if not history.plan(direction, before, goal):
                return Run(settings.place, before, before, ())
            preflight.check_rights(connection, settings.place)
            with lock.exclusive(engine, settings.place, wait, on_wait=on_wait):
                # Another run may have come first: what counts is what stands there now.
                before = preflight.known_current(connection, history, settings.place)
                plan = history.plan(direction, before, goal)
                if before is None:
                    preflight.check_empty(connection, settings.place)
                try:
                    _execute(direction, connection, plan, settings=settings, history=history, on_step=on_step)
                finally:
                    _tidy(connection)
    end = history.position(before) + (len(plan) if direction == "upgrade" else -len(plan))
    return Run(settings.place, before, history.at(end), plan)


def _execute(
    direction: Direction,
    connection: Connection,
    plan: Sequence[Revision],
    *,
    settings: connect.Settings,
    history: History,
    on_step: Callable[[Step], None] | None,
) -> None:
    """Go through `plan`; Alembic takes a step from us when it has committed the one before."""
    done: list[str] = []

    def steps(_heads: Any, _context: Any) -> Iterator[MigrationStep]:
        for number, revision in enumerate(plan, start=1):
            step = Step(direction, revision, number, len(plan))
            if on_step is not None:
                on_step(step)
            yield history.step(direction, revision)
            done.append(revision.id)
            if on_step is not None:
                on_step(replace(step, done=True))

    # Committed at once: in the transaction of a revision that fails, the setting would go with it.
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.commit()
    try:
        history.run(steps, connection=connection)
    except (DbSchemaError, BrokenPipeError):
        raise  # of our own, or of whoever is told about the steps
    except Exception as error:
        if len(done) == len(plan):
            raise
        raise _failed(direction, settings, plan[len(done)], done, error) from error


def _failed(
    direction: Direction,
    settings: connect.Settings,
    revision: Revision,
    done: Sequence[str],
    error: Exception,
) -> RevisionFailed:
    state = None
    if isinstance(error, (DBAPIError, psycopg.Error)):
        told = connect.translate(error, settings)
        reason, remedy, state = told.reason, told.next_step, told.sqlstate
    elif isinstance(error, (CommandError, SQLAlchemyError)):
        reason, remedy = " ".join(str(error).split()).rstrip("."), "Correct the revision and repeat"
    else:
        reason, remedy = (
            f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip("."),
            "Correct the revision and repeat",
        )
    return RevisionFailed(
        settings.place,
        direction,
        revision=revision.id,
        doc=revision.doc,
        done=done,
        reason=reason,
        remedy=remedy,
        sqlstate=state,
    )


def _tidy(connection: Connection) -> None:
    """Leave no empty version table behind; where the connection is gone, there is nothing that could be done."""
    try:
        if connection.in_transaction():
            connection.rollback()
        preflight.remove_empty_version_table(connection)
    except (SQLAlchemyError, psycopg.Error):
        return
