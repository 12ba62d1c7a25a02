"""Pieces that the questions share."""

from __future__ import annotations

MEMBERS = """
SELECT coalesce(array_agg(objid) FILTER (WHERE classid = 'pg_class'::regclass), '{}')::bigint[],
       coalesce(array_agg(objid) FILTER (WHERE classid = 'pg_type'::regclass), '{}')::bigint[],
       coalesce(array_agg(objid) FILTER (WHERE classid = 'pg_proc'::regclass), '{}')::bigint[]
FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
"""
"""The relations, types and functions that extensions brought; asked once, for each query would ask it again."""


def comment(catalog: str, oid: str, alias: str = "note") -> str:
    """A join that finds the comment on the object `oid` of `catalog`, as `<alias>.description`."""
    return (
        f"LEFT JOIN pg_description {alias} ON {alias}.objoid = {oid}"
        f" AND {alias}.classoid = '{catalog}'::regclass AND {alias}.objsubid = 0"
    )


def owner(column: str) -> str:
    """The owner's name, or NULL where it goes without saying."""
    return f"CASE WHEN {column} <> ALL (:owners) THEN pg_get_userbyid({column})::text END"


OURS = """c.relnamespace = ANY (:schemas)
  AND c.oid <> ALL (:member_relations)
  AND NOT (c.relname = :version_table AND c.relkind = 'r')"""
"""Condition on `pg_class c`: a relation of the schemas in question that no extension brought."""

TABLE_KINDS = "c.relkind IN ('r', 'p', 'f')"

CODE = """p.pronamespace = ANY (:schemas) AND p.oid <> ALL (:member_functions)
  AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = 'pg_proc'::regclass AND i.objid = p.oid AND i.deptype = 'i')"""
"""Condition on `pg_proc p`: ours, and no constructor of a range type, which comes and goes with the type."""
