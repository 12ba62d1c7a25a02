"""Errors that stop an upgrade, a downgrade or a baseline, with their facts as fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.connect.errors import DataApiUnsupported
from dbschema.errors import (
    BadSetting,
    MigrationError,
    MigrationIncomplete,
    MissingPrivilege,
    NotWritable,
    UnknownRevision,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dbschema.migrations.blockers import Blocker


_SHOWN = 5
"""Names in a message; of the others, the number."""


class BrokenScripts(MigrationError):
    """The revision scripts cannot be loaded, or do not form one history.

    Changed: nothing.
    Fix: correct the scripts, or name other ones with `DBSCHEMA_SCRIPT_LOCATION`.
    """

    code = "broken-scripts"

    def __init__(self, location: Path, reason: str) -> None:
        self.location, self.reason = location, reason
        super().__init__(
            f"The revision scripts in {location} cannot be used: {reason}",
            "Correct them, or name others with DBSCHEMA_SCRIPT_LOCATION; those of dbschema itself come anew with the package",
        )


def unknown_revision(revision: str, known: str) -> UnknownRevision:
    """The scripts do not contain the revision; `known`: those that they contain, as text."""
    return UnknownRevision(
        revision,
        f"There is no revision {revision!r} among the revision scripts",
        f"Name one of them ({known}), 'head' or 'base'",
    )


class WrongTarget(MigrationError):
    """The target of the run is ambiguous, out of range, or in the other direction.

    Changed: nothing.
    Fix: name another target, or the other command, as the message says.

    Args:
        revision: the target as it was written.
        what: the cause and its place; no full stop at its end.
        next_step: what the reader can do; no full stop at its end.
    """

    code = "wrong-target"

    def __init__(self, revision: str, what: str, next_step: str) -> None:
        self.revision = revision
        super().__init__(what, next_step)


def ambiguous_revision(revision: str, matches: Sequence[str]) -> WrongTarget:
    """The beginning of a revision's id fits several."""
    return WrongTarget(
        revision,
        f"{revision!r} is the beginning of several revisions: {', '.join(matches)}",
        "Name one of them in full",
    )


def out_of_range(revision: str, start: str, possible: int) -> WrongTarget:
    """A relative revision counts beyond the first or the last one."""
    return WrongTarget(
        revision,
        f"{revision!r} counts too far: from {start} there are {possible} steps in that direction",
        "Count less, or name 'head' or 'base'",
    )


def wrong_direction(command: str, revision: str, current: str | None) -> WrongTarget:
    """An upgrade has a target below the database, or a downgrade one above it."""
    other = "downgrade" if command == "upgrade" else "upgrade"
    at = "" if current is None else f" from {current}"
    return WrongTarget(
        revision, f"{revision!r} is no target for {command}{at}", f"Use 'dbschema {other} {revision}'"
    )


def needs_database(revision: str) -> WrongTarget:
    """SQL that is written without a database cannot start at its present revision."""
    return WrongTarget(
        revision,
        f"{revision!r} counts from the revision of a database, and none is asked for SQL",
        "Name both ends, such as base:head",
    )


class DatabaseNewer(MigrationError):
    """The database has a revision that the scripts do not contain.

    Changed: nothing.
    Fix: install the version that made it; for revisions of an application, name its `alembic.ini` with `DBSCHEMA_SCRIPT_LOCATION`.
    """

    code = "database-newer"

    def __init__(self, place: str, unknown: Sequence[str]) -> None:
        self.place, self.unknown = place, tuple(unknown)
        super().__init__(
            f"{place} stands at revision {', '.join(unknown)}, which this version of dbschema does not know",
            "Install the version that made it; where an application has revisions of its own, name its alembic.ini with "
            "DBSCHEMA_SCRIPT_LOCATION; "
            "where nothing must be kept, 'dbschema reset --yes' makes the private database anew. Nothing was changed",
        )


class UnexpectedState(MigrationError):
    """The database is not in a state that the run can start from: tables without a revision, or several revisions.

    Changed: nothing.
    Fix: name another database, run `dbschema baseline` or `dbschema upgrade`, or correct `alembic_version`, as the message says.
    """

    code = "unexpected-state"


def several_revisions(place: str, current: Sequence[str]) -> UnexpectedState:
    """The version table holds more than one revision of a line: it was changed by hand, or an application has its own."""
    return UnexpectedState(
        f"{place} stands at several revisions at once ({', '.join(sorted(current))})",
        "Where an application has revisions of its own, name its alembic.ini with DBSCHEMA_SCRIPT_LOCATION; otherwise "
        "correct the table alembic_version. Nothing was changed",
    )


