"""What the schemas stand on: extensions and roles, of which only the declared ones are ours, and the schemas themselves."""

from __future__ import annotations

EXTENSIONS = """
SELECT 'extension' AS kind, NULL::oid AS nsp, '' AS tab, e.extname::text AS name
FROM pg_extension e WHERE e.extname = ANY (:extensions)
"""

ROLES = """
SELECT 'role' AS kind, NULL::oid AS nsp, '' AS tab, r.rolname::text AS name,
       r.rolcanlogin AS login, r.rolsuper AS superuser, r.rolbypassrls AS "bypass row security",
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

QUERIES = {"extension": EXTENSIONS, "role": ROLES, "schema": SCHEMAS}
