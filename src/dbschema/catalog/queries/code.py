"""Functions, procedures and aggregates."""

# ruff: noqa: S608  what is put together here are constants of this package

from __future__ import annotations

from dbschema.catalog.queries.parts import CODE, comment, owner

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

QUERIES = {"function": FUNCTIONS}
