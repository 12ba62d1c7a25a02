"""Queries for tables and their dependent objects."""

# ruff: noqa: S608  composed only of constants of this package

from __future__ import annotations

from dbschema.catalog.queries.parts import OURS, TABLE_KINDS, comment, owner

TABLES = f"""
SELECT CASE c.relkind WHEN 'f' THEN 'foreign table' ELSE 'table' END AS kind, c.relnamespace AS nsp,
       c.relname::text AS tab, c.relname::text AS name,
       CASE c.relpersistence WHEN 'u' THEN 'unlogged' WHEN 't' THEN 'temporary' ELSE 'permanent' END AS persistence,
       CASE c.relkind WHEN 'p' THEN pg_get_partkeydef(c.oid) END AS "partition key",
       CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END AS "partition bound",
       ARRAY(SELECT h.inhparent::regclass::text FROM pg_inherits h WHERE h.inhrelid = c.oid ORDER BY h.inhseqno)
           AS inherits,
       c.reloptions AS options, toast.reloptions AS "toast options",
       am.amname::text AS "access method", space.spcname::text AS tablespace,
       CASE c.relreplident WHEN 'd' THEN 'default' WHEN 'n' THEN 'nothing' WHEN 'f' THEN 'full'
            ELSE 'index ' || (SELECT i.indexrelid::regclass::text FROM pg_index i
                              WHERE i.indrelid = c.oid AND i.indisreplident) END AS "replica identity",
       CASE WHEN c.reloftype <> 0 THEN c.reloftype::regtype::text END AS "of type",
       {owner("c.relowner")} AS owner, note.description AS comment
FROM pg_class c
LEFT JOIN pg_class toast ON toast.oid = c.reltoastrelid
LEFT JOIN pg_am am ON am.oid = c.relam
LEFT JOIN pg_tablespace space ON space.oid = c.reltablespace
{comment("pg_class", "c.oid")}
WHERE {OURS} AND {TABLE_KINDS}
"""

ROW_SECURITY = f"""
SELECT 'row-level security' AS kind, c.relnamespace AS nsp, c.relname::text AS tab, c.relname::text AS name,
       c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced
FROM pg_class c
WHERE {OURS} AND c.relkind IN ('r', 'p')
"""

# Patched releases of PostgreSQL store a random number, pg_attver, in the options of each column.
COLUMNS = f"""
SELECT 'column' AS kind, c.relnamespace AS nsp, c.relname::text AS tab, a.attname::text AS name,
       format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS "not null",
       CASE a.attgenerated WHEN '' THEN pg_get_expr(d.adbin, d.adrelid) END AS "default",
       CASE a.attgenerated WHEN '' THEN NULL WHEN 's' THEN 'stored: ' || pg_get_expr(d.adbin, d.adrelid)
            ELSE 'virtual: ' || pg_get_expr(d.adbin, d.adrelid) END AS generated,
       CASE a.attidentity WHEN '' THEN NULL ELSE
            CASE a.attidentity WHEN 'a' THEN 'always' ELSE 'by default' END ||
            (SELECT format(' (start %s, increment %s, minimum %s, maximum %s, cache %s%s)', s.seqstart, s.seqincrement,
                           s.seqmin, s.seqmax, s.seqcache, CASE WHEN s.seqcycle THEN ', cycle' ELSE '' END)
             FROM pg_depend o JOIN pg_sequence s ON s.seqrelid = o.objid
             WHERE o.refclassid = 'pg_class'::regclass AND o.refobjid = c.oid AND o.refobjsubid = a.attnum
               AND o.classid = 'pg_class'::regclass AND o.deptype = 'i') END AS identity,
       CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END AS collation,
       CASE a.attstorage WHEN 'p' THEN 'plain' WHEN 'e' THEN 'external' WHEN 'm' THEN 'main' ELSE 'extended' END
           AS storage,
       CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END AS compression,
       nullif(a.attstattarget, -1) AS "statistics target",
       CASE WHEN cardinality(a.attoptions) > 1 OR a.attoptions[1] NOT LIKE 'pg_attver=%'
            THEN ARRAY(SELECT o FROM unnest(a.attoptions) o WHERE o NOT LIKE 'pg_attver=%') END AS options,
       a.attfdwoptions AS "foreign options", note.description AS comment
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_description note ON note.objoid = c.oid AND note.classoid = 'pg_class'::regclass
     AND note.objsubid = a.attnum
WHERE {OURS} AND {TABLE_KINDS}
"""

POSITIONS = f"""
SELECT 'column' AS kind, c.relnamespace AS nsp, c.relname::text AS tab, a.attname::text AS name,
       row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) AS position
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE {OURS} AND {TABLE_KINDS}
"""
"""Not compared by default: ADD COLUMN appends the column, independent of its position in the model."""

