"""Queries for the objects of a schema that are not tables: functions, sequences, types and views."""

from __future__ import annotations

from dbschema.catalog.queries.parts import CODE, OURS, comment, owner

# ruff: noqa: S608  composed only of constants of this package

FUNCTIONS = f"""
SELECT CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END AS kind,
       p.pronamespace AS nsp, '' AS tab, p.proname || '(' || oidvectortypes(p.proargtypes) || ')' AS name,
       pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
       l.lanname::text AS language,
       CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END AS volatility,
       CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END AS parallel,
       p.proisstrict AS strict, p.prosecdef AS "security definer", p.proleakproof AS leakproof,
       p.prokind = 'w' AS "window", p.procost::text AS cost, p.prorows::text AS rows,
       CASE WHEN p.prosupport <> 0 THEN p.prosupport::text END AS support, p.proconfig AS settings,
       CASE p.prokind WHEN 'a' THEN (SELECT concat_ws(' ', a.aggtransfn, a.aggfinalfn, a.aggtranstype::regtype, a.agginitval)
                                     FROM pg_aggregate a WHERE a.aggfnoid = p.oid)
            ELSE coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) END AS body,
       p.probin AS library, {owner("p.proowner")} AS owner, note.description AS comment
FROM pg_proc p
JOIN pg_language l ON l.oid = p.prolang
{comment("pg_proc", "p.oid")}
WHERE {CODE}
"""

CODE_QUERIES = {"function": FUNCTIONS}

# The sequence of an identity column is left out: the query of columns reads its parameters.
SEQUENCES = f"""
SELECT 'sequence' AS kind, c.relnamespace AS nsp, '' AS tab, c.relname::text AS name,
       format_type(s.seqtypid, NULL) AS type, s.seqstart AS start, s.seqincrement AS increment, s.seqmin AS minimum,
       s.seqmax AS maximum, s.seqcache AS cache, s.seqcycle AS cycle, held.tab AS "owned by table",
       held.col AS "owned by column", {owner("c.relowner")} AS owner, note.description AS comment
FROM pg_class c
JOIN pg_sequence s ON s.seqrelid = c.oid
LEFT JOIN LATERAL (
    SELECT d.deptype, r.relname::text AS tab, a.attname::text AS col
    FROM pg_depend d JOIN pg_class r ON r.oid = d.refobjid
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
      AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')) held ON true
{comment("pg_class", "c.oid")}
WHERE {OURS} AND c.relkind = 'S' AND held.deptype IS DISTINCT FROM 'i'
"""

TYPES = f"""
SELECT CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'c' THEN 'composite type' ELSE 'range type' END
           AS kind,
       t.typnamespace AS nsp, '' AS tab, t.typname::text AS name,
       CASE t.typtype WHEN 'e' THEN ARRAY(SELECT l.enumlabel::text FROM pg_enum l WHERE l.enumtypid = t.oid
                                          ORDER BY l.enumsortorder) END AS labels,
       CASE t.typtype WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod) END AS type,
       t.typnotnull AS "not null", t.typdefault AS "default",
       CASE WHEN t.typtype = 'd' AND t.typcollation <> base.typcollation THEN t.typcollation::regcollation::text END
           AS collation,
       CASE t.typtype WHEN 'd' THEN ARRAY(SELECT k.conname || ' ' || pg_get_constraintdef(k.oid, true)
                                          FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'
                                          ORDER BY k.conname) END AS constraints,
       CASE t.typtype WHEN 'c' THEN ARRAY(SELECT quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
                                                 || CASE WHEN a.attcollation <> u.typcollation
                                                         THEN ' COLLATE ' || a.attcollation::regcollation::text
                                                         ELSE '' END
                                          FROM pg_attribute a JOIN pg_type u ON u.oid = a.atttypid
                                          WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
                                          ORDER BY a.attnum) END AS attributes,
       (SELECT format_type(r.rngsubtype, NULL) || CASE WHEN r.rngcollation <> 0
                   THEN ' COLLATE ' || r.rngcollation::regcollation::text ELSE '' END
        FROM pg_range r WHERE r.rngtypid = t.oid) AS subtype,
       {owner("t.typowner")} AS owner, note.description AS comment
FROM pg_type t
LEFT JOIN pg_class c ON c.oid = t.typrelid
LEFT JOIN pg_type base ON base.oid = t.typbasetype
{comment("pg_type", "t.oid")}
WHERE t.typnamespace = ANY (:schemas) AND (t.typtype IN ('e', 'd', 'r') OR c.relkind = 'c')
  AND t.oid <> ALL (:member_types)
"""

VIEWS = f"""
SELECT CASE c.relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END AS kind, c.relnamespace AS nsp,
       c.relname::text AS tab, c.relname::text AS name, pg_get_viewdef(c.oid, true) AS definition,
       c.reloptions AS options, CASE c.relkind WHEN 'm' THEN c.relispopulated END AS populated,
       space.spcname::text AS tablespace, {owner("c.relowner")} AS owner, note.description AS comment
FROM pg_class c
LEFT JOIN pg_tablespace space ON space.oid = c.reltablespace
{comment("pg_class", "c.oid")}
WHERE {OURS} AND c.relkind IN ('v', 'm')
"""

QUERIES = {"sequence": SEQUENCES, "type": TYPES, "view": VIEWS}
