"""Build the models in a scratch schema and read the expected catalog, as the server prints it.

The build runs in a transaction, or in a savepoint of the open one, and is rolled back. Real objects are neither changed
nor locked. If the models name no schema, their tables are temporary: the server writes no write-ahead log and syncs no
file, which halves the time. If an object cannot be temporary (an unlogged table, a materialized view), the build starts
again with ordinary tables. The tables refer to each other, so all locks belong to one transaction.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors as server_errors
from sqlalchemy.exc import SQLAlchemyError

from dbschema.catalog import introspect, offline, prerequisites
from dbschema.catalog.errors import models_rejected, too_many_locks, unreadable
from dbschema.catalog.offline import relocate
from dbschema.catalog.predicted import NothingPredicted, PredictedEntries
from dbschema.catalog.session import (
    PRINTING,
    VERSION_TABLE,
    ask,
    entered,
    locate,
    oids,
    reason,
    scratch,
    search_path,
    settings,
)
from dbschema.ddl.base import quote
from dbschema.ddl.extensions import Extension
from dbschema.ddl.functions import Function
from dbschema.ddl.registry import declared
from dbschema.ddl.roles import Role
from dbschema.sql import Identity, sql_string

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from sqlalchemy import Connection, MetaData

    from dbschema.catalog.introspect import IntrospectedRows
    from dbschema.catalog.model import Attributes, Catalog, Value
    from dbschema.catalog.session import Place
    from dbschema.ddl.base import DatabaseObject
    from dbschema.errors import CatalogError, DbSchemaError


TEMPORARY = "pg_temp"
SETTINGS = {
    "check_function_bodies": "off",
    "client_min_messages": "error",
    "standard_conforming_strings": "on",
    "default_tablespace": "",
    "temp_tablespaces": "",
}
"""Settings that affect how the statements are parsed; the body of a function may name objects that do not exist."""

NOT_BUILT = ("extension", "role", "default privileges")
"""Kinds outside a schema: taken from the declarations, or (default privileges) never expected."""

SERVER_STATE = ("08", "40", "53", "55", "57")
"""Classes of SQLSTATE caused by the server's state, not by the statement: connection, rollback, resources, operator."""


def build(
    connection: Connection,
    metadata: MetaData,
    *,
    version_table: str = VERSION_TABLE,
    positions: bool = False,
) -> Catalog:
    """Return the catalog that `metadata` asks for, as the server behind `connection` prints it. Raises as `check`.

    Everything that it creates is rolled back.

    Args:
        connection: in any transaction state, which is preserved.
        metadata: the models and their declared objects.
        version_table: Alembic's version table; ownership by its owner is not reported.
        positions: read the positions of columns as well.
    """
    with entered(connection) as cursor:
        place = locate(cursor, version_table)
        return DesiredState(connection, metadata, place).build(cursor, positions=positions)


