"""The models, built in a throw-away schema, so that the server itself says what they mean.

Everything happens in a transaction, or a savepoint of the one that is open, and is rolled back. Real objects are neither
changed nor locked. Where the models name no schema, their tables are temporary ones: the server then writes no
write-ahead log and synchronises no file, which takes half the time. What cannot be temporary (an unlogged table, a
materialized view, tables in a schema of their own) makes it start again with ordinary tables. All of it is one
transaction, for the tables refer to each other, so its locks cannot be spread over several.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors as server_errors
from sqlalchemy.exc import SQLAlchemyError

from dbschema.catalog import declarations, fingerprint, offline, prerequisites
from dbschema.catalog.asking import ask, reason
from dbschema.catalog.errors import models_refused, too_many_locks, unreadable
from dbschema.catalog.place import PRINTING, VERSION_TABLE, locate, oids, search_path, settings
from dbschema.catalog.plain import Everything, Plain
from dbschema.catalog.transaction import entered, scratch
from dbschema.ddl.registry import declared

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Connection, MetaData

    from dbschema.catalog.model import Catalog
    from dbschema.catalog.place import Place
    from dbschema.errors import CatalogError, DbSchemaError

TEMPORARY = "pg_temp"
SETTINGS = {
    "check_function_bodies": "off",
    "client_min_messages": "error",
    "standard_conforming_strings": "on",
    "default_tablespace": "",
    "temp_tablespaces": "",
}
"""What decides how the statements are understood; a function's body may speak of what is not there."""

NOT_BUILT = ("extension", "role", "default privileges")
"""Kinds that no schema holds: the models declare them, or (default privileges) want none."""

NOT_THE_MODELS = ("08", "40", "53", "55", "57")
"""Classes of SQLSTATE that tell of the server's state, not of the statement: connection, rollback, resources, operator."""


def build(
    connection: Connection,
    metadata: MetaData,
    *,
    version_table: str = VERSION_TABLE,
    positions: bool = False,
) -> Catalog:
    """The catalog that `metadata` wants, as the server behind `connection` prints it; nothing stays behind.

    Args:
        connection: in any transaction state; left as it was.
        metadata: the models, with what is declared for them.
        version_table: the table that Alembic keeps its revision in; its owner's ownership goes without saying.
        positions: read the positions of columns as well.

    Raises:
        CatalogError: the server does not answer, lacks an extension, or has no room for the locks.
        MissingPrivilege: the role may not create a schema, or a role that is missing.
        NotWritable: the transaction is read-only.
        DeclarationError: the server rejects a statement of the models.
    """
    with entered(connection) as cursor:
        place = locate(cursor, version_table)
        return Shadow(connection, metadata, place).build(cursor, positions=positions)