# Internal triggers enforce a foreign key; DISABLE TRIGGER ALL disables them without a change of its definition.
# Parts with an attribute of their own are removed from the definition, so that one change is one difference. NOT NULL
# constraints (contype 'n', since PostgreSQL 18) are read with columns, constraint triggers (contype 't') with triggers.
CONSTRAINTS = f"""
SELECT 'constraint' AS kind, c.relnamespace AS nsp, c.relname::text AS tab, k.conname::text AS name,
       CASE k.contype WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique' WHEN 'f' THEN 'foreign key' WHEN 'c' THEN 'check'
            ELSE 'exclusion' END AS type,
       CASE WHEN k.convalidated AND NOT k.condeferrable AND NOT (k.contype = 'c' AND k.connoinherit)
            THEN pg_get_constraintdef(k.oid, true)
            ELSE regexp_replace(pg_get_constraintdef(k.oid, true),
                                '( NO INHERIT)?( DEFERRABLE)?( INITIALLY DEFERRED)?( NOT VALID)?$', '') END AS definition,
       k.convalidated AS validated,
       CASE WHEN k.condeferred THEN 'initially deferred' WHEN k.condeferrable THEN 'yes' ELSE 'no' END AS deferrable,
       CASE WHEN k.contype = 'f' THEN NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgconstraint = k.oid
                                                  AND t.tgenabled <> 'O') END AS enforced,
       k.contype = 'c' AND k.connoinherit AS "no inherit",
       x.reloptions AS "index options", space.spcname::text AS "index tablespace",
       coalesce(i.indisclustered, false) AS clustered,
       CASE WHEN i.indexrelid IS NOT NULL AND k.contype <> 'f' THEN i.indisvalid END AS "index valid",
       note.description AS comment
FROM pg_class c
JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype IN ('p', 'u', 'f', 'c', 'x')
LEFT JOIN pg_index i ON i.indexrelid = k.conindid AND k.contype IN ('p', 'u', 'x')
LEFT JOIN pg_class x ON x.oid = i.indexrelid
LEFT JOIN pg_tablespace space ON space.oid = x.reltablespace
{comment("pg_constraint", "k.oid")}
WHERE {OURS} AND {TABLE_KINDS}
"""

INDEXES = f"""
SELECT 'index' AS kind, c.relnamespace AS nsp, c.relname::text AS tab, x.relname::text AS name,
       pg_get_indexdef(x.oid, 0, true) AS definition, i.indisvalid AS valid, i.indisclustered AS clustered,
       note.description AS comment
FROM pg_class c
JOIN pg_index i ON i.indrelid = c.oid
JOIN pg_class x ON x.oid = i.indexrelid
{comment("pg_class", "x.oid")}
WHERE {OURS} AND c.relkind IN ('r', 'p', 'm')
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
"""

POLICIES = f"""
SELECT 'policy' AS kind, c.relnamespace AS nsp, c.relname::text AS tab, p.polname::text AS name,
       CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE'
            ELSE 'ALL' END AS command,
       p.polpermissive AS permissive,
       ARRAY(SELECT CASE r WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(r)::text END
             FROM unnest(p.polroles) r ORDER BY 1) AS roles,
       pg_get_expr(p.polqual, p.polrelid) AS "using", pg_get_expr(p.polwithcheck, p.polrelid) AS "check",
       note.description AS comment
FROM pg_class c
JOIN pg_policy p ON p.polrelid = c.oid
{comment("pg_policy", "p.oid")}
WHERE {OURS}
"""

TRIGGERS = f"""
SELECT 'trigger' AS kind, c.relnamespace AS nsp, c.relname::text AS tab, t.tgname::text AS name,
       pg_get_triggerdef(t.oid, true) AS definition,
       CASE t.tgenabled WHEN 'O' THEN 'origin' WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'replica' ELSE 'always' END
           AS enabled,
       note.description AS comment
FROM pg_class c
JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgparentid = 0
{comment("pg_trigger", "t.oid")}
WHERE {OURS}
"""

RULES = f"""
SELECT 'rule' AS kind, c.relnamespace AS nsp, c.relname::text AS tab, r.rulename::text AS name,
       pg_get_ruledef(r.oid, true) AS definition,
       CASE r.ev_enabled WHEN 'O' THEN 'origin' WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'replica' ELSE 'always' END
           AS enabled,
       note.description AS comment
FROM pg_class c
JOIN pg_rewrite r ON r.ev_class = c.oid AND r.rulename <> '_RETURN'
{comment("pg_rewrite", "r.oid")}
WHERE {OURS} AND c.relhasrules
"""

STATISTICS = f"""
SELECT 'statistics' AS kind, c.relnamespace AS nsp, c.relname::text AS tab, s.stxname::text AS name,
       pg_get_statisticsobjdef_columns(s.oid) AS definition,
       ARRAY(SELECT CASE k WHEN 'd' THEN 'ndistinct' WHEN 'f' THEN 'dependencies' WHEN 'm' THEN 'mcv' ELSE 'expressions' END
             FROM unnest(s.stxkind) k ORDER BY 1) AS kinds,
       nullif(s.stxstattarget, -1) AS target, note.description AS comment
FROM pg_class c
JOIN pg_statistic_ext s ON s.stxrelid = c.oid
{comment("pg_statistic_ext", "s.oid")}
WHERE {OURS}
"""

QUERIES = {
    "table": TABLES,
    "column": COLUMNS,
    "constraint": CONSTRAINTS,
    "index": INDEXES,
    "row-level security": ROW_SECURITY,
    "policy": POLICIES,
    "trigger": TRIGGERS,
    "rule": RULES,
    "statistics": STATISTICS,
}
