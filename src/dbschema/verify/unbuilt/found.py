"""What the server has, one query a kind; whatever role asks may read these catalogs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dbschema.ddl.objects import qualified
from dbschema.verify.recording import execute
from dbschema.verify.unbuilt.wanted import squeezed

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

    from dbschema.ddl import Function, Grant
    from dbschema.verify.unbuilt.wanted import Attributes

_COLUMNS = """
SELECT attname, lower(pg_catalog.format_type(atttypid, atttypmod)), attnotnull FROM pg_catalog.pg_attribute
WHERE attrelid = to_regclass(%(table)s) AND attnum > 0 AND NOT attisdropped
"""
_CONSTRAINTS = """
SELECT conname, contype::text, convalidated FROM pg_catalog.pg_constraint
WHERE conrelid = to_regclass(%(table)s) AND contype IN ('p', 'u', 'f', 'c', 'x')
"""
_INDEXES = """
SELECT c.relname, i.indisunique, i.indisvalid AND i.indisready AND i.indislive, m.amname
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_am m ON m.oid = c.relam
WHERE i.indrelid = to_regclass(%(table)s)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
"""
_TRIGGERS = """
SELECT t.tgname, t.tgenabled::text, p.proname, t.tgtype
FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
WHERE t.tgrelid = to_regclass(%(table)s) AND NOT t.tgisinternal
"""
_POLICIES = """
SELECT polname, polpermissive, polcmd::text, ARRAY(
    SELECT coalesce(r.rolname, 'public') FROM unnest(polroles) o LEFT JOIN pg_catalog.pg_roles r ON r.oid = o ORDER BY 1
)::text[], pg_catalog.pg_get_expr(polqual, polrelid), pg_catalog.pg_get_expr(polwithcheck, polrelid)
FROM pg_catalog.pg_policy WHERE polrelid = to_regclass(%(table)s)
"""
_ROW_SECURITY = """
SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_catalog.pg_class WHERE oid = to_regclass(%(table)s)
"""
_GRANTS = """
SELECT coalesce(r.rolname, 'public'), array_agg(a.privilege_type ORDER BY a.privilege_type)::text[],
    bool_or(a.is_grantable)
FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
WHERE c.oid = to_regclass(%(table)s) AND a.grantee <> c.relowner GROUP BY 1
"""
_FUNCTION = """
SELECT p.prosrc, p.prosecdef, coalesce(p.proconfig, '{}')::text[], pg_catalog.pg_get_userbyid(p.proowner)::text,
       ARRAY(SELECT pg_catalog.pg_get_userbyid(a.grantee)::text FROM pg_catalog.aclexplode(p.proacl) a
             WHERE a.grantee <> p.proowner AND a.grantee <> 0 ORDER BY 1)
FROM pg_catalog.pg_proc p
WHERE p.oid = to_regprocedure(%(name)s)
"""
_GRANT = {
    "SCHEMA": """
SELECT a.privilege_type, a.is_grantable FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a
WHERE n.nspname = coalesce(nullif(%(name)s, ''), current_schema())
  AND a.grantee = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %(role)s)
""",
    "FUNCTION": """
SELECT a.privilege_type, a.is_grantable FROM pg_catalog.pg_proc p, pg_catalog.aclexplode(p.proacl) a
WHERE p.oid = to_regprocedure(%(name)s)
  AND a.grantee = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %(role)s)
""",
    "SEQUENCE": """
SELECT a.privilege_type, a.is_grantable FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
WHERE c.oid = to_regclass(%(name)s)
  AND a.grantee = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %(role)s)
""",
}


def exists(connection: Connection, table: Table) -> bool:
    """Whether the table is there."""
    return execute(connection, "SELECT to_regclass(%(table)s)", _name(table)).scalar() is not None


def columns(connection: Connection, table: Table) -> dict[str, Attributes]:
    """Type and nullability of each column."""
    return _ask(connection, _COLUMNS, table, "type", "not null")


def constraints(connection: Connection, table: Table) -> dict[str, Attributes]:
    """Kind and validity of each constraint."""
    return _ask(connection, _CONSTRAINTS, table, "type", "valid")


def indexes(connection: Connection, table: Table) -> dict[str, Attributes]:
    """Uniqueness, validity and method of each index that belongs to no constraint."""
    return _ask(connection, _INDEXES, table, "unique", "valid", "method")


def triggers(connection: Connection, table: Table) -> dict[str, Attributes]:
    """Whether each trigger fires, when, and what it calls."""
    return _ask(connection, _TRIGGERS, table, "enabled", "function", "fires")


def policies(connection: Connection, table: Table) -> dict[str, Attributes]:
    """Command, roles and conditions of each policy."""
    found = _ask(connection, _POLICIES, table, "permissive", "command", "roles", "using", "check")
    for policy in found.values():
        policy["roles"] = tuple(policy["roles"])
        for attribute in ("using", "check"):
            policy[attribute] = policy[attribute] and squeezed(policy[attribute])
    return found


def row_security(connection: Connection, table: Table) -> dict[str, Attributes]:
    """Whether row security is enabled, and forced."""
    return _ask(connection, _ROW_SECURITY, table, "enabled", "forced")


def grants(connection: Connection, table: Table) -> dict[str, Attributes]:
    """The privileges of each role but the owner, under the name that a `Grant` has."""
    return {
        f"TABLE {table.name} TO {role}": {**given, "privileges": tuple(given["privileges"])}
        for role, given in _ask(connection, _GRANTS, table, "privileges", "grantable").items()
    }


def grant(connection: Connection, wanted: Grant) -> Attributes | None:
    """What a role has of the privileges that it should have on something else than a table; None for nothing.

    What it has beyond them is not told: an application may have its own reasons there.
    """
    name = {"SCHEMA": wanted.schema or "", "FUNCTION": wanted.on.partition(" ")[2]}.get(
        wanted.target, qualified(wanted.schema, wanted.name or "")
    )
    rows = execute(connection, _GRANT[wanted.target], {"name": name, "role": wanted.role}).all()
    given = {privilege: grantable for privilege, grantable in rows if privilege in wanted.privileges}
    if not given:
        return None
    return {"privileges": tuple(sorted(given)), "grantable": any(given.values())}


def function(connection: Connection, wanted: Function) -> Attributes | None:
    """Body, settings and rights of a function; None where it is missing."""
    found = execute(connection, _FUNCTION, {"name": wanted.signature}).one_or_none()
    if found is None:
        return None
    body, definer, settings, owner, executable_by = found
    names = tuple(sorted(setting.partition("=")[0] for setting in settings))
    return {
        "body": body,
        "security definer": definer,
        "settings": names,
        "owner": owner,
        "executable by": tuple(executable_by),
    }


def _ask(connection: Connection, query: str, table: Table, *attributes: str) -> dict[str, dict[str, Any]]:
    rows = execute(connection, query, _name(table))
    return {row[0]: dict(zip(attributes, row[1:], strict=True)) for row in rows}


def _name(table: Table) -> dict[str, str | None]:
    return {"table": qualified(table.schema, table.name)}
