"""Define the errors that several packages share: the root, the families and common situations.

A message names the thing, the place and the next step, on one line. No error contains a password: `dbschema.connect`
removes it from addresses. An error has a class of its own if callers catch it, read its fields, or look it up in
docs/errors.md; all other errors are instances of their family.

Tree (written by scripts/error_docs.py):

    DbSchemaError                   dbschema.errors
        BadSetting                  dbschema.errors
        CallRejected                dbschema.errors
        CatalogError                dbschema.errors
        ConnectError                dbschema.errors
            AwsDenied               dbschema.connect.errors
            BadAddress              dbschema.errors
            DataApiUnsupported      dbschema.connect.errors
            NoAddress               dbschema.connect.errors
            Rejection               dbschema.connect.errors
                Cancelled           dbschema.connect.errors
                ConnectionLost      dbschema.connect.errors
                Incomplete          dbschema.connect.errors
                LockNotFree         dbschema.connect.errors
                NoWriter            dbschema.connect.errors
                NotAdmitted         dbschema.connect.errors
                NotPrivileged       dbschema.connect.errors
                NotReady            dbschema.connect.errors
                ReadOnly            dbschema.connect.errors
                TlsFailed           dbschema.connect.errors
                TooManyConnections  dbschema.connect.errors
                UnknownDatabase     dbschema.connect.errors
                Unreachable         dbschema.connect.errors
                WrongHost           dbschema.connect.errors
                WrongPassword       dbschema.connect.errors
            ServerTooOld            dbschema.connect.errors
            Unanswered              dbschema.connect.errors
        DeclarationError            dbschema.errors
            BadRelationship         dbschema.errors
        DeployError                 dbschema.tools.deploy.errors
            BadEvent                dbschema.tools.deploy.errors
            NotDelivered            dbschema.tools.deploy.errors
            StepTooLong             dbschema.tools.deploy.errors
        ExtraMissing                dbschema.errors
        LoadError                   dbschema.errors
            BadRows                 dbschema.loading.errors
            WrongCall               dbschema.loading.errors
        MigrationError              dbschema.errors
            BrokenScripts           dbschema.migrations.errors
            DatabaseNewer           dbschema.migrations.errors
            DiffersFromModels       dbschema.migrations.errors
            InvalidIndex            dbschema.migrations.errors
            LockLost                dbschema.migrations.errors
            MigrationIncomplete     dbschema.errors
            PooledConnection        dbschema.migrations.errors
            RevisionFailed          dbschema.migrations.errors
                LockNotGiven        dbschema.migrations.errors
            RunnerBusy              dbschema.migrations.errors
            UnexpectedState         dbschema.migrations.errors
            UnknownRevision         dbschema.errors
            WrongTarget             dbschema.migrations.errors
        MissingPrivilege            dbschema.errors
        NoSuchTenant                dbschema.errors
        NoTransaction               dbschema.errors
        NotMigrated                 dbschema.errors
        NotWritable                 dbschema.errors
        QueryError                  dbschema.queries.errors
            BadCursor               dbschema.queries.errors
            BadSearch               dbschema.queries.errors
        SeedError                   dbschema.errors
        ServerError                 dbschema.errors
            BadHome                 dbschema.tools.server.errors
            NoConnection            dbschema.tools.server.errors
            NotOurs                 dbschema.tools.server.errors
            NotRunning              dbschema.tools.server.errors
            OtherMajor              dbschema.tools.server.errors
            PostgresMissing         dbschema.tools.server.errors
            ServerBusy              dbschema.tools.server.errors
            StartFailed             dbschema.tools.server.errors
        SessionError                dbschema.errors
            BadIdentity             dbschema.sessions.errors
            ForeignTenant           dbschema.sessions.errors
            RoleNotTaken            dbschema.sessions.errors
            TransactionControl      dbschema.sessions.errors
        TenantExists                dbschema.errors
        TenantsError                dbschema.tools.tenants.errors
            BadExport               dbschema.tools.tenants.errors
            OtherSchema             dbschema.tools.tenants.errors
            StillWritten            dbschema.tools.tenants.errors
            UndeclaredTables        dbschema.tools.tenants.errors
        TenantsHidden               dbschema.errors
        TestingError                dbschema.testing.errors
            NoValue                 dbschema.testing.errors

End of the tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID


class DbSchemaError(Exception):
    """Root of the errors that this package raises on purpose.

    Changed: see the class of the error.
    Fix: follow the second sentence of the message.

    Args:
        what: the cause and its place; no full stop at its end.
        next_step: what the reader can do; no full stop at its end.
    """

    code: ClassVar[str] = "dbschema"
    """Stable name of the error for programs and for docs/errors.md: kebab-case, unique, written out in each class."""

    def __init__(self, what: str, next_step: str) -> None:
        super().__init__(what, next_step)
        self.what = what
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.what}. {self.next_step}."


class CallRejected(DbSchemaError):
    """A command was called with arguments that it does not accept, or without a confirmation that it needs.

    Changed: nothing.
    Fix: call it as the message shows.
    """

    code = "call-rejected"


class BadSetting(DbSchemaError):
    """An environment variable or an option has a value that cannot be used.

    Changed: nothing.
    Fix: correct the setting that the message names, or unset it.

    Args:
        name: the variable or the option.
        why: the problem of its value.
        next_step: what the reader can do; no full stop at its end.
        subject: the beginning of the message; None: `name`.
    """

    code = "bad-setting"

    def __init__(
        self, name: str, why: str, next_step: str = "Correct it, or unset it", *, subject: str | None = None
    ) -> None:
        self.name = name
        super().__init__(f"{subject or name} {why}", next_step)


class NotWritable(DbSchemaError):
    """The database accepts no changes: its server is a standby, or a setting makes it read-only.

    Changed: nothing.
    Fix: connect to the primary server (the writer endpoint), or lift `default_transaction_read_only`.

    Args:
        what: the cause and its place; no full stop at its end.
        next_step: what the reader can do; no full stop at its end.
        recovery: whether the server is a standby.
    """

    code = "not-writable"

    def __init__(self, what: str, next_step: str, *, recovery: bool) -> None:
        self.recovery = recovery
        super().__init__(what, next_step)


class DeclarationError(DbSchemaError):
    """A model or a database object is declared in a way that PostgreSQL does not accept or cannot keep.

    Changed: nothing.
    Fix: correct the declaration that the message names.
    """

    code = "declaration"


class BadRelationship(DeclarationError):
    """A relationship of a model names a class or a column that does not fit.

    Changed: nothing.
    Fix: name the class that has the key, and a column of it, in `belongs_to` or `owns`.

    Args:
        relationship: its class and attribute.
        problem: what does not fit; no full stop at its end.
        next_step: what to write instead.
    """

    code = "bad-relationship"

    def __init__(self, relationship: str, problem: str, next_step: str) -> None:
        self.relationship = relationship
        super().__init__(f"The relationship {relationship} cannot be joined: {problem}", next_step)


class ExtraMissing(DbSchemaError):
    """A setting or a command needs a library that is not installed.

    Changed: nothing.
    Fix: install the extra that the message names, such as `pip install 'dbschema[aws]'`.

    Args:
        what: the cause and its place; no full stop at its end.
        extra: the extra of this package that installs the library.
    """

    code = "extra-missing"

    def __init__(self, what: str, extra: str) -> None:
        self.extra = extra
        super().__init__(what, f"Run: pip install 'dbschema[{extra}]'")


class ConnectError(DbSchemaError):
    """The database cannot be reached, or its address cannot be determined.

    Changed: nothing.
    Fix: correct the setting that the message names.
    """

    code = "connect"


class BadAddress(ConnectError):
    """The address of a database, or the secret that holds it, cannot be read or lacks a part.

    Changed: nothing.
    Fix: correct the variable or the secret that the message names; the message never shows a value.
    """

    code = "bad-address"


class ServerError(DbSchemaError):
    """The private server cannot be found, started or stopped.

    Changed: nothing in a database.
    Fix: follow the message; `dbschema status` shows the state of the server.
    """

    code = "server"


class MigrationError(DbSchemaError):
    """An upgrade, a downgrade or a baseline cannot be done.

    Changed: nothing, unless the message says otherwise.
    Fix: follow the message; `dbschema status` shows the revision of the database.
    """

    code = "migration"


class UnknownRevision(MigrationError):
    """The revision scripts do not contain the revision.

    Changed: nothing.
    Fix: correct the id, or install or build the code that has this revision.

    Args:
        revision: the id as the caller wrote it.
        what: the cause and its place; no full stop at its end.
        next_step: what the reader can do; no full stop at its end.
    """

    code = "unknown-revision"

    def __init__(self, revision: str, what: str, next_step: str) -> None:
        self.revision = revision
        super().__init__(what, next_step)


class MigrationIncomplete(MigrationError):
    """The time of a run or of a call of the function ended before its last revision.

    Changed: the revisions that the message names as done.
    Fix: run the command, or call the function, again; it continues.

    Args:
        what: the cause and its place; no full stop at its end.
        next_step: what the reader can do; no full stop at its end.
        done, left: the ids of the revisions.
    """

    code = "migration-incomplete"

    def __init__(self, what: str, next_step: str, *, done: Sequence[str], left: Sequence[str]) -> None:
        self.done, self.left = tuple(done), tuple(left)
        super().__init__(what, next_step)


class CatalogError(DbSchemaError):
    """The catalog of a database cannot be read or compared.

    Changed: nothing.
    Fix: remove the cause that the message names; then compare again.
    """

    code = "catalog"


class SeedError(DbSchemaError):
    """Reference or sample data contradicts the rows of the database.

    Changed: nothing.
    Fix: remove the rows that the message names, or the tenant as a whole; then seed again.
    """

    code = "seed"


class SessionError(DbSchemaError):
    """A session of a tenant or of an operator rejects an argument, an object, a statement or its role.

    Changed: nothing.
    Fix: correct the call as the message says.
    """

    code = "session"


class LoadError(DbSchemaError):
    """Rows cannot be loaded in bulk.

    Changed: nothing; no row was loaded, and the session stays usable.
    Fix: correct the rows, the call or the setting that the message names; then load again.
    """

    code = "load"


class NoTransaction(DbSchemaError):
    """The connection is in autocommit mode, where each statement commits by itself.

    Changed: nothing.
    Fix: pass an engine, a connection or a session without `isolation_level="AUTOCOMMIT"`.
    """

    code = "no-transaction"


class NotMigrated(DbSchemaError):
    """The database lacks a table or a column that the models declare.

    Changed: nothing.
    Fix: run `dbschema upgrade`; then call again.

    Args:
        table: the table.
        what: the missing object; no full stop at its end.
    """

    code = "not-migrated"

    def __init__(self, table: str, what: str) -> None:
        self.table = table
        super().__init__(what, "Run 'dbschema upgrade' first")


class MissingPrivilege(DbSchemaError):
    """The role of the connection lacks a privilege that a read or a write needs.

    Changed: nothing; a removal of a tenant keeps the batches that it has committed.
    Fix: run the GRANT that the message names, or connect as the owner of the tables.

    Args:
        what: what the role cannot do, and on which object; no full stop at its end.
        next_step: the GRANT to run, or the role to connect as; no full stop at its end.
        table: the table; None if the privilege is not one on a single table.
        role: the role, if it is known.
        statement: the SQL that grants the privilege, if it is known.
    """

    code = "missing-privilege"

    def __init__(
        self,
        what: str,
        next_step: str,
        *,
        table: str | None = None,
        role: str | None = None,
        statement: str | None = None,
    ) -> None:
        self.table, self.role, self.statement = table, role, statement
        super().__init__(what, next_step)


class TenantsHidden(DbSchemaError):
    """Row-level security hides the tenants from the role of the connection.

    Changed: nothing.
    Fix: name the tenant by its id, or connect as a role that bypasses row-level security.

    Args:
        role: the role of the connection.
        next_step: what the caller can do; no full stop at its end.
        consequence: the resulting limitation, as the end of the sentence.
    """

    code = "tenants-hidden"

    def __init__(self, role: str, next_step: str, *, consequence: str = "") -> None:
        self.role = role
        super().__init__(f"Row-level security hides the tenants from role {role!r}{consequence}", next_step)


class NoSuchTenant(DbSchemaError):
    """The database has no tenant with this id or slug, or hides it from the role.

    Changed: nothing.
    Fix: look the tenant up with `dbschema tenant list`, or create it.

    Args:
        tenant: the id or the slug.
        next_step: what the caller can do; no full stop at its end.
    """

    code = "no-such-tenant"

    def __init__(self, tenant: UUID | str, next_step: str) -> None:
        self.tenant = tenant
        super().__init__(f"There is no tenant {tenant} in table tenants", next_step)


class TenantExists(DbSchemaError):
    """Another tenant has the slug or the id.

    Changed: nothing.
    Fix: choose another slug or id, or rename or remove the tenant that has it.

    Args:
        key: 'slug' or 'id'.
        value: the slug or the id.
        what: the situation; no full stop at its end.
        next_step: what the caller can do; no full stop at its end.
    """

    code = "tenant-exists"

    def __init__(self, key: str, value: UUID | str, what: str, next_step: str) -> None:
        self.key, self.value = key, value
        super().__init__(what, next_step)
