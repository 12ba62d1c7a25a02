"""The errors of this package: one root, and children that carry what they speak of as fields.

An error names the thing, the place and the next step, on one line, so that the command line can print it as it is
and a log keeps it whole. No error ever holds a password: addresses are shortened by `dbschema.connect` before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from uuid import UUID


class DbSchemaError(Exception):
    """Root of all errors that this package raises on purpose.

    Args:
        what: what is wrong, and where; no full stop at its end.
        next_step: what the reader can do about it; no full stop at its end.
    """

    code: ClassVar[str] = "dbschema"
    """Stable name of the error for programs and for docs/errors.md: kebab-case, unique, written out in each class."""

    def __init__(self, what: str, next_step: str) -> None:
        super().__init__(what, next_step)
        self.what = what
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.what}. {self.next_step}."


class DeclarationError(DbSchemaError):
    """A model or a database object is declared in a way that PostgreSQL could not keep."""


class BadModels(DbSchemaError):
    """The models that an application names are not there."""


class NameTooLong(DeclarationError):
    """An identifier is longer than PostgreSQL's 63 bytes, and would be cut silently."""

    def __init__(self, kind: str, name: str, place: str) -> None:
        self.kind, self.name, self.place = kind, name, place
        super().__init__(
            f"The name of {kind} {name!r} on {place} has {len(name.encode())} bytes, and PostgreSQL keeps 63",
            "Give it a shorter name of its own",
        )


class ConnectError(DbSchemaError):
    """The database could not be reached, or refused the connection."""


class BadAddress(ConnectError):
    """The address of a database cannot be read."""


class ServerError(DbSchemaError):
    """The private server cannot be found, started or stopped."""


class MigrationError(DbSchemaError):
    """An upgrade or a downgrade cannot be done."""


class UnknownRevision(MigrationError):
    """A revision is named that the revision scripts do not hold."""

    def __init__(self, revision: str, known: str) -> None:
        self.revision = revision
        super().__init__(
            f"There is no revision {revision!r} among the revision scripts",
            f"Name one of them ({known}), 'head' or 'base'",
        )


class CatalogError(DbSchemaError):
    """The catalog of a database cannot be read or compared."""


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
        what: what is missing; no full stop at its end.
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
        consequence: what the role cannot do for this reason, as the end of the sentence.
    """

    code = "tenants-hidden"

    def __init__(self, role: str, next_step: str, *, consequence: str = "") -> None:
        self.role = role
        super().__init__(f"Row security hides the tenants from role {role!r}{consequence}", next_step)


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