class Shadow:
    """One building of the models.

    Args:
        connection: for the scratch transactions within, and for its dialect.
        metadata: the models.
        place: where the connection stands.
    """

    def __init__(self, connection: Connection, metadata: MetaData, place: Place) -> None:
        self._connection, self._metadata, self._place = connection, metadata, place
        named = declarations.schemas(metadata)
        self._temporary = self._shortened = not named
        token = f"dbschema_{secrets.token_hex(6)}"
        self._names: dict[str | None, str] = {None: token, place.default_schema: token}
        for number, name in enumerate(sorted(named - {place.default_schema})):
            self._names[name] = f"{token}_{number}"
        self._plain: Plain = Everything()
        self._statements: list[str] = []

    def prepare(self) -> None:
        """Compile the statements, which needs no server, so that it can be done while the server does something else."""
        if self._shortened:
            tables = self._metadata.tables.values()
            self._plain = Plain(self._place.keywords, self._place.user, tables)
        else:
            self._plain = Everything()
        try:
            self._statements = offline.statements(
                self._metadata, self._connection.dialect, self._names, self._plain
            )
        except SQLAlchemyError as error:
            raise models_refused(" ".join(str(error).split())) from error

    def build(self, cursor: Any, *, positions: bool = False) -> Catalog:
        """Build, read, roll back. `cursor` is of a scratch transaction, in which missing extensions and roles are made.

        It is tried in the short way first; where the server refuses that, in the long one.
        """
        objects = declared(self._metadata)
        prerequisites.require_rights(cursor, self._place)
        self._place = prerequisites.provide(cursor, self._place, objects)
        if self._temporary and not prerequisites.may_use_temporary_tables(cursor):
            self._temporary = False
        try:
            return self._built(positions=positions)
        except psycopg.Error as error:
            if _tells_of_the_server(error):
                raise self._failure(cursor, error) from error
        # Something cannot be temporary, needs what was left out, or is wrong in itself: now it will show.
        self._temporary = self._shortened = False
        self._statements = []
        try:
            return self._built(positions=positions)
        except psycopg.Error as error:
            if _tells_of_the_server(error):
                raise self._failure(cursor, error) from error
            raise self._blame(error) from error

    def _built(self, *, positions: bool) -> Catalog:
        if not self._statements:
            self.prepare()
        with scratch(self._connection) as cursor:
            cursor.execute(";\n".join([*self._setting_up(cursor), *self._statements]))
            scope = fingerprint.Scope(
                self._schemas(cursor), self._place.owners, without=NOT_BUILT, has_members=False
            )
            answers = fingerprint.collect(cursor, scope)
            if positions:
                fingerprint.add_positions(cursor, scope, answers)
            if self._temporary:
                declarations.make_permanent(answers)
            declarations.rename(answers, self._real_names())
            self._plain.add_to(answers.entries)
            declarations.add(cursor, answers, declared(self._metadata), self._names, self._place)
        return answers.catalog()

    def _setting_up(self, cursor: Any) -> list[str]:
        path = [TEMPORARY, self._names[None]] if self._temporary else [self._names[None]]
        for name in self._place.extension_schemas:
            # An extension may be in a schema of the models: then its copy is as visible as the schema itself is.
            path += [self._names[name], name] if name in self._names else [name]
        values = {"search_path": search_path(path)} | SETTINGS | PRINTING
        return [
            settings(values),
            *prerequisites.without_default_privileges(cursor),
            *(f"CREATE SCHEMA {name}" for name in self._shadows()),
        ]

    def _shadows(self) -> Collection[str]:
        return dict.fromkeys(self._names.values())

    def _schemas(self, cursor: Any) -> dict[int, str | None]:
        """Logical name by oid, of the schemas that hold what was built."""
        default = self._place.default_schema
        schemas = oids(cursor, {shadow: name for name, shadow in self._names.items() if name != default})
        if self._temporary:
            ((oid,),) = ask(cursor, "SELECT pg_my_temp_schema()")
            schemas[oid] = None
        return schemas

    def _real_names(self) -> dict[str, str]:
        """Real name by throw-away name, the longer ones first, for they begin with the shorter one."""
        names = {shadow: name for name, shadow in self._names.items() if name is not None}
        return dict(sorted(names.items(), reverse=True))

    def _failure(self, cursor: Any, error: psycopg.Error) -> CatalogError:
        if isinstance(error, server_errors.OutOfMemory):
            ((setting,),) = ask(cursor, "SHOW max_locks_per_transaction")
            return too_many_locks(len(self._metadata.tables), int(setting))
        return unreadable(self._place.database, reason(error))

    def _blame(self, error: psycopg.Error) -> DbSchemaError:
        """The error that names the statement: in a batch the server does not say which one it was."""
        with scratch(self._connection) as cursor:
            for statement in [*self._setting_up(cursor), *self._statements]:
                try:
                    cursor.execute(statement)
                except psycopg.Error as refused:
                    return models_refused(reason(refused), statement)
        return unreadable(self._place.database, reason(error))


def _tells_of_the_server(error: psycopg.Error) -> bool:
    return error.sqlstate is None or error.sqlstate.startswith(NOT_THE_MODELS)
