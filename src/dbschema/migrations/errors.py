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
"""The greatest number of names in a message. The message counts the others."""


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
            "Correct them, or name others with DBSCHEMA_SCRIPT_LOCATION; to restore those of dbschema, reinstall the package",
        )


def unknown_revision(revision: str, known: str) -> UnknownRevision:
    """The scripts do not contain the revision. `known` lists the revisions that they contain."""
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
        revision: the target as the caller wrote it.
        what: the cause and its place, without a full stop at the end.
        next_step: the next step for the reader, without a full stop at the end.
    """

    code = "wrong-target"

    def __init__(self, revision: str, what: str, next_step: str) -> None:
        self.revision = revision
        super().__init__(what, next_step)


def ambiguous_revision(revision: str, matches: Sequence[str]) -> WrongTarget:
    """Several ids begin with the prefix."""
    return WrongTarget(
        revision,
        f"{revision!r} is the beginning of several revisions: {', '.join(matches)}",
        "Name one of them in full",
    )


def out_of_range(revision: str, start: str, possible: int) -> WrongTarget:
    """A relative target counts beyond the first or the last revision."""
    return WrongTarget(
        revision,
        f"{revision!r} counts too far: from {start} there are {possible} steps in that direction",
        "Count less, or name 'head' or 'base'",
    )


def wrong_direction(command: str, revision: str, current: str | None) -> WrongTarget:
    """The target of an upgrade is below the current revision, or the target of a downgrade is above it."""
    other = "downgrade" if command == "upgrade" else "upgrade"
    at = "" if current is None else f" from {current}"
    return WrongTarget(
        revision, f"{revision!r} is no target for {command}{at}", f"Use 'dbschema {other} {revision}'"
    )


def needs_database(revision: str) -> WrongTarget:
    """A script of SQL cannot begin at the current revision of a database, because it uses none."""
    return WrongTarget(
        revision,
        f"{revision!r} counts from the current revision of a database, and the SQL is written without a database",
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
            f"{place} is at revision {', '.join(unknown)}, which this version of dbschema does not contain",
            "Install the version that made it; if an application has its own revisions, name its alembic.ini with "
            "DBSCHEMA_SCRIPT_LOCATION; "
            "if you do not need the data, 'dbschema reset --yes' recreates the private database. Nothing was changed",
        )


class UnexpectedState(MigrationError):
    """The database is not in a state that the run can start from: tables without a revision, or several revisions.

    Changed: nothing.
    Fix: name another database, run `dbschema baseline` or `dbschema upgrade`, or correct `alembic_version`, as the message says.
    """

    code = "unexpected-state"


def several_revisions(place: str, current: Sequence[str]) -> UnexpectedState:
    """The version table contains several revisions of one branch: edited by hand, or the revisions of an application."""
    return UnexpectedState(
        f"{place} is at several revisions at once ({', '.join(sorted(current))})",
        "If an application has its own revisions, name its alembic.ini with DBSCHEMA_SCRIPT_LOCATION; otherwise "
        "correct the table alembic_version. Nothing was changed",
    )


def foreign_tables(place: str, schema: str, tables: Sequence[str]) -> UnexpectedState:
    """The database has no revision, but tables that no revision created."""
    shown = ", ".join(tables[:_SHOWN])
    more = f" and {len(tables) - _SHOWN} more" if len(tables) > _SHOWN else ""
    return UnexpectedState(
        f"{place} contains tables in schema {schema!r} that no revision created ({shown}{more})",
        "Name an empty database with --url, or move them to another schema; 'dbschema baseline' adopts them if they are equal "
        "to the models; nothing was changed",
    )


def nothing_to_adopt(place: str) -> UnexpectedState:
    """A baseline needs tables, and the database has none."""
    return UnexpectedState(
        f"{place} holds no table that could be adopted", "Run 'dbschema upgrade', which creates them"
    )


def not_at_head(place: str, current: str, head: str) -> UnexpectedState:
    """A baseline needs a database without a revision, or at the newest revision."""
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
    """The revisions grant access to another schema than the default schema of the role."""
    return MissingPrivilege(
        f"New tables of the role {user!r} on {place} would be created in schema {schema!r}, but the revisions grant access to 'public'",
        f"Remove {schema!r} from the search_path: {statement}; nothing was changed",
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
            f"Another run changes {place} and did not finish within {waited:.0f} s: {holder}",
            "Wait until it has finished, or end it (pg_terminate_backend), and repeat",
        )


class RevisionFailed(MigrationError):
    """A statement of a revision failed.

    Changed: revisions before it stay; nothing of this one is kept.
    Fix: correct the revision or the data that the message names; then run the command again.

    Args:
        place: the database.
        direction: 'upgrade' or 'downgrade'.
        revision, doc: the id and the title of the revision.
        done: the ids of the revisions that the same run committed before.
        reason: the message of the server, or of another error.
        remedy: the next step for the reader.
        sqlstate: the SQLSTATE of PostgreSQL; None for an error without one.
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
        place, direction, revision, doc, done, sqlstate: see `RevisionFailed`.
        blockers: the sessions that were seen to hold the locks; may be empty.
        retries: the number of retries.
        waited: seconds from the first attempt to the last.
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
            reason=f"it did not get a lock in {waited:.1f} s and {retries} retries; held by {holders}",
            remedy="Wait until these sessions have finished, or end them (pg_terminate_backend), and repeat",
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
            f"The run on {place} lost its migration lock",
            f"Repeat the command; {', '.join(done) or 'no revision'} of this run was applied",
        )