class DesiredState:
    """One build of the models in scratch schemas.

    Args:
        connection: runs the scratch transactions and provides the dialect.
        metadata: the models.
        place: the schema, database and user of the connection.
    """

    def __init__(self, connection: Connection, metadata: MetaData, place: Place) -> None:
        self._connection, self._metadata, self._place = connection, metadata, place
        named = named_schemas(metadata)
        self._temporary = self._use_predictions = not named
        token = f"dbschema_{secrets.token_hex(6)}"
        self._names: dict[str | None, str] = {None: token, place.default_schema: token}
        for number, name in enumerate(sorted(named - {place.default_schema})):
            self._names[name] = f"{token}_{number}"
        self._predicted: PredictedEntries = NothingPredicted()
        self._statements: list[str] = []

    def prepare(self) -> None:
        """Compile the statements. Needs no server, so it can run while the server answers another query."""
        if self._use_predictions:
            tables = self._metadata.tables.values()
            self._predicted = PredictedEntries(self._place.keywords, self._place.user, tables)
        else:
            self._predicted = NothingPredicted()
        try:
            self._statements = offline.statements(
                self._metadata, self._connection.dialect, self._names, self._predicted
            )
        except SQLAlchemyError as error:
            raise models_rejected(" ".join(str(error).split())) from error

    def build(self, cursor: Any, *, positions: bool = False) -> Catalog:
        """Build, read, roll back. `cursor` belongs to a scratch transaction, which creates missing extensions and roles.

        The first attempt uses temporary tables and predicted entries. If the server rejects it, the second builds
        everything as ordinary objects.
        """
        objects = declared(self._metadata)
        prerequisites.require_rights(cursor, self._place)
        self._place = prerequisites.provide(cursor, self._place, objects)
        if self._temporary and not prerequisites.may_use_temporary_tables(cursor):
            self._temporary = False
        try:
            return self._build(positions=positions)
        except psycopg.Error as error:
            if _is_server_state(error):
                raise self._failure(cursor, error) from error
        # An object cannot be temporary, needs a predicted object, or is invalid: the full build decides.
        self._temporary = self._use_predictions = False
        self._statements = []
        try:
            return self._build(positions=positions)
        except psycopg.Error as error:
            if _is_server_state(error):
                raise self._failure(cursor, error) from error
            raise self._rejected_statement(error) from error

    def _build(self, *, positions: bool) -> Catalog:
        if not self._statements:
            self.prepare()
        with scratch(self._connection) as cursor:
            cursor.execute(";\n".join([*self._setup(cursor), *self._statements]))
            scope = introspect.Scope(
                self._schemas(cursor), self._place.owners, without=NOT_BUILT, has_members=False
            )
            result = introspect.collect(cursor, scope)
            if positions:
                introspect.add_positions(cursor, scope, result)
            if self._temporary:
                make_permanent(result)
            rename(result, self._real_names())
            self._predicted.add_to(result.entries)
            add(cursor, result, declared(self._metadata), self._names, self._place)
        return result.catalog()

    def _setup(self, cursor: Any) -> list[str]:
        path = [TEMPORARY, self._names[None]] if self._temporary else [self._names[None]]
        for name in self._place.extension_schemas:
            # An extension may be in a schema of the models: then both the scratch schema and the schema are visible.
            path += [self._names[name], name] if name in self._names else [name]
        values = {"search_path": search_path(path)} | SETTINGS | PRINTING
        return [
            settings(values),
            *prerequisites.without_default_privileges(cursor),
            *(f"CREATE SCHEMA {name}" for name in self._scratch_schemas()),
        ]

    def _scratch_schemas(self) -> Collection[str]:
        return dict.fromkeys(self._names.values())

    def _schemas(self, cursor: Any) -> dict[int, str | None]:
        """Return the logical name by oid of the schemas that were built."""
        default = self._place.default_schema
        schemas = oids(
            cursor, {scratch_schema: name for name, scratch_schema in self._names.items() if name != default}
        )
        if self._temporary:
            ((oid,),) = ask(cursor, "SELECT pg_my_temp_schema()")
            schemas[oid] = None
        return schemas

    def _real_names(self) -> dict[str, str]:
        """Return the real name by scratch name, in descending order: a longer name starts with a shorter one."""
        names = {scratch_schema: name for name, scratch_schema in self._names.items() if name is not None}
        return dict(sorted(names.items(), reverse=True))

    def _failure(self, cursor: Any, error: psycopg.Error) -> CatalogError:
        if isinstance(error, server_errors.OutOfMemory):
            ((setting,),) = ask(cursor, "SHOW max_locks_per_transaction")
            return too_many_locks(len(self._metadata.tables), int(setting))
        return unreadable(self._place.database, reason(error))

    def _rejected_statement(self, error: psycopg.Error) -> DbSchemaError:
        """Find the rejected statement by executing them one at a time: in a batch the server does not name it."""
        with scratch(self._connection) as cursor:
            for statement in [*self._setup(cursor), *self._statements]:
                try:
                    cursor.execute(statement)
                except psycopg.Error as rejection:
                    return models_rejected(reason(rejection), statement)
        return unreadable(self._place.database, reason(error))


def _is_server_state(error: psycopg.Error) -> bool:
    return error.sqlstate is None or error.sqlstate.startswith(SERVER_STATE)


