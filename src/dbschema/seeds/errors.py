"""Why data could not be written: the children of `SeedError`, and the translation of what PostgreSQL says."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import IntegrityError, ProgrammingError

from dbschema.ddl.tenancy import APP_ROLE, TENANT_SETTING
from dbschema.errors import SeedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

UNDEFINED = ("42P01", "42703", "3F000")
INSUFFICIENT_PRIVILEGE = "42501"


class NoTransaction(SeedError):
    """The connection commits each statement by itself, so that a failure would leave half of the data."""

    def __init__(self) -> None:
        super().__init__(
            "The connection is in autocommit mode, and data is written all or nothing",
            "Give a connection with transactions",
        )


class NoSuchTenant(SeedError):
    """A tenant was named that the database does not have."""

    def __init__(self, tenant_id: UUID) -> None:
        self.tenant_id = tenant_id
        super().__init__(
            f"There is no tenant {tenant_id} in table tenants", "Create the tenant first, or name another one"
        )


class TenantsHidden(SeedError):
    """The session is bound by row security and cannot list the tenants, so that it would seed none and report success."""

    def __init__(self, role: str) -> None:
        self.role = role
        super().__init__(
            f"Row security hides the tenants from role {role!r}, so that it cannot seed each of them",
            f"Name the tenants, or set {TENANT_SETTING} to one, or connect as a role that bypasses row security",
        )


class SlugTaken(SeedError):
    """Another tenant has the slug of a sample tenant."""

    def __init__(self, slug: str) -> None:
        self.slug = slug
        super().__init__(
            f"The slug {slug!r} of a sample tenant belongs to another tenant in table tenants",
            "Rename that tenant's slug, or leave the sample data out",
        )


class NotMigrated(SeedError):
    """The database has not the tables that the data goes into."""

    def __init__(self, table: str, message: str) -> None:
        self.table = table
        super().__init__(
            f"Table {table} is not what the models declare: {message}", "Run 'dbschema upgrade' first"
        )


class MayNotWrite(SeedError):
    """The role of the session has not the privileges that writing needs."""

    def __init__(self, table: str, message: str) -> None:
        self.table = table
        super().__init__(
            f"The role of this connection may not write into table {table}: {message}",
            f"Connect as the owner of the tables, or let an administrator GRANT {APP_ROLE.name} to the role",
        )


class DoesNotFit(SeedError):
    """Rows that are there already contradict the rows to be written."""

    def __init__(self, table: str, message: str) -> None:
        self.table = table
        super().__init__(
            f"The data does not fit what table {table} holds: {message}",
            "Remove the rows that are in its way, or the tenant as a whole, and seed again",
        )


@contextmanager
def translating(table: str) -> Iterator[None]:
    """Turn what PostgreSQL refuses while `table` is written into a `SeedError`; failing connections pass through."""
    try:
        yield
    except IntegrityError as error:
        raise DoesNotFit(table, _message(error)) from error
    except ProgrammingError as error:
        state = getattr(error.orig, "sqlstate", None)
        if state in UNDEFINED:
            raise NotMigrated(table, _message(error)) from error
        if state == INSUFFICIENT_PRIVILEGE:
            raise MayNotWrite(table, _message(error)) from error
        raise


def _message(error: IntegrityError | ProgrammingError) -> str:
    return str(error.orig).partition("\n")[0]
