"""Check the group `roles`: the group roles cannot bypass row-level security (RLS), and PUBLIC has no privilege."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.ddl import Function, Role, declared
from dbschema.ddl.base import qualified, quote
from dbschema.verify.report import Unmet, execute

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, MetaData

    from dbschema.verify.report import Recorder

_ATTRIBUTES = """
SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication, rolcanlogin, coalesce(rolconfig, '{}')
FROM pg_catalog.pg_roles WHERE rolname = %(role)s
"""
_POWERS = (
    ("SUPERUSER", "is a superuser"),
    ("BYPASSRLS", "bypasses row-level security"),
    ("CREATEROLE", "may create roles"),
    ("CREATEDB", "may create databases"),
    ("REPLICATION", "may replicate"),
    ("LOGIN", "may log in"),
)
# The role may own declared functions, which then run with its privileges only.
_OWNS = """
SELECT count(*) FROM pg_catalog.pg_shdepend
WHERE NOT (classid = 'pg_catalog.pg_proc'::regclass AND objid = ANY (ARRAY(
          SELECT to_regprocedure(signature)::oid FROM unnest(string_to_array(%(functions)s, '|')) signature)))
  AND refclassid = 'pg_catalog.pg_authid'::regclass AND deptype = 'o'
  AND refobjid = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %(role)s)
  AND dbid IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
"""
_BELONGS_TO = """
SELECT r.rolname FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid = m.roleid
WHERE m.member = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %(role)s) ORDER BY 1
"""
# A member of a role that owns functions passes the policies for that role. Since PostgreSQL 16, the creator of a role has
# the ADMIN option without being able to inherit it or to SET ROLE.
_LET_IN = """
SELECT u.rolname FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles u ON u.oid = m.member
WHERE m.roleid = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %(role)s) AND NOT u.rolsuper
  AND coalesce((to_jsonb(m) ->> 'inherit_option')::boolean OR (to_jsonb(m) ->> 'set_option')::boolean, true)
ORDER BY 1
"""
_PUBLIC_ON_TABLE = """
SELECT a.privilege_type, '' FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
WHERE c.oid = to_regclass(%(name)s) AND a.grantee = 0
UNION
SELECT a.privilege_type, ' (' || t.attname || ')'
FROM pg_catalog.pg_attribute t, pg_catalog.aclexplode(t.attacl) a
WHERE t.attrelid = to_regclass(%(name)s) AND NOT t.attisdropped AND a.grantee = 0
ORDER BY 1, 2
"""
_PUBLIC_ON_FUNCTION = """
SELECT EXISTS (
    SELECT FROM pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a WHERE a.grantee = 0
) FROM pg_catalog.pg_proc p WHERE p.oid = to_regprocedure(%(name)s)
"""
_PUBLIC_ON_SCHEMA = """
SELECT a.privilege_type FROM pg_catalog.pg_namespace n,
    pg_catalog.aclexplode(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) a
WHERE n.nspname = current_schema() AND a.grantee = 0 AND a.privilege_type = 'CREATE'
"""


def check(recorder: Recorder, metadata: MetaData) -> None:
    """Run the checks of the group."""
    connection = recorder.connection
    for item in declared(metadata):
        if isinstance(item, Role):
            owned = [
                function.signature
                for function in declared(metadata)
                if isinstance(function, Function) and function.owner == item.name
            ]
            recorder.run("roles", item.name, _role(connection, item, owned))
    recorder.run("roles", "PUBLIC on tables", lambda: _public_on_tables(connection, metadata))
    recorder.run("roles", "PUBLIC on functions", lambda: _public_on_functions(connection, metadata))
    recorder.run("roles", "PUBLIC on the schema", lambda: _public_on_schema(connection))


def _role(connection: Connection, role: Role, functions: list[str]) -> Callable[[], str]:
    def run() -> str:
        values = {"role": role.name, "functions": "|".join(functions)}
        row = execute(connection, _ATTRIBUTES, values).one_or_none()
        if row is None:
            raise Unmet(f"missing; have an administrator run CREATE ROLE {quote(role.name)} NOLOGIN")
        *powers, settings = row
        wrong = [
            f"it {meaning}: run ALTER ROLE {quote(role.name)} NO{word}"
            for has, (word, meaning) in zip(powers, _POWERS, strict=True)
            if has
        ]
        wrong += [
            f"{key} is not {value}: run ALTER ROLE {quote(role.name)} SET {key} = '{value}'"
            for key, value in role.settings
            if f"{key}={value}" not in settings
        ]
        if owns := execute(connection, _OWNS, values).scalar():
            wrong.append(
                f"it owns {owns} objects in this database: run REASSIGN OWNED BY {quote(role.name)} TO …"
            )
        wrong += [
            f"it is a member of {other}: run REVOKE {quote(other)} FROM {quote(role.name)}"
            for (other,) in execute(connection, _BELONGS_TO, values)
        ]
        if functions:
            wrong += [
                f"{member} is a member of it, and sees all rows that its functions see:"
                f" run REVOKE {quote(role.name)} FROM {quote(member)}"
                for (member,) in execute(connection, _LET_IN, values)
            ]
        if wrong:
            raise Unmet("; ".join(wrong))
        if functions:
            return (
                f"no power of its own, owns {len(functions)} functions and nothing else, nobody is a member"
            )
        return "no power of its own, owns nothing, bound by row-level security"

    return run


def _public_on_tables(connection: Connection, metadata: MetaData) -> str:
    wrong = [
        f"{privilege}{column} on {table.fullname}"
        for table in metadata.sorted_tables
        for privilege, column in execute(
            connection, _PUBLIC_ON_TABLE, {"name": qualified(table.schema, table.name)}
        )
    ]
    if wrong:
        raise Unmet(f"everybody has {', '.join(wrong)}; run REVOKE ALL ON … FROM PUBLIC")
    return f"nothing on {len(metadata.tables)} tables"


def _public_on_functions(connection: Connection, metadata: MetaData) -> str:
    functions = [item.signature for item in declared(metadata) if isinstance(item, Function)]
    wrong = [name for name in functions if execute(connection, _PUBLIC_ON_FUNCTION, {"name": name}).scalar()]
    if wrong:
        raise Unmet(f"everybody may execute {', '.join(wrong)}; run REVOKE ALL ON FUNCTION … FROM PUBLIC")
    return f"nothing on {len(functions)} functions"


def _public_on_schema(connection: Connection) -> str:
    if execute(connection, _PUBLIC_ON_SCHEMA).first() is not None:
        schema = quote(str(execute(connection, "SELECT current_schema()").scalar()))
        raise Unmet(f"everybody may create objects in it; run REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC")
    return "may create nothing in it"
