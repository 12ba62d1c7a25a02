"""Queries for extensions, roles, schemas, grants and default privileges.

Only declared extensions and roles are read. The owner's own privileges are not read. The name of a grant follows
`dbschema.ddl.grants.Grant`: target, object, TO, grantee.
"""

from __future__ import annotations

from dbschema.catalog.queries.parts import CODE, OURS

EXTENSIONS = """
SELECT 'extension' AS kind, NULL::oid AS nsp, '' AS tab, e.extname::text AS name
FROM pg_extension e WHERE e.extname = ANY (:extensions)
"""

ROLES = """
SELECT 'role' AS kind, NULL::oid AS nsp, '' AS tab, r.rolname::text AS name,
       r.rolcanlogin AS login, r.rolsuper AS superuser, r.rolbypassrls AS "bypass row-level security",
       r.rolcreaterole AS "create role", r.rolcreatedb AS "create database", r.rolreplication AS replication,
       nullif(r.rolconnlimit, -1) AS "connection limit",
       ARRAY(SELECT o FROM unnest(r.rolconfig) o ORDER BY 1) AS settings,
       ARRAY(SELECT o FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) o
             WHERE s.setrole = r.oid AND d.datname = current_database() ORDER BY 1) AS "settings in this database",
       ARRAY(SELECT DISTINCT pg_get_userbyid(m.roleid)::text FROM pg_auth_members m WHERE m.member = r.oid ORDER BY 1)
           AS "member of"
FROM pg_roles r WHERE r.rolname = ANY (:roles)
"""

SCHEMAS = """
SELECT 'schema' AS kind, n.oid AS nsp, '' AS tab, '' AS name
FROM pg_namespace n WHERE n.oid = ANY (:schemas)
"""

CLUSTER_QUERIES = {"extension": EXTENSIONS, "role": ROLES, "schema": SCHEMAS}

# ruff: noqa: S608  composed only of constants of this package

# A new schema `public` has USAGE for PUBLIC. Neither keeping nor revoking it is a difference.
GRANTS = f"""
SELECT 'grant' AS kind, o.nsp, o.tab,
       o.target || ' ' || o.object || ' TO ' || CASE x.grantee WHEN 0 THEN 'PUBLIC'
                                                     ELSE pg_get_userbyid(x.grantee)::text END AS name,
       o.target, o.object,
       array_agg(DISTINCT x.privilege_type COLLATE "C") AS privileges,
       coalesce(array_agg(DISTINCT x.privilege_type COLLATE "C") FILTER (WHERE x.is_grantable), '{{}}') AS grantable
FROM (
    SELECT c.relnamespace AS nsp, CASE c.relkind WHEN 'S' THEN '' ELSE c.relname::text END AS tab,
           CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS target, c.relname::text AS object,
           c.relowner AS owner, c.relacl AS acl
    FROM pg_class c
    WHERE {OURS} AND c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S') AND c.relacl IS NOT NULL
  UNION ALL
    SELECT c.relnamespace, c.relname::text, 'COLUMN', c.relname || '.' || a.attname, c.relowner, a.attacl
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped
    WHERE {OURS}
  UNION ALL
    SELECT p.pronamespace, '', CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
           p.proname || '(' || oidvectortypes(p.proargtypes) || ')', p.proowner,
           coalesce(p.proacl, acldefault('f', p.proowner))
    FROM pg_proc p
    WHERE {CODE}
  UNION ALL
    SELECT t.typnamespace, '', 'TYPE', t.typname::text, t.typowner, coalesce(t.typacl, acldefault('T', t.typowner))
    FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
    WHERE t.typnamespace = ANY (:schemas) AND (t.typtype IN ('e', 'd', 'r') OR c.relkind = 'c')
      AND t.oid <> ALL (:member_types)
  UNION ALL
    SELECT n.oid, '', 'SCHEMA', '', n.nspowner, n.nspacl
    FROM pg_namespace n WHERE n.oid = ANY (:schemas) AND n.nspacl IS NOT NULL
) o
CROSS JOIN LATERAL aclexplode(o.acl) x
WHERE x.grantee <> o.owner
  AND NOT (o.target = 'SCHEMA' AND x.grantee = 0 AND x.privilege_type = 'USAGE' AND o.nsp = coalesce(to_regnamespace('public')::oid, 0))
GROUP BY o.nsp, o.tab, o.target, o.object, x.grantee
"""

# Never expected: they would grant privileges on objects of a later revision that the revision does not grant.
DEFAULT_PRIVILEGES = """
SELECT 'default privileges' AS kind, nullif(d.defaclnamespace, 0) AS nsp, '' AS tab,
       CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES'
            ELSE 'SCHEMAS' END || ' of ' || pg_get_userbyid(d.defaclrole)
           || CASE d.defaclnamespace WHEN 0 THEN ' in any schema' ELSE '' END AS name,
       ARRAY(SELECT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee)::text END || ': '
                    || string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type COLLATE "C")
             FROM aclexplode(d.defaclacl) x GROUP BY x.grantee ORDER BY 1) AS privileges
FROM pg_default_acl d
WHERE d.defaclnamespace = 0 OR d.defaclnamespace = ANY (:schemas)
"""

QUERIES = {"grant": GRANTS, "default privileges": DEFAULT_PRIVILEGES}
