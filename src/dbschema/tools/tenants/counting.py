"""How many rows a tenant has, table by table."""

# ruff: noqa: S608  what is put together here are names of the metadata, quoted, and a UUID

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from dbschema.sessions.literals import exact
from dbschema.tools.tenants.errors import translating
from dbschema.tools.tenants.session import become, scope_for, slug_and_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from sqlalchemy import Connection, Engine, MetaData

    from dbschema.tools.tenants.scope import TenantTable


def count_rows(engine: Engine, tenant_id: UUID | str, *, metadata: MetaData | None = None) -> dict[str, int]:
    """How many rows of the tenant each table has, in the order of their foreign keys, the table of tenants first.

    Raises:
        NoSuchTenant: it is not there, or hidden from the role.
        BadIdentity: `tenant_id` is no UUID.
    """
    scope, tenant = scope_for(metadata), exact(tenant_id)
    snapshot = engine.connect().execution_options(isolation_level="REPEATABLE READ")
    with snapshot as connection, connection.begin():
        become(connection, scope.root.sql, tenant)
        slug_and_name(connection, scope.root, tenant)
        return counts(connection, tenant, scope.tables)


def counts(connection: Connection, tenant: UUID, tables: Iterable[TenantTable]) -> dict[str, int]:
    """How many rows of `tenant` each of `tables` has."""
    found: dict[str, int] = {}
    for table in tables:
        with translating(table.name):
            found[table.name] = int(
                connection.scalar(text(f"SELECT count(*) FROM {table.sql} WHERE {table.of(tenant)}")) or 0
            )
    return found