OWNED = """
SELECT p.proname || '(' || oidvectortypes(p.proargtypes) || ')', r.oid
FROM pg_proc p LEFT JOIN pg_roles r ON r.rolname = {owner}
WHERE p.oid = to_regprocedure({signature})
"""


def named_schemas(metadata: MetaData) -> set[str]:
    """Return the schemas that tables and declared objects name."""
    named = {table.schema for table in metadata.tables.values()}
    named |= {item.identity.schema for item in declared(metadata)}
    return {name for name in named if name is not None}


def names(metadata: MetaData, kind: type[Extension | Role]) -> tuple[str, ...]:
    """Return the names of the declared extensions or roles."""
    return tuple(item.name for item in declared(metadata) if isinstance(item, kind))


def rename(result: IntrospectedRows, real: Mapping[str, str]) -> None:
    """Replace the names of scratch schemas in the printed catalog with the real names, in place.

    Scratch names are random, so they occur nowhere else. The server prints visible objects without a schema.
    """
    token = min(real, key=len)
    for identity, attributes in list(result.entries.items()):
        if token in identity.name:  # an argument's type from a schema of the models
            del result.entries[identity]
        elif not any(_contains(value, token) for value in attributes.values()):
            continue
        renamed = {name: _renamed(part, real) for name, part in attributes.items()}
        result.entries[identity._replace(name=str(_renamed(identity.name, real)))] = renamed
    result.granted = [
        (
            identity._replace(name=str(_renamed(identity.name, real))),
            target,
            str(_renamed(name, real)),
        )
        if token in name
        else (identity, target, name)
        for identity, target, name in result.granted
    ]


def make_permanent(result: IntrospectedRows) -> None:
    """Mark temporary tables as permanent, in place. An unlogged table cannot be among them: it is never temporary."""
    for identity, attributes in result.entries.items():
        if attributes.get("persistence") == "temporary":
            result.entries[identity] = {**attributes, "persistence": "permanent"}


def add(
    cursor: Any,
    result: IntrospectedRows,
    objects: Iterable[DatabaseObject],
    schemas: Mapping[str | None, str],
    place: Place,
) -> None:
    """Add what the build leaves out: declared extensions, roles and owners of functions."""
    for item in objects:
        if isinstance(item, Extension):
            result.entries[item.identity] = {}
        elif isinstance(item, Role):
            result.entries[item.identity] = _role(item)
        elif isinstance(item, Function) and item.owner is not None:
            _set_owner(cursor, result, item, schemas, place)


def _role(role: Role) -> Attributes:
    return {
        "login": False,
        "superuser": False,
        "bypass row-level security": False,
        "create role": False,
        "create database": False,
        "replication": False,
        "connection limit": None,
        "settings": tuple(sorted(f"{name}={value}" for name, value in role.settings)),
        "settings in this database": (),
        "member of": (),
    }


def _set_owner(
    cursor: Any,
    result: IntrospectedRows,
    function: Function,
    schemas: Mapping[str | None, str],
    place: Place,
) -> None:
    """Set the owner in the catalog only: ALTER OWNER would need privileges on the owner that a comparison must not need."""
    copy = relocate(function, schemas)
    signature = copy.signature if isinstance(copy, Function) else function.signature
    rows = ask(
        cursor,
        OWNED.format(owner=sql_string(str(function.owner)), signature=sql_string(signature)),
    )
    for name, owner in rows:
        schema = None if function.schema == place.default_schema else function.schema
        identity = Identity("function", schema, "", name)
        is_implied = owner in place.owners
        result.entries[identity] = {
            **result.entries[identity],
            "owner": None if is_implied else function.owner,
        }
        result.entries.pop(Identity("grant", schema, "", f"FUNCTION {name} TO {function.owner}"), None)


def _contains(value: Value, token: str) -> bool:
    return (type(value) is str and token in value) or (type(value) is tuple and token in "".join(value))


def _renamed(value: Value, real: Mapping[str, str]) -> Value:
    if isinstance(value, tuple):
        return tuple(str(_renamed(part, real)) for part in value)
    if isinstance(value, str):
        for scratch_schema, name in real.items():
            value = value.replace(scratch_schema, quote(name))
    return value
