"""Read the target table from the database: its schema, columns, types and defaults, and the session's tenant."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import text

from dbschema.ddl.base import quote
from dbschema.ddl.tenancy import TENANT_SETTING
from dbschema.loading.errors import bad_tenant_setting, not_migrated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, Table

# The search path implicitly begins with temporary tables; one of the same name must not receive the rows.
_PLACE = text(
    """
SELECT c.oid, n.nspname, current_setting('search_path') AS search_path,
       nullif(current_setting(:setting, true), '') AS tenant,
       current_user AS role, current_database() AS database,
       c.relkind = 'r' AND NOT c.relhasrules
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t
                       WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgtype & 4 <> 0)
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k
                       WHERE k.conrelid = c.oid AND k.contype = 'f'
                         AND coalesce(pg_catalog.pg_partition_root(k.confrelid), k.confrelid)
                             = coalesce(pg_catalog.pg_partition_root(c.oid), c.oid)) AS divisible
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = :name AND c.relkind IN ('r', 'p', 'v', 'f')
  AND n.oid <> pg_catalog.pg_my_temp_schema()
  AND CASE WHEN CAST(:schema AS text) IS NULL THEN n.nspname = ANY (pg_catalog.current_schemas(false))
           ELSE n.nspname = :schema END
ORDER BY pg_catalog.array_position(pg_catalog.current_schemas(false), n.nspname)
LIMIT 1
"""
)
_SEARCH_PATH = text("SELECT pg_catalog.set_config('search_path', :path, true)")
# -1, not NULL: 'bpchar' has no length, while 'character' means one character.
_COLUMNS = text(
    """
SELECT a.attname AS name, t.typname AS kind,
       format_type(a.atttypid, a.atttypmod) AS type, format_type(a.atttypid, -1) AS bare_type,
       CASE WHEN a.attidentity = 'd'
            THEN format('pg_catalog.nextval(%L::pg_catalog.regclass)',
                        pg_get_serial_sequence(a.attrelid::regclass::text, a.attname))
            ELSE coalesce(pg_get_expr(d.adbin, d.adrelid), pg_get_expr(t.typdefaultbin, 0)) END AS default,
       a.attgenerated <> '' OR a.attidentity = 'a' AS always
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
     LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = :oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
)


@dataclass(frozen=True)
class TargetColumn:
    """A column of the table.

    Args:
        name: the name.
        kind: the name of the type in the catalog, such as 'int4' or 'geography'.
        type: the type as SQL, with length or precision.
        bare_type: the type as SQL without them: a cast to varchar(5) truncates, an assignment raises.
        default: the default as SQL, with qualified names.
        always: the database alone sets the value (generated, or identity always).
    """

    name: str
    kind: str
    type: str
    bare_type: str
    default: str | None
    always: bool


@dataclass(frozen=True)
class Target:
    """The table, with the tenant and the role of the session.

    Args:
        oid: the oid of the table.
        schema: the schema of the table.
        name: the name of the table.
        columns: the columns by name.
        tenant: the tenant that the session has set.
        role: the role of the session.
        database: the name of the database.
        divisible: no trigger, rule or self-referencing foreign key depends on the number of statements that write.
    """

    oid: int
    schema: str
    name: str
    columns: Mapping[str, TargetColumn]
    tenant: UUID | None
    role: str
    database: str
    divisible: bool

    @cached_property
    def sql(self) -> str:
        """The qualified name of the table."""
        return f"{quote(self.schema)}.{quote(self.name)}"


def find(connection: Connection, table: Table) -> Target:
    """Read the table from the database.

    Raises:
        NotMigrated: the database has no such table.
        LoadError: the tenant that the session has set is not a UUID.
    """
    schema_map: Mapping[Any, Any] = connection.get_execution_options().get("schema_translate_map") or {}
    schema = schema_map.get(table.schema, table.schema)
    place = connection.execute(
        _PLACE, {"name": table.name, "schema": schema, "setting": TENANT_SETTING}
    ).one_or_none()
    if place is None:
        raise not_migrated(table.name, f"table {table.name}")
    try:
        tenant = None if place.tenant is None else UUID(place.tenant)
    except ValueError:
        raise bad_tenant_setting() from None
    # With `pg_catalog` alone in the search path, PostgreSQL qualifies all other names in expressions.
    connection.execute(_SEARCH_PATH, {"path": "pg_catalog"})
    columns = [TargetColumn(**row) for row in connection.execute(_COLUMNS, {"oid": place.oid}).mappings()]
    connection.execute(_SEARCH_PATH, {"path": place.search_path})
    return Target(
        oid=place.oid,
        schema=place.nspname,
        name=table.name,
        columns={column.name: column for column in columns},
        tenant=tenant,
        role=place.role,
        database=place.database,
        divisible=place.divisible,
    )