def foreign_tables(place: str, schema: str, tables: Sequence[str]) -> UnexpectedState:
    """The database has no revision, but tables that no revision made."""
    shown = ", ".join(tables[:_SHOWN])
    more = f" and {len(tables) - _SHOWN} more" if len(tables) > _SHOWN else ""
    return UnexpectedState(
        f"{place} holds tables in schema {schema!r} that no revision made ({shown}{more})",
        "Name an empty database with --url, or move them to another schema; 'dbschema baseline' adopts them where they are "
        "what the models declare; nothing was changed",
    )


def nothing_to_adopt(place: str) -> UnexpectedState:
    """A baseline needs tables, and the database has none."""
    return UnexpectedState(
        f"{place} holds no table that could be adopted", "Run 'dbschema upgrade', which makes them"
    )


def not_at_head(place: str, current: str, head: str) -> UnexpectedState:
    """A baseline needs a database without a revision, or at the newest one."""
    return UnexpectedState(
        f"{place} has a revision already, {current}, and the newest one is {head}",
        "Run 'dbschema upgrade'; nothing was changed",
    )


def may_not_create(place: str, user: str, schema: str | None, statement: str) -> MissingPrivilege:
    """The role may not create tables in its default schema, or has no such schema."""
    what = "has no schema to create tables in" if schema is None else f"may not create in schema {schema!r}"
    return MissingPrivilege(
        f"The role {user!r} {what} on {place}",
        f"Have an administrator run: {statement}; nothing was changed",
        role=user,
        statement=statement,
    )


def wrong_schema(place: str, user: str, schema: str, statement: str) -> MissingPrivilege:
    """The default schema is not the one that the revisions grant access to."""
    return MissingPrivilege(
        f"New tables of the role {user!r} on {place} would stand in schema {schema!r}, and the revisions speak of 'public'",
        f"Take {schema!r} off the search_path, with: {statement}; nothing was changed",
        role=user,
        statement=statement,
    )


def not_writable(place: str, *, recovery: bool) -> NotWritable:
    """The server accepts no changes."""
    why = "is a standby in recovery" if recovery else "is set to read-only (default_transaction_read_only)"
    return NotWritable(
        f"{place} {why} and accepts no changes",
        "Name the primary server (the writer endpoint)" if recovery else "Lift the setting for this role",
        recovery=recovery,
    )


class RunnerBusy(MigrationError):
    """Another run holds the migration lock until the deadline.

    Changed: nothing.
    Fix: wait for the run that the message names, or end it; then run the command again.
    """

    code = "lock-busy"

    def __init__(self, place: str, holder: str, waited: float) -> None:
        self.place, self.holder, self.waited = place, holder, waited
        super().__init__(
            f"Another run changes {place} since more than {waited:.0f} s: {holder}",
            "Wait until it has finished, or end it (pg_terminate_backend), and repeat",
        )


class RevisionFailed(MigrationError):
    """A statement of a revision failed.

    Changed: revisions before it stay; nothing of this one is kept.
    Fix: correct the revision or the data that the message names; then run the command again.

    Args:
        place: the database.
        direction: 'upgrade' or 'downgrade'.
        revision, doc: which one, and its title.
        done: the revisions of the same run that were finished before.
        reason: what the server said.
        remedy: what can be done about it.
        sqlstate: PostgreSQL's code, where the server gave one.
    """

    code = "revision-failed"

    def __init__(
        self,
        place: str,
        direction: str,
        *,
        revision: str,
        doc: str,
        done: Sequence[str],
        reason: str,
        remedy: str,
        sqlstate: str | None = None,
    ) -> None:
        self.place, self.direction, self.revision, self.doc = place, direction, revision, doc
        self.done, self.reason, self.remedy, self.sqlstate = tuple(done), reason, remedy, sqlstate
        kept = f"; {', '.join(done)} before it stays" if done else ""
        super().__init__(
            f"The {direction} of revision {revision} ({doc}) failed on {place}: {reason}",
            f"{remedy}; nothing of this revision was kept{kept}",
        )


class LockNotGiven(RevisionFailed):
    """A revision waited for locks of other sessions until the deadline.

    Changed: revisions before it stay; nothing of this one is kept.
    Fix: wait for the sessions that the message names, or end them; raise `DBSCHEMA_LOCK_RETRY` to wait longer.

    Args:
        place, direction, revision, doc, done, sqlstate: as for `RevisionFailed`.
        blockers: who was seen to hold what it needs; none where nobody was seen.
        retries: how often it was tried again.
        waited: seconds from the first try to the last.
    """

    code = "lock-not-given"

    def __init__(
        self,
        place: str,
        direction: str,
        *,
        revision: str,
        doc: str,
        done: Sequence[str],
        blockers: Sequence[Blocker],
        retries: int,
        waited: float,
        sqlstate: str | None = None,
    ) -> None:
        self.blockers, self.retries, self.waited = tuple(blockers), retries, waited
        holders = "; ".join(map(str, blockers)) or "sessions that were not seen"
        super().__init__(
            place,
            direction,
            revision=revision,
            doc=doc,
            done=done,
            reason=f"a lock was not given in {waited:.1f} s and {retries} retries, held by {holders}",
            remedy="Wait until they have finished, or end them (pg_terminate_backend), and repeat",
            sqlstate=sqlstate,
        )


