"""Check and create the prerequisites of a build: privileges, extensions, roles, and no default privileges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import errors as server_errors

from dbschema.catalog.errors import may_not_create_schema, missing_extension, missing_role, read_only
from dbschema.catalog.session import ask, entered, locate, reason
from dbschema.ddl.base import quote
from dbschema.ddl.extensions import Extension
from dbschema.ddl.grants import Grant
from dbschema.ddl.registry import declared
from dbschema.ddl.roles import Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection, MetaData

    from dbschema.catalog.session import Place
    from dbschema.ddl.base import DatabaseObject


RIGHTS = """
SELECT has_database_privilege(current_database(), 'CREATE'), current_setting('transaction_read_only')::bool,
       pg_is_in_recovery()
"""

# The session's own temporary tables would be read as tables of the models.
TEMPORARY = """
SELECT has_database_privilege(current_database(), 'TEMPORARY')
       AND NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = pg_my_temp_schema())
       AND NOT EXISTS (SELECT FROM pg_type WHERE typnamespace = pg_my_temp_schema())
       AND NOT EXISTS (SELECT FROM pg_proc WHERE pronamespace = pg_my_temp_schema())
"""

DEFAULT_PRIVILEGES = """
SELECT d.defaclobjtype::text,
       ARRAY(SELECT DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END
             FROM aclexplode(d.defaclacl) x)
FROM pg_default_acl d JOIN pg_roles r ON r.oid = d.defaclrole
WHERE d.defaclnamespace = 0 AND r.rolname = current_user
"""
OBJECT_TYPES = {"r": "TABLES", "S": "SEQUENCES", "f": "FUNCTIONS", "T": "TYPES", "n": "SCHEMAS"}
PUBLIC_DEFAULTS = {"f": "EXECUTE ON FUNCTIONS", "T": "USAGE ON TYPES"}
"""The privileges of PUBLIC on a new object without GRANT or REVOKE, by type of object."""


def require_rights(cursor: Any, place: Place) -> None:
    """Check that the models can be built.

    Raises:
        NotWritable: the transaction is read-only, as on a standby.
        MissingPrivilege: the role may not create a schema in the database.
    """
    ((may_create, may_only_read, recovery),) = ask(cursor, RIGHTS)
    if may_only_read:
        raise read_only(place.database, recovery=recovery)
    if not may_create:
        statement = f"GRANT CREATE ON DATABASE {quote(place.database)} TO {quote(place.user)}"
        raise may_not_create_schema(place.database, place.user, statement)


def may_use_temporary_tables(cursor: Any) -> bool:
    """Whether the session may create temporary tables, and has none."""
    ((answer,),) = ask(cursor, TEMPORARY)
    return bool(answer)


def provide(cursor: Any, place: Place, objects: Sequence[DatabaseObject]) -> Place:
    """Create the missing extensions and roles of `objects`, and return the updated place.

    Raises:
        CatalogError: an extension cannot be created.
        MissingPrivilege: the user may not create a role.
    """
    installed = {name for (name,) in ask(cursor, "SELECT extname::text FROM pg_extension")}
    extensions = [item for item in objects if isinstance(item, Extension) and item.name not in installed]
    for extension in extensions:
        _create_extension(cursor, extension, place)
    there = {name for (name,) in ask(cursor, "SELECT rolname::text FROM pg_roles")}
    for role in (item for item in objects if isinstance(item, Role) and item.name not in there):
        _create_role(cursor, role, place)
    return locate(cursor, place.version_table) if extensions else place


def without_default_privileges(cursor: Any) -> list[str]:
    """Return the statements after which new objects have only PostgreSQL's built-in privileges.

    Otherwise the connected role's default privileges for all schemas become part of the expected catalog, and hide
    their effect on the real objects.
    """
    statements: list[str] = []
    for kind, grantees in ask(cursor, DEFAULT_PRIVILEGES):
        word = OBJECT_TYPES[kind]
        statements += [
            f"ALTER DEFAULT PRIVILEGES REVOKE ALL ON {word} FROM {grantee}"
            for grantee in _with_public(grantees)
        ]
        statements.append(f"ALTER DEFAULT PRIVILEGES GRANT ALL ON {word} TO CURRENT_USER")
        if kind in PUBLIC_DEFAULTS:
            statements.append(f"ALTER DEFAULT PRIVILEGES GRANT {PUBLIC_DEFAULTS[kind]} TO PUBLIC")
    return statements


def _with_public(grantees: Iterable[str]) -> list[str]:
    return sorted({*grantees, "PUBLIC"})


def _create_extension(cursor: Any, extension: Extension, place: Place) -> None:
    try:
        for statement in extension.create():
            cursor.execute(statement)
    except (server_errors.FeatureNotSupported, server_errors.UndefinedFile) as error:
        raise missing_extension(extension.name, place.database, reason(error), installed=False) from error
    except server_errors.Error as error:
        raise missing_extension(extension.name, place.database, reason(error), installed=True) from error


def _create_role(cursor: Any, role: Role, place: Place) -> None:
    try:
        for statement in role.create():
            cursor.execute(statement)
    except server_errors.InsufficientPrivilege as error:
        statement = (error.diag.message_hint or "").removeprefix("Have an administrator run: ")
        raise missing_role(role.name, place.user, statement or f"CREATE ROLE {quote(role.name)}") from error


ROLES = """
SELECT r.rolname::text,
       EXISTS (SELECT FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid
               WHERE d.datname = current_database() AND s.refclassid = 'pg_authid'::regclass AND s.refobjid = r.oid)
FROM pg_roles r
"""


def roles_in_database(connection: Connection, metadata: MetaData) -> Mapping[str, bool]:
    """Return for each declared role whether it exists and belongs to this database.

    Roles belong to the cluster, so a role may have been created for another database. It belongs to this database if an
    object here depends on it, or if `metadata` grants nothing to it and no object ever will.

    Args:
        connection: in any transaction state, which is preserved.
        metadata: the models and their declared objects.
    """
    objects = declared(metadata)
    granted = {item.role for item in objects if isinstance(item, Grant)}
    with entered(connection) as cursor:
        known = dict(ask(cursor, ROLES))
    return {
        item.name: item.name in known and (known[item.name] or item.name not in granted)
        for item in objects
        if isinstance(item, Role)
    }
