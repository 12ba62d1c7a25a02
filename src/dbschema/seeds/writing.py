"""Ids that are the same in every database: each row's id follows from its tenant, its table and its name.

Writes rows under row security, whoever the session is: in one transaction, and one tenant at a time.

A row that is there stays exactly as it is. Whatever a tenant has changed outlives another seed, and a second run
changes nothing, `updated_at` and `version` included.
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
"""Root of the ids of sample tenants; changing it would give every sample row another id."""

SAMPLE_SLUGS = ("azulejo-lane", "lantern-and-oar", "tidewater-pantry")


def tenant_id(slug: str) -> UUID:
    """The id of the sample tenant with this slug."""
    return uuid5(NAMESPACE, f"tenants/{slug}")


def row_id(tenant: UUID, table: str, name: str) -> UUID:
    """The id of the row called `name` in `table` of a tenant; `name` is whatever tells it from the table's others."""
    return uuid5(tenant, f"{table}/{name}")


Row: TypeAlias = "dict[str, Any]"
"""Values by the names of the columns; all rows of one table have the same keys."""

Rows: TypeAlias = "Mapping[str, Sequence[Row]]"
"""Rows by the names of their tables."""


@contextmanager
def all_or_nothing(connection: Connection) -> Iterator[None]:
    """A transaction of its own, or a savepoint where the caller has begun one, who then commits.

    Raises:
        NoTransaction: the connection is in autocommit mode.
    """
    if getattr(connection.connection.driver_connection, "autocommit", False):
        raise no_transaction()
    with connection.begin_nested() if connection.in_transaction() else connection.begin():
        yield


@contextmanager
def acting_for(connection: Connection, tenant: UUID) -> Iterator[None]:
    """Set the tenant for the statements inside, and put back what was set before."""
    before = connection.scalar(select(func.current_setting(TENANT_SETTING, True)))
    connection.execute(executable(tenancy.setting(tenant)))
    yield
    connection.execute(executable(tenancy.setting(before)))


def write(connection: Connection, rows: Rows) -> Counter[str]:
    """Insert the rows that are not there yet, one statement a table, in the order that the foreign keys need.

    Returns:
        How many rows were written, by table.
    """
    written: Counter[str] = Counter()
    for table in metadata.sorted_tables:
        if values := rows.get(table.name):
            statement = insert(table).on_conflict_do_nothing().returning(*table.primary_key)
            with translating(table.name):
                written[table.name] += len(connection.execute(statement, list(values)).all())
    return written


def exists(connection: Connection, tenant: UUID) -> bool:
    """Whether the tenant is in the table of tenants and visible to this session."""
    tenants = metadata.tables["tenants"]
    with translating(tenants.name):
        return connection.scalar(select(tenants.c.id).where(tenants.c.id == tenant)) is not None


def totals(*counts: Counter[str]) -> dict[str, int]:
    """The rows written of every table of the models, 0 where there were none."""
    total = sum(counts, Counter[str]())
    return {table.name: total[table.name] for table in metadata.sorted_tables}
