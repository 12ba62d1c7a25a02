"""The catalog queries, by kind of object.

Each query returns the columns `kind`, `nsp` (oid of the schema), `tab` (the table, or '') and `name`, then one column an
attribute. Placeholders: `:schemas` (oids), `:version_table` (a name), `:owners` (oids of roles whose ownership is not
reported), `:extensions` and `:roles` (names), `:member_relations`, `:member_types` and `:member_functions` (oids of the
members of extensions).

Not read, because they belong to no schema and no declaration: event triggers, publications, subscriptions, foreign
servers, casts, operators, conversions and text search configurations.
"""

# ruff: noqa: S608  composed only of constants of this package

from __future__ import annotations

from dbschema.catalog.queries import privileges, schema_objects, tables
from dbschema.catalog.queries.privileges import CLUSTER_QUERIES
from dbschema.catalog.queries.schema_objects import CODE_QUERIES
from dbschema.catalog.queries.tables import POSITIONS

__all__ = ["POSITIONS", "PRESENT", "QUERIES", "RARE"]

FIRST_USER_OID = 16384
"""Objects of a new database have lower oids."""

QUERIES: dict[str, str] = {
    **CLUSTER_QUERIES,
    **tables.QUERIES,
    **schema_objects.QUERIES,
    **CODE_QUERIES,
    **privileges.QUERIES,
}
"""Query by kind. Some return related kinds too, such as domains and enums under "type"."""

PRESENT = f"""
SELECT 'sequence' WHERE EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = ANY (:schemas) AND c.relkind = 'S')
UNION ALL
SELECT 'view' WHERE EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = ANY (:schemas) AND c.relkind IN ('v', 'm')
                            AND c.oid <> ALL (:member_relations))
UNION ALL
SELECT 'rule' WHERE EXISTS (SELECT FROM pg_rewrite r WHERE r.rulename <> '_RETURN' AND r.oid >= {FIRST_USER_OID})
UNION ALL
SELECT 'statistics' WHERE EXISTS (SELECT FROM pg_statistic_ext)
UNION ALL
SELECT 'type' WHERE EXISTS (SELECT FROM pg_type t WHERE t.typnamespace = ANY (:schemas) AND t.oid <> ALL (:member_types)
                            AND (t.typtype IN ('e', 'd', 'r')
                                 OR t.typrelid IN (SELECT c.oid FROM pg_class c WHERE c.relkind = 'c')))
UNION ALL
SELECT 'default privileges' WHERE EXISTS (SELECT FROM pg_default_acl)
"""
"""Returns which of the `RARE` kinds exist: faster than to run their queries without a result."""

RARE = frozenset({"sequence", "view", "rule", "statistics", "type", "default privileges"})