class LockLost(MigrationError):
    """The connection that holds the migration lock is lost.

    Changed: revisions that the message names stay; the run stopped between two steps.
    Fix: run the command again.
    """

    code = "lock-lost"

    def __init__(self, place: str, done: Sequence[str]) -> None:
        self.place, self.done = place, tuple(done)
        super().__init__(
            f"The connection that holds the lock of this run on {place} has lost it",
            f"Repeat the command; {', '.join(done) or 'no revision'} of this run was applied",
        )


class PooledConnection(MigrationError):
    """A pooler in transaction mode or RDS Proxy is in the path, where a session cannot hold a lock.

    Changed: nothing.
    Fix: connect to the server itself (the writer endpoint), or through a pool in session mode.
    """

    code = "pooled-connection"


def pooled_connection(place: str) -> PooledConnection:
    """A pooler gives each transaction another session."""
    return PooledConnection(
        f"{place} is reached through a pooler in transaction mode, where a run cannot hold a lock",
        "Name the server itself (the writer endpoint), or a pool in session mode; nothing was changed",
    )


def behind_proxy(place: str) -> PooledConnection:
    """RDS Proxy gives each transaction another session until it has to keep one."""
    return PooledConnection(
        f"{place} is reached through RDS Proxy, where a run cannot hold a lock",
        "Name the writer endpoint of the cluster (DB_SECRET_ARN with DB_HOST, or --url); nothing was changed",
    )


def needs_connection(place: str, revision: str, why: str) -> DataApiUnsupported:
    """A revision cannot go through the RDS Data API."""
    return DataApiUnsupported(
        f"Revision {revision} cannot be applied to {place}, because it {why}",
        "Run 'dbschema upgrade' where the cluster's port can be reached, with DB_SECRET_ARN and DB_HOST; nothing was changed",
    )


class InvalidIndex(MigrationError):
    """An index was never built to its end: no query uses it, and every write maintains it.

    Changed: earlier revisions stay; the revision that the message names is not recorded.
    Fix: run the DROP INDEX that the message shows; then run the command again.
    """

    code = "invalid-index"

    def __init__(self, place: str, indexes: Sequence[str], revision: str | None = None) -> None:
        self.place, self.indexes, self.revision = place, tuple(indexes), revision
        names = ", ".join(indexes)
        what = (
            f"holds the invalid index {names}"
            if revision is None
            else f"would be left with the invalid index {names} by revision {revision}"
        )
        drop = f"DROP INDEX CONCURRENTLY {names}"
        super().__init__(
            f"{place} {what}",
            f"Unless somebody builds it at this moment, run: {drop}; then repeat"
            if revision is None
            else f"See what stopped its building, run: {drop}; then repeat. The revision is not recorded as applied",
        )


def out_of_time(place: str, done: Sequence[str], left: Sequence[str]) -> MigrationIncomplete:
    """The time of a run of Alembic is over."""
    return MigrationIncomplete(
        f"The time of the run on {place} is over: {', '.join(done) or 'no revision'} done, {', '.join(left)} left",
        "Repeat the command; it goes on from there",
        done=done,
        left=left,
    )


class DiffersFromModels(MigrationError):
    """After an upgrade, the database differs from the models.

    Changed: the upgrade stays.
    Fix: see the differences with `dbschema check`, and write the missing revision with `alembic revision --autogenerate`.
    """

    code = "differs-from-models"

    def __init__(self, place: str, differences: Sequence[str]) -> None:
        self.place, self.differences = place, tuple(differences)
        shown = "; ".join(differences[:_SHOWN])
        more = f"; and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
        super().__init__(
            f"{place} was upgraded, and differs from the models: {shown}{more}",
            "See all with 'dbschema check'; write what is missing with 'alembic revision --autogenerate', or leave the comparison "
            "out with -x compare=no",
        )


def bad_argument(name: str, value: str, wanted: str) -> BadSetting:
    """An argument of Alembic's -x has a value that means nothing."""
    return BadSetting(name, f"is {value!r}", f"Give {wanted}; nothing was changed", subject=f"-x {name}")


def bad_timeout(name: str, value: str) -> BadSetting:
    """A timeout is no number of seconds that PostgreSQL could keep."""
    return BadSetting(
        name,
        f"is {value!r}, which is no number of seconds from 0 to 2147483",
        "Give a number such as 0.05 or 30",
    )
