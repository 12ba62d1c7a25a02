"""What a server, or the way to it, can refuse, each as an error of its own with its facts as fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from dbschema.errors import BadAddress, ConnectError

if TYPE_CHECKING:
    from dbschema.connect.data_api import DataApi
    from dbschema.connect.settings import Settings


class NoAddress(ConnectError):
    """No address of a database is set, and there is no private server to fall back to."""

    def __init__(
        self,
        what: str = "No database is named",
        next_step: str = "Give its address with --url, or set DATABASE_URL or DB_SECRET_ARN",
    ) -> None:
        super().__init__(what, next_step)


class NoAddressInLambda(NoAddress):
    """No address is set inside AWS Lambda, where a private server would be an empty database that nobody sees."""

    def __init__(self, function: str) -> None:
        self.function = function
        super().__init__(
            f"The Lambda function {function!r} is not told which database it serves",
            "Set DB_SECRET_ARN, RDS_SECRET_ARN, DB_SSM_PREFIX or DATABASE_URL in its environment",
        )


class BadSetting(BadAddress):
    """A variable of the environment holds what cannot be meant."""

    def __init__(self, name: str, why: str, next_step: str = "Correct it, or unset it") -> None:
        self.name = name
        super().__init__(f"{name} {why}", next_step)


class MissingSetting(BadAddress):
    """A part of the address is given neither by a variable nor by the secret."""

    def __init__(self, source: str, part: str, *, holder: str, variable: str | None) -> None:
        self.source, self.part, self.holder, self.variable = source, part, holder, variable
        step = f"Set {variable}, or add it there" if variable else "Add it there"
        super().__init__(f"{holder}, which {source} names, holds no {part}", step)


class DataApiUnsupported(ConnectError):
    """The only address that is set is one of the RDS Data API, which has no sessions."""

    def __init__(self, cluster: str, what: str = "what was asked for") -> None:
        self.cluster, self.what = cluster, what
        super().__init__(
            f"AURORA_CLUSTER_ARN names {cluster}, and {what} is not possible through the RDS Data API: only upgrade and status are",
            "Set DB_SECRET_ARN and DB_HOST, and run where the cluster's port can be reached",
        )


class AwsExtraMissing(ConnectError):
    """The settings need AWS, and boto3 is not installed."""

    def __init__(self, source: str) -> None:
        self.source = source
        super().__init__(f"{source} needs boto3, which is not installed", "Run: pip install 'dbschema[aws]'")


class FailoverExtraMissing(ConnectError):
    """The settings ask for failover, and the library that knows the instances of a cluster is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "DB_FAILOVER_SECONDS needs the AWS Advanced Python Wrapper, which is not installed",
            "Run: pip install 'dbschema[failover]'",
        )


class AwsRefused(ConnectError):
    """AWS does not give what a setting names, or cannot be asked.

    Args:
        source: the variable that names it.
        thing: what was asked for, such as "the secret 'arn:…'".
        reason: what AWS or its client said, on one line; never a value.
        code: AWS's code, such as "AccessDeniedException"; None where AWS was not reached.
        next_step: what to do about it.
    """

    def __init__(self, source: str, thing: str, reason: str, *, code: str | None, next_step: str) -> None:
        self.source, self.thing, self.reason, self.code = source, thing, reason, code
        super().__init__(f"AWS gives no access to {thing}, which {source} asks for: {reason}", next_step)


class BadSecret(ConnectError):
    """A secret was read, and is none of a database. What it holds is never shown."""

    def __init__(self, source: str, secret: str, why: str) -> None:
        self.source, self.secret = source, secret
        super().__init__(
            f"The secret {secret}, which {source} names, {why}",
            'Give it the form {"username": …, "password": …} of Secrets Manager',
        )


