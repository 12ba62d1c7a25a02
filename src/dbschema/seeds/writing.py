"""Write seed rows in one transaction, with ids that are the same in every database.

The rows of each tenant are written with this tenant set, so that every role can write them under row-level security. An
existing row never changes: a second seed keeps the changes of the tenant, `updated_at` and `version` included.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID, uuid5

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from dbschema.ddl import tenancy
from dbschema.ddl.registry import executable
from dbschema.ddl.tenancy import TENANT_SETTING
from dbschema.models import metadata
from dbschema.seeds.errors import no_transaction, translating

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import Connection


NAMESPACE = UUID("5f0c1a52-6f0e-5a3e-9d55-3a1d2b7c4e90")
"""Namespace of the ids of sample tenants; another value would change the id of every sample row."""

SAMPLE_SLUGS = ("azulejo-lane", "lantern-and-oar", "tidewater-pantry")


def tenant_id(slug: str) -> UUID:
    """Return the id of the sample tenant with this slug."""
    return uuid5(NAMESPACE, f"tenants/{slug}")


def row_id(tenant: UUID, table: str, name: str) -> UUID:
    """Return the id of a row of a tenant: a hash of the table and of `name`, which is unique within the table."""
    return uuid5(tenant, f"{table}/{name}")


Row: TypeAlias = "dict[str, Any]"
"""Values by column name; all rows of a table have the same keys."""

Rows: TypeAlias = "Mapping[str, Sequence[Row]]"
"""Rows by table name."""


@contextmanager
def all_or_nothing(connection: Connection) -> Iterator[None]:
    """Begin a transaction; if the caller has begun one, create a savepoint, and the caller commits.

    Raises:
        NoTransaction: the connection is in autocommit mode.
    """
    if getattr(connection.connection.driver_connection, "autocommit", False):
        raise no_transaction()
    with connection.begin_nested() if connection.in_transaction() else connection.begin():
        yield


@contextmanager
def acting_for(connection: Connection, tenant: UUID) -> Iterator[None]:
    """Set the tenant for the statements inside, and restore the previous tenant afterwards."""
    before = connection.scalar(select(func.current_setting(TENANT_SETTING, True)))
    connection.execute(executable(tenancy.setting(tenant)))
    yield
    connection.execute(executable(tenancy.setting(before)))


def write(connection: Connection, rows: Rows) -> Counter[str]:
    """Insert the missing rows, with one statement per table, in the order of the foreign keys.

    Returns:
        The number of written rows by table.
    """
    written: Counter[str] = Counter()
    for table in metadata.sorted_tables:
        if values := rows.get(table.name):
            statement = insert(table).on_conflict_do_nothing().returning(*table.primary_key)
            with translating(table.name):
                written[table.name] += len(connection.execute(statement, list(values)).all())
    return written


def exists(connection: Connection, tenant: UUID) -> bool:
    """Return whether the tenant exists and is visible to this session."""
    tenants = metadata.tables["tenants"]
    with translating(tenants.name):
        return connection.scalar(select(tenants.c.id).where(tenants.c.id == tenant)) is not None


def totals(*counts: Counter[str]) -> dict[str, int]:
    """Return the sum of the counts for every table of the models, 0 for a table without written rows."""
    total = sum(counts, Counter[str]())
    return {table.name: total[table.name] for table in metadata.sorted_tables}
