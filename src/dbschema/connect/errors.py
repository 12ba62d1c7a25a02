"""Errors of a connection: of the address, of AWS, of the server and of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from dbschema.errors import BadAddress, ConnectError

if TYPE_CHECKING:
    from dbschema.connect.settings import Endpoint, Settings


class NoAddress(ConnectError):
    """No address of a database is set, and the private server is not available instead.

    Changed: nothing.
    Fix: pass `--url`, or set `DATABASE_URL` or `DB_SECRET_ARN`.
    """

    code = "no-address"

    def __init__(
        self,
        what: str = "No database is named",
        next_step: str = "Pass its address with --url, or set DATABASE_URL or DB_SECRET_ARN",
    ) -> None:
        super().__init__(what, next_step)


def no_address_in_lambda(function: str) -> NoAddress:
    """Return the error for AWS Lambda, where a private server would be an empty database that nobody can reach."""
    return NoAddress(
        f"The Lambda function {function!r} has no address of a database",
        "Set DB_SECRET_ARN, RDS_SECRET_ARN, DB_SSM_PREFIX or DATABASE_URL in its environment",
    )


def missing_part(source: str, part: str, *, holder: str, variable: str | None) -> BadAddress:
    """Return the error for a part of the address that neither a variable nor its holder contains."""
    step = f"Set {variable}, or add it there" if variable else "Add it there"
    return BadAddress(f"{holder}, which {source} names, contains no {part}", step)


def bad_secret(source: str, secret: str, why: str) -> BadAddress:
    """Return the error for a secret that does not describe a PostgreSQL database. It never shows the content."""
    return BadAddress(
        f"The secret {secret}, which {source} names, {why}",
        'Give it the form {"username": …, "password": …} of Secrets Manager',
    )


class DataApiUnsupported(ConnectError):
    """The RDS Data API cannot do this: it has no sessions, and a limit for the length of a statement.

    Changed: nothing by this step; revisions before it stay.
    Fix: set `DB_SECRET_ARN` and `DB_HOST`, and run where the port of the cluster can be reached.
    """

    code = "data-api-unsupported"


def data_api_unsupported(cluster: str, what: str = "this operation") -> DataApiUnsupported:
    """Return the error for an operation that the RDS Data API, the only configured address, does not support."""
    return DataApiUnsupported(
        f"AURORA_CLUSTER_ARN names {cluster}, and {what} is not possible through the RDS Data API: only upgrade and status are",
        "Set DB_SECRET_ARN and DB_HOST, and run where the cluster's port can be reached",
    )


class AwsDenied(ConnectError):
    """AWS denies access to a secret, a parameter or the Data API, or cannot be reached.

    Changed: nothing.
    Fix: grant the right that the message names, or correct the ARN; in an isolated subnet, add an interface endpoint.

    Args:
        source: the variable that names the resource.
        thing: the resource, such as "the secret 'arn:…'".
        reason: the message of AWS or of its client, on one line; never a value.
        aws_code: the error code of AWS, such as "AccessDeniedException"; None if AWS was not reached.
        next_step: what the reader can do; no full stop at its end.
    """

    code = "aws-denied"

    def __init__(self, source: str, thing: str, reason: str, *, aws_code: str | None, next_step: str) -> None:
        self.source, self.thing, self.reason, self.aws_code = source, thing, reason, aws_code
        super().__init__(f"AWS gives no access to {thing}, which {source} names: {reason}", next_step)


class Unanswered(ConnectError):
    """The response to a call of the RDS Data API was lost.

    Changed: unknown; the transaction may be committed.
    Fix: repeat the command; it first checks what was done.
    """

    code = "unanswered"

    def __init__(self, place: str, reason: str) -> None:
        self.place, self.reason = place, reason
        super().__init__(
            f"{place} gave no answer: {reason}",
            "Repeat the command: it first checks what was done, and an open transaction is rolled back",
        )


class Rejection(ConnectError):
    """The server or the network rejects a connection or a statement; the subclasses name the common causes.

    Changed: nothing by the statement that failed; a transaction around it is rolled back.
    Fix: remove the cause that the server names, and repeat.

    Args:
        settings: the database.
        reason: the message of libpq or the server, on one line.
        sqlstate: the SQLSTATE; None if the server was not reached or sent a text only.
        hint: the hint of the server, which replaces the next step of this package.
        words, step: the templates of the two sentences, with field names in braces; None: those of the class.
    """

    code = "rejected"
    words: ClassVar[str] = "{place} reports an error: {reason}"
    step: ClassVar[str] = "Remove the cause and repeat"

    def __init__(
        self,
        settings: Endpoint,
        reason: str,
        *,
        sqlstate: str | None = None,
        hint: str | None = None,
        words: str | None = None,
        step: str | None = None,
    ) -> None:
        self.place, self.server, self.database = settings.place, settings.server, settings.database
        self.user, self.source = settings.user, settings.source
        self.reason, self.sqlstate, self.hint = reason, sqlstate, hint
        facts = {
            "place": self.place,
            "server": self.server,
            "database": self.database,
            "user": "the current user" if self.user is None else repr(self.user),
            "source": self.source,
            "reason": reason,
        }
        self.is_recognised = words is not None or type(self) is not Rejection
        what, next_step = words or self.words, step or self.step
        super().__init__(what.format_map(facts), (hint or next_step.format_map(facts)).rstrip("."))


class WrongHost(Rejection):
    """The host of the address cannot be resolved, or is not a PostgreSQL server.

    Changed: nothing.
    Fix: correct host and port in the variable that the message names; check name resolution on this machine.
    """

    code = "wrong-host"


class Unreachable(Rejection):
    """No server listens at host and port, or none answers in time.

    Changed: nothing.
    Fix: check host, port, firewalls and security groups; `DB_WAKE_SECONDS=60` waits for a paused database.
    """

    code = "unreachable"


class NotReady(Rejection):
    """The server starts, stops or recovers, or its paused cluster resumes.

    Changed: nothing.
    Fix: wait a moment and repeat.
    """

    code = "not-ready"
    words = "{server} is not ready: {reason}"
    step = "Wait a moment and repeat"


class TlsFailed(Rejection):
    """Client and server do not agree on TLS: one side requires it, or a certificate is not trusted.

    Changed: nothing.
    Fix: set `DB_SSL_ROOT_CERT` or `sslmode` as the message says.
    """

    code = "tls-failed"


class WrongPassword(Rejection):
    """The server rejects user name or password, or no password is set.

    Changed: nothing.
    Fix: correct user name and password in the variable or the secret that the message names.
    """

    code = "wrong-password"
    words = "{server} rejects the password of {user} for database {database}: {reason}"
    step = "Correct user name and password in {source}"


class NotAdmitted(Rejection):
    """The role does not exist or may not log in, or `pg_hba.conf` has no entry for this connection.

    Changed: nothing.
    Fix: correct the user name, or have an administrator create the role with LOGIN or add a line to `pg_hba.conf`.
    """

    code = "not-admitted"


class UnknownDatabase(Rejection):
    """The server has no database with this name.

    Changed: nothing.
    Fix: correct the name, or create the database with CREATE DATABASE.
    """

    code = "unknown-database"
    words = "There is no database {database!r} at {server}"
    step = "Correct its name in {source}, or create it with CREATE DATABASE"


class TooManyConnections(Rejection):
    """The server, the database or the role has no connection left.

    Changed: nothing.
    Fix: wait, close other clients, or raise `max_connections` or the limit of the role.
    """

    code = "too-many-connections"
    words = "{place} has no connection left: {reason}"
    step = "Wait, close other clients, or raise max_connections or the limit of the role"


class ConnectionLost(Rejection):
    """The connection broke during its use, for example in a failover.

    Changed: nothing that was not committed; committed revisions stay.
    Fix: repeat the command; the log of the server shows the cause.
    """

    code = "connection-lost"
    words = "The connection to {place} broke: {reason}"
    step = "Find the cause in the server's log, and repeat the command; uncommitted changes are undone"


class ReadOnly(Rejection):
    """The server rejected a change: it is a standby, or the session is read-only.

    Changed: nothing.
    Fix: connect to the primary server (the writer endpoint), or lift `default_transaction_read_only`.
    """

    code = "read-only"
    words = "{place} accepts no changes: {reason}"
    step = "Connect to the primary server (the writer endpoint), or lift default_transaction_read_only"


class NoWriter(Rejection):
    """No instance of the cluster accepted changes before the deadline.

    Changed: nothing.
    Fix: check in the console that the cluster has a writer; raise `DB_FAILOVER_SECONDS` to wait longer.
    """

    code = "no-writer"
    words = "No instance of the cluster of {place} accepts changes: {reason}"
    step = "Check in the console that the cluster has a writer, and repeat; DB_FAILOVER_SECONDS sets how long to wait for it"


class LockNotFree(Rejection):
    """A lock was not granted in time, or a deadlock was resolved against this session.

    Changed: nothing by the statement that failed.
    Fix: end long transactions (`pg_stat_activity` shows them) and repeat.
    """

    code = "lock-not-free"
    words = "Other sessions use {place}, and a lock was not free in time: {reason}"
    step = "End long transactions (pg_stat_activity shows them) and repeat"


class Cancelled(Rejection):
    """A statement was cancelled by its time limit or by an administrator.

    Changed: nothing by the statement that failed.
    Fix: raise `statement_timeout` for the role, or repeat when the server is less busy; split a long statement of the Data API.
    """

    code = "cancelled"
    words = "A statement on {place} was cancelled: {reason}"
    step = "Raise statement_timeout for this role, or repeat when the server is less busy"


class NotPrivileged(Rejection):
    """The server denied a statement, because the role lacks a privilege.

    Changed: nothing by the statement that failed.
    Fix: have an administrator run the statement that the message names, or connect as another role.
    """

    code = "not-privileged"
    words = "{user} lacks a privilege on {place}: {reason}"
    step = "Have an administrator grant it, or connect as a role that has it"


class Incomplete(Rejection):
    """A table, a column or a function that a statement needs is missing.

    Changed: nothing by the statement that failed.
    Fix: run `dbschema upgrade`; `dbschema check` shows other differences.
    """

    code = "incomplete"
    words = "{place} lacks an object that the statement needs: {reason}"
    step = "Run 'dbschema upgrade'; 'dbschema check' shows other differences"


class ServerTooOld(ConnectError):
    """The server has an older major version than the schema supports.

    Changed: nothing.
    Fix: upgrade the server, or connect to another one.
    """

    code = "server-too-old"

    def __init__(self, settings: Settings, version: str, oldest: int) -> None:
        self.place, self.version, self.oldest = settings.place, version, oldest
        super().__init__(
            f"{settings.server} is PostgreSQL {version}, and the schema needs {oldest} or newer",
            f"Upgrade that server, or set {settings.source} to another one",
        )