class PooledConnection(MigrationError):
    """A pooler in transaction mode or RDS Proxy is in the path, so that a session cannot hold a lock.

    Changed: nothing.
    Fix: connect to the server itself (the writer endpoint), or through a pool in session mode.
    """

    code = "pooled-connection"


def pooled_connection(place: str) -> PooledConnection:
    """A pooler in transaction mode assigns each transaction to another session."""
    return PooledConnection(
        f"{place} is reached through a pooler in transaction mode, where a run cannot hold a lock",
        "Name the server itself (the writer endpoint), or a pool in session mode; nothing was changed",
    )


def behind_proxy(place: str) -> PooledConnection:
    """RDS Proxy assigns each transaction to another session, unless it pins one."""
    return PooledConnection(
        f"{place} is reached through RDS Proxy, where a run cannot hold a lock",
        "Name the writer endpoint of the cluster (DB_SECRET_ARN with DB_HOST, or --url); nothing was changed",
    )


def needs_connection(place: str, revision: str, why: str) -> DataApiUnsupported:
    """The RDS Data API cannot execute a revision."""
    return DataApiUnsupported(
        f"Revision {revision} cannot be applied to {place}, because it {why}",
        "Run 'dbschema upgrade' where the cluster's port can be reached, with DB_SECRET_ARN and DB_HOST; nothing was changed",
    )


class InvalidIndex(MigrationError):
    """The build of an index did not finish: no query uses the index, and every write maintains it.

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
            f"Unless another session is building it now, run: {drop}; then repeat"
            if revision is None
            else f"Find the reason why its build stopped, run: {drop}; then repeat. The revision is not recorded as applied",
        )


def out_of_time(place: str, done: Sequence[str], left: Sequence[str]) -> MigrationIncomplete:
    """The deadline of a run of Alembic passed."""
    return MigrationIncomplete(
        f"The time of the run on {place} is over: {', '.join(done) or 'no revision'} done, {', '.join(left)} left",
        "Repeat the command; it continues from there",
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
            f"{place} was upgraded, but differs from the models: {shown}{more}",
            "See all with 'dbschema check'; write the missing revision with 'alembic revision --autogenerate', or skip the comparison "
            "with -x compare=no",
        )


def bad_argument(name: str, value: str, expected: str) -> BadSetting:
    """An argument of Alembic's -x has an invalid value."""
    return BadSetting(name, f"is {value!r}", f"Give {expected}; nothing was changed", subject=f"-x {name}")


def bad_timeout(name: str, value: str) -> BadSetting:
    """A timeout is not a number of seconds in the range of PostgreSQL."""
    return BadSetting(
        name,
        f"is {value!r}, which is no number of seconds from 0 to 2147483",
        "Give a number such as 0.05 or 30",
    )
