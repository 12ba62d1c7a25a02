"""Parts that the catalog queries share."""

from __future__ import annotations

MEMBERS = """
SELECT coalesce(array_agg(objid) FILTER (WHERE classid = 'pg_class'::regclass), '{}')::bigint[],
       coalesce(array_agg(objid) FILTER (WHERE classid = 'pg_type'::regclass), '{}')::bigint[],
       coalesce(array_agg(objid) FILTER (WHERE classid = 'pg_proc'::regclass), '{}')::bigint[]
FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
"""
"""The relations, types and functions that are members of extensions; executed once for all queries."""


def comment(catalog: str, oid: str, alias: str = "note") -> str:
    """Return a join for the comment on the object `oid` of `catalog`, as `<alias>.description`."""
    return (
        f"LEFT JOIN pg_description {alias} ON {alias}.objoid = {oid}"
        f" AND {alias}.classoid = '{catalog}'::regclass AND {alias}.objsubid = 0"
    )


def owner(column: str) -> str:
    """Return an expression for the owner's name; NULL for a role of `:owners`."""
    return f"CASE WHEN {column} <> ALL (:owners) THEN pg_get_userbyid({column})::text END"


OURS = """c.relnamespace = ANY (:schemas)
  AND c.oid <> ALL (:member_relations)
  AND NOT (c.relname = :version_table AND c.relkind = 'r')"""
"""Condition on `pg_class c`: a relation of the schemas that is neither a member of an extension nor the version table."""

TABLE_KINDS = "c.relkind IN ('r', 'p', 'f')"

CODE = """p.pronamespace = ANY (:schemas) AND p.oid <> ALL (:member_functions)
  AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = 'pg_proc'::regclass AND i.objid = p.oid AND i.deptype = 'i')"""
"""Condition on `pg_proc p`: of the schemas, neither a member of an extension nor the constructor of a range type."""
