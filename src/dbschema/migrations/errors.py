"""What stops an upgrade or a downgrade, each as an error of its own with its facts as fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.errors import MigrationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dbschema.migrations.blockers import Blocker


class BrokenScripts(MigrationError):
    """The revision scripts do not form one line of history, or one of them cannot be loaded."""

    def __init__(self, location: Path, reason: str) -> None:
        self.location, self.reason = location, reason
        super().__init__(
            f"The revision scripts in {location} cannot be used: {reason}",
            "Correct them, or name others with DBSCHEMA_SCRIPT_LOCATION; those of dbschema itself come anew with the package",
        )


class AmbiguousRevision(MigrationError):
    """The beginning of a revision's id fits several."""

    def __init__(self, revision: str, matches: Sequence[str]) -> None:
        self.revision, self.matches = revision, tuple(matches)
        super().__init__(
            f"{revision!r} is the beginning of several revisions: {', '.join(matches)}",
            "Name one of them in full",
        )


class OutOfRange(MigrationError):
    """A relative revision counts beyond the first or the last one."""

    def __init__(self, revision: str, start: str, possible: int) -> None:
        self.revision, self.start, self.possible = revision, start, possible
        super().__init__(
            f"{revision!r} counts too far: from {start} there are {possible} steps in that direction",
            "Count less, or name 'head' or 'base'",
        )


class WrongDirection(MigrationError):
    """An upgrade is asked to go down, or a downgrade to go up."""

    def __init__(self, command: str, revision: str, current: str | None) -> None:
        self.command, self.revision, self.current = command, revision, current
        other = "downgrade" if command == "upgrade" else "upgrade"
        at = "" if current is None else f" from {current}"
        super().__init__(f"{revision!r} is no target for {command}{at}", f"Use 'dbschema {other} {revision}'")


class NeedsDatabase(MigrationError):
    """SQL for a database that is not asked cannot start at its present revision."""

    def __init__(self, revision: str) -> None:
        self.revision = revision
        super().__init__(
            f"{revision!r} counts from the revision of a database, and none is asked for SQL",
            "Name both ends, such as base:head",
        )


class DatabaseNewer(MigrationError):
    """The database stands at a revision that the scripts do not hold."""

    def __init__(self, place: str, unknown: Sequence[str]) -> None:
        self.place, self.unknown = place, tuple(unknown)
        super().__init__(
            f"{place} stands at revision {', '.join(unknown)}, which this version of dbschema does not know",
            "Install the version that made it; where an application has revisions of its own, name its alembic.ini with "
            "DBSCHEMA_SCRIPT_LOCATION; "
            "where nothing must be kept, 'dbschema reset --yes' makes the private database anew. Nothing was changed",
        )


class SeveralRevisions(MigrationError):
    """The version table holds more than one revision: it has several lines of history, or was changed by hand."""

    def __init__(self, place: str, current: Sequence[str]) -> None:
        self.place, self.current = place, tuple(current)
        super().__init__(
            f"{place} stands at several revisions at once ({', '.join(sorted(current))})",
            "Where an application has revisions of its own, name its alembic.ini with DBSCHEMA_SCRIPT_LOCATION; otherwise "
            "correct the table alembic_version. Nothing was changed",
        )


class ForeignTables(MigrationError):
    """The database has no revision, but tables that none of our revisions made."""

    SHOWN = 5

    def __init__(self, place: str, schema: str, tables: Sequence[str]) -> None:
        self.place, self.schema, self.tables = place, schema, tuple(tables)
        shown = ", ".join(tables[: self.SHOWN])
        more = f" and {len(tables) - self.SHOWN} more" if len(tables) > self.SHOWN else ""
        super().__init__(
            f"{place} holds tables in schema {schema!r} that no revision made ({shown}{more})",
            "Name an empty database with --url, or move them to another schema; 'dbschema baseline' adopts them where they are "
            "what the models declare; nothing was changed",
        )


class NothingToAdopt(MigrationError):
    """A database shall be recorded as upgraded that holds no table."""

    def __init__(self, place: str) -> None:
        self.place = place
        super().__init__(
            f"{place} holds no table that could be adopted", "Run 'dbschema upgrade', which makes them"
        )


class NotAtHead(MigrationError):
    """A database shall be recorded as upgraded that has a revision, and not the newest one."""

    def __init__(self, place: str, current: str, head: str) -> None:
        self.place, self.current, self.head = place, current, head
        super().__init__(
            f"{place} has a revision already, {current}, and the newest one is {head}",
            "Run 'dbschema upgrade'; nothing was changed",
        )


class MayNotCreate(MigrationError):
    """The role may not create what the revisions create."""

    def __init__(self, place: str, user: str, schema: str | None, statement: str) -> None:
        self.place, self.user, self.schema, self.statement = place, user, schema, statement
        what = (
            "has no schema to create tables in" if schema is None else f"may not create in schema {schema!r}"
        )
        super().__init__(
            f"The role {user!r} {what} on {place}",
            f"Have an administrator run: {statement}; nothing was changed",
        )


