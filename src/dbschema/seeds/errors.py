"""Create the errors of seeds, and translate PostgreSQL's errors to them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import IntegrityError, ProgrammingError

from dbschema.ddl.tenancy import APP_ROLE, TENANT_SETTING
from dbschema.errors import (
    MissingPrivilege,
    NoSuchTenant,
    NotMigrated,
    NoTransaction,
    SeedError,
    TenantExists,
    TenantsHidden,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

UNDEFINED = ("42P01", "42703", "3F000")
INSUFFICIENT_PRIVILEGE = "42501"


def no_transaction() -> NoTransaction:
    """The connection commits each statement: a failure would leave incomplete data."""
    return NoTransaction(
        "The connection is in autocommit mode, and data is written all or nothing",
        "Give a connection with transactions",
    )


def no_such_tenant(tenant_id: UUID) -> NoSuchTenant:
    """The database has no tenant with this id."""
    return NoSuchTenant(tenant_id, "Create the tenant first, or name another one")


def tenants_hidden(role: str) -> TenantsHidden:
    """The role cannot list the tenants: the seed would write nothing and report success."""
    return TenantsHidden(
        role,
        f"Name the tenants, or set {TENANT_SETTING} to one, or connect as a role that bypasses row-level security",
        consequence=", so that it cannot seed each of them",
    )


def slug_taken(slug: str) -> TenantExists:
    """Another tenant has the slug of a sample tenant."""
    return TenantExists(
        "slug",
        slug,
        f"The slug {slug!r} of a sample tenant belongs to another tenant in table tenants",
        "Rename that tenant's slug, or leave the sample data out",
    )


def not_migrated(table: str, message: str) -> NotMigrated:
    """The database lacks a table or a column of the data."""
    return NotMigrated(table, f"Table {table} is not what the models declare: {message}")


def may_not_write(table: str, message: str) -> MissingPrivilege:
    """The role of the connection lacks a privilege on the table."""
    return MissingPrivilege(
        f"The role of this connection may not write into table {table}: {message}",
        f"Connect as the owner of the tables, or let an administrator GRANT {APP_ROLE.name} to the role",
        table=table,
    )


def does_not_fit(table: str, message: str) -> SeedError:
    """Existing rows conflict with the rows to be written."""
    return SeedError(
        f"The data does not fit what table {table} holds: {message}",
        "Remove the conflicting rows, or the whole tenant, and seed again",
    )


@contextmanager
def translating(table: str) -> Iterator[None]:
    """Translate PostgreSQL's errors of a write to `table`; errors of the connection pass through."""
    try:
        yield
    except IntegrityError as error:
        raise does_not_fit(table, _message(error)) from error
    except ProgrammingError as error:
        state = getattr(error.orig, "sqlstate", None)
        if state in UNDEFINED:
            raise not_migrated(table, _message(error)) from error
        if state == INSUFFICIENT_PRIVILEGE:
            raise may_not_write(table, _message(error)) from error
        raise


def _message(error: IntegrityError | ProgrammingError) -> str:
    return str(error.orig).partition("\n")[0]
