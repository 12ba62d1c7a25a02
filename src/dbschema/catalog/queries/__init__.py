"""The questions to the catalog, one a kind of object, keyed by kind.

Every query gives the columns `kind`, `nsp` (oid of the schema), `tab` (the table, or '') and `name`, and then one column
for each attribute, named as the attribute. In its text `:schemas` stands for the oids of the schemas, `:version_table` for
a name, `:owners` for the oids of the roles whose ownership goes without saying, `:extensions` and `:roles` for names, and
`:member_relations`, `:member_types` and `:member_functions` for the oids of what extensions brought.

Not read, because nothing of them belongs to a schema or a declaration: event triggers, publications, subscriptions,
foreign servers, casts, operators, conversions and text search configurations.
"""

# ruff: noqa: S608  what is put together here are constants of this package

from __future__ import annotations

from dbschema.catalog.queries import privileges, standing, tables
from dbschema.catalog.queries.privileges import CLUSTER_QUERIES
from dbschema.catalog.queries.standing import CODE_QUERIES
from dbschema.catalog.queries.tables import POSITIONS

__all__ = ["POSITIONS", "PRESENT", "QUERIES", "RARE"]

FIRST_USER_OID = 16384
"""Below are the objects that every database begins with."""

QUERIES: dict[str, str] = {
    **CLUSTER_QUERIES,
    **tables.QUERIES,
    **standing.QUERIES,
    **CODE_QUERIES,
    **privileges.QUERIES,
}
"""By kind. Some give kinds that are near relatives too, such as domains and enums under "type"."""

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
"""Which of the rarer kinds there are at all: asking each for nothing takes longer than this."""

RARE = frozenset({"sequence", "view", "rule", "statistics", "type", "default privileges"})