class WrongSchema(MigrationError):
    """New tables would not come to stand where the revisions grant access."""

    def __init__(self, place: str, user: str, schema: str, statement: str) -> None:
        self.place, self.user, self.schema, self.statement = place, user, schema, statement
        super().__init__(
            f"New tables of the role {user!r} on {place} would stand in schema {schema!r}, and the revisions speak of 'public'",
            f"Take {schema!r} off the search_path, with: {statement}; nothing was changed",
        )


class NotWritable(MigrationError):
    """The server accepts no changes."""

    def __init__(self, place: str, *, recovery: bool) -> None:
        self.place, self.recovery = place, recovery
        why = (
            "is a standby in recovery" if recovery else "is set to read-only (default_transaction_read_only)"
        )
        super().__init__(
            f"{place} {why} and accepts no changes",
            "Name the primary server (the writer endpoint)" if recovery else "Lift the setting for this role",
        )


class RunnerBusy(MigrationError):
    """Another run changes the same database, and did not come to an end in time."""

    def __init__(self, place: str, holder: str, waited: float) -> None:
        self.place, self.holder, self.waited = place, holder, waited
        super().__init__(
            f"Another run changes {place} since more than {waited:.0f} s: {holder}",
            "Wait until it has finished, or end it (pg_terminate_backend), and repeat",
        )


class RevisionFailed(MigrationError):
    """A revision failed; nothing of it was kept, and those before it were.

    Args:
        place: the database.
        direction: 'upgrade' or 'downgrade'.
        revision, doc: which one, and its title.
        done: the revisions of the same run that were finished before.
        reason: what the server said.
        remedy: what can be done about it.
        sqlstate: PostgreSQL's code, where the server gave one.
    """

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
    """A revision met the locks of others until its time was over; nothing of it was kept.

    Args:
        place, direction, revision, doc, done, sqlstate: as for `RevisionFailed`.
        blockers: who was seen to hold what it needs; none where nobody was seen.
        retries: how often it was tried again.
        waited: seconds from the first try to the last.
    """

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
    """The lock of a run is no longer held: another run may begin, so this one stops between two steps."""

    def __init__(self, place: str, done: Sequence[str]) -> None:
        self.place, self.done = place, tuple(done)
        super().__init__(
            f"The connection that holds the lock of this run on {place} has lost it",
            f"Repeat the command; {', '.join(done) or 'no revision'} of this run was applied",
        )


class PooledConnection(MigrationError):
    """Between us and the server is a pooler that gives each transaction another session."""

    def __init__(self, place: str) -> None:
        self.place = place
        super().__init__(
            f"{place} is reached through a pooler in transaction mode, where a run cannot hold a lock",
            "Name the server itself (the writer endpoint), or a pool in session mode; nothing was changed",
        )


class BehindProxy(MigrationError):
    """Between us and the server is RDS Proxy, which gives each transaction another session until it has to keep one."""

    def __init__(self, place: str) -> None:
        self.place = place
        super().__init__(
            f"{place} is reached through RDS Proxy, where a run cannot hold a lock",
            "Name the writer endpoint of the cluster (DB_SECRET_ARN with DB_HOST, or --url); nothing was changed",
        )


class NeedsConnection(MigrationError):
    """A revision cannot go through the RDS Data API."""

    def __init__(self, place: str, revision: str, why: str) -> None:
        self.place, self.revision, self.why = place, revision, why
        super().__init__(
            f"Revision {revision} cannot be applied to {place}, because it {why}",
            "Run 'dbschema upgrade' where the cluster's port can be reached, with DB_SECRET_ARN and DB_HOST; nothing was changed",
        )


class InvalidIndex(MigrationError):
    """An index is there that was never built to its end: nothing uses it, every write pays for it."""

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


class OutOfTime(MigrationError):
    """The time of a run was over before its last step; what is done stays."""

    def __init__(self, place: str, done: Sequence[str], left: Sequence[str]) -> None:
        self.place, self.done, self.left = place, tuple(done), tuple(left)
        super().__init__(
            f"The time of the run on {place} is over: {', '.join(done) or 'no revision'} done, {', '.join(left)} left",
            "Repeat the command; it goes on from there",
        )


class DiffersFromModels(MigrationError):
    """After an upgrade, which stays, the database is not what the models say."""

    SHOWN = 5

    def __init__(self, place: str, differences: Sequence[str]) -> None:
        self.place, self.differences = place, tuple(differences)
        shown = "; ".join(differences[: self.SHOWN])
        more = f"; and {len(differences) - self.SHOWN} more" if len(differences) > self.SHOWN else ""
        super().__init__(
            f"{place} was upgraded, and differs from the models: {shown}{more}",
            "See all with 'dbschema check'; write what is missing with 'alembic revision --autogenerate', or leave the comparison "
            "out with -x compare=no",
        )


class BadArgument(MigrationError):
    """An argument of Alembic's -x has a value that means nothing."""

    def __init__(self, name: str, value: str, wanted: str) -> None:
        self.name, self.value = name, value
        super().__init__(f"-x {name} is {value!r}", f"Give {wanted}; nothing was changed")


class BadTimeout(MigrationError):
    """A limit of time is no number of seconds that PostgreSQL could keep."""

    def __init__(self, name: str, value: str) -> None:
        self.name, self.value = name, value
        super().__init__(
            f"{name} is {value!r}, which is no number of seconds from 0 to 2147483",
            "Give a number such as 0.05 or 30",
        )