class Refusal(ConnectError):
    """Root of everything that a server, or the way to it, refuses.

    Args:
        settings: the database.
        reason: what libpq or the server said, on one line.
        sqlstate: PostgreSQL's code; None where the server was not reached or said it in words only.
        hint: the server's own next step, which goes before ours.
    """

    words: ClassVar[str] = "{place} refuses: {reason}"
    step: ClassVar[str] = "Remove the cause and repeat"

    def __init__(
        self,
        settings: Settings | DataApi,
        reason: str,
        *,
        sqlstate: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.place, self.server, self.database = settings.place, settings.server, settings.database
        self.user, self.source = settings.user, settings.source
        self.reason, self.sqlstate, self.hint = reason, sqlstate, hint
        facts = {
            "place": self.place,
            "server": self.server,
            "database": self.database,
            "user": "the present user" if self.user is None else repr(self.user),
            "source": self.source,
            "reason": reason,
        }
        super().__init__(self.words.format_map(facts), (hint or self.step.format_map(facts)).rstrip("."))


class UnknownHost(Refusal):
    """The name of the host means nothing here."""

    words = "The host of {place} cannot be found: {reason}"
    step = "Check the host in {source}, and whether this machine can resolve names"


class NothingListens(Refusal):
    """There is no server at the host and port, or socket."""

    words = "Nothing answers for {place}: {reason}"
    step = "Check host and port in {source}, and that the server runs and listens there"


class TimedOut(Refusal):
    """No answer came in time."""

    words = "{place} did not answer in time: {reason}"
    step = "Check the host in {source} and the firewalls on the way; DB_WAKE_SECONDS=60 waits for a database that sleeps"


class NotPostgres(Refusal):
    """Something else than PostgreSQL answers at the host and port."""

    words = "What answers at {server} is no PostgreSQL: {reason}"
    step = "Check host and port in {source}"


class NoTls(Refusal):
    """TLS is demanded by us, and the server has none."""

    words = "{server} offers no TLS, and the address demands it"
    step = "Switch TLS on in the server, or take sslmode=prefer (in the address, or as PGSSLMODE) where the way to it is safe"


class TlsDemanded(Refusal):
    """TLS is demanded by the server, and the connection had none."""

    words = "{server} demands TLS: {reason}"
    step = "Add sslmode=verify-full (or require) to the address from {source}"


class CertificateRefused(Refusal):
    """The two sides do not trust each other's certificates."""

    words = "TLS with {server} fails: {reason}"
    step = "Name the certificates of its authority with DB_SSL_ROOT_CERT (or sslrootcert in the address), or check the host's name in {source}"


class WrongPassword(Refusal):
    """User name or password is wrong, or there is no password."""

    words = "{server} refuses the password of {user} for database {database}: {reason}"
    step = "Correct user name and password in {source}"


class UnknownRole(Refusal):
    """The user does not exist, or may not log in."""

    words = "{server} does not let {user} in: {reason}"
    step = "Correct the user name in {source}, or have an administrator create the role with LOGIN"


class NotAdmitted(Refusal):
    """The server's rules of admission have no place for us."""

    words = "{server} does not admit {user} to database {database} from here: {reason}"
    step = "Have an administrator add a line to pg_hba.conf, or connect from a place that is admitted"


class UnknownDatabase(Refusal):
    """The server has no database of that name."""

    words = "There is no database {database!r} at {server}"
    step = "Correct its name in {source}, or create it with CREATE DATABASE"


class TooManyConnections(Refusal):
    """The server, the database or the role has no connection left."""

    words = "{place} has no connection left: {reason}"
    step = "Wait, close other clients, or raise max_connections or the limit of the role"


class NotReady(Refusal):
    """The server starts, stops or recovers."""

    words = "{server} is not ready: {reason}"
    step = "Wait a moment and repeat"


class ConnectionLost(Refusal):
    """The connection broke while it was used."""

    words = "The connection to {place} broke: {reason}"
    step = "See in the server's log why; what was not committed is undone, so repeat the command"


class ReadOnly(Refusal):
    """The database accepts no changes: a standby, or a read-only setting."""

    words = "{place} accepts no changes: {reason}"
    step = "Connect to the primary server (the writer endpoint), or lift default_transaction_read_only"


class NoWriter(Refusal):
    """No instance of the cluster accepts changes, and none came to do so in time."""

    words = "No instance of the cluster of {place} accepts changes: {reason}"
    step = "See in the console whether the cluster has a writer, and repeat; DB_FAILOVER_SECONDS tells how long to wait for one"


class LockNotFree(Refusal):
    """A lock could not be had in time."""

    words = "Others use {place}, and a lock was not free in time: {reason}"
    step = "End long transactions (pg_stat_activity shows them) and repeat"


class Cancelled(Refusal):
    """A statement was cancelled, by its time limit or by an administrator."""

    words = "A statement on {place} was cancelled: {reason}"
    step = "Raise statement_timeout for this role, or repeat when the server is less busy"


class NoRoom(Refusal):
    """The server has no disk, memory or lock table left."""

    words = "{place} has run out of room: {reason}"
    step = "Free disk or memory of the server, or raise the setting that it names, and repeat"


class NotPrivileged(Refusal):
    """The role lacks a privilege. The server's hint, where it gives one, is the next step."""

    words = "{user} lacks a privilege on {place}: {reason}"
    step = "Have an administrator grant it, or connect as a role that has it"


class ExtensionUnavailable(Refusal):
    """An extension is not installed on the server's machine."""

    words = "{place} cannot have the extension: {reason}"
    step = "Install it on the server's machine (Debian and Ubuntu: postgresql-VERSION-postgis-3), or choose a service that offers it"


class Incomplete(Refusal):
    """A table, column or function is not there."""

    words = "{place} lacks something that is needed: {reason}"
    step = "Bring it to the head with 'dbschema upgrade'; 'dbschema check' shows what else differs"


class ServerTooOld(ConnectError):
    """The server is older than the schema allows."""

    def __init__(self, settings: Settings, version: str, oldest: int) -> None:
        self.place, self.version, self.oldest = settings.place, version, oldest
        super().__init__(
            f"{settings.server} is PostgreSQL {version}, and the schema needs {oldest} or newer",
            f"Upgrade that server, or name another one in place of {settings.source}",
        )
