"""Store the declared objects of a MetaData, and create and drop them with its tables through DDL events.

Declarations are stored in `MetaData.info`, so that any MetaData can have them. A declaration executes nothing:
`create_all()` and `drop_all()` execute the statements, autogenerate and `check` read the declarations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import DDL, event
from sqlalchemy import inspect as sa_inspect

from dbschema._sqlalchemy import is_part_of_metadata
from dbschema.ddl.base import DatabaseObject, Phase
from dbschema.errors import DeclarationError
from dbschema.sql import check_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Connection, MetaData, Table
    from sqlalchemy.schema import ExecutableDDLElement

    from dbschema.sql import Identity

INFO_KEY = "dbschema.objects"


def declare(metadata: MetaData, *objects: DatabaseObject) -> None:
    """Add declarations to `metadata`; an equal declaration is added once.

    Raises:
        DeclarationError: another declaration with the same identity differs.
    """
    declarations = _objects(metadata)
    for item in objects:
        existing = declarations.setdefault(item.identity, item)
        if existing != item:
            identity = item.identity
            place = f" on table {identity.table!r}" if identity.table else ""
            raise DeclarationError(
                f"The {identity.kind} {identity.name!r}{place} is declared twice, and differently",
                "Declare it once, or give one of them another name",
            )


def declare_for(table: Table, *objects: DatabaseObject) -> None:
    """Declare objects that belong to `table`; `table.create()` and `table.drop()` create and drop them too.

    Otherwise `table.create()` would create a table without row-level security.
    """
    declare(table.metadata, *objects)
    if not event.contains(table, "after_create", _after_create_alone):
        event.listen(table, "before_create", _before_create_alone)
        event.listen(table, "after_create", _after_create_alone)
        event.listen(table, "before_drop", _before_drop_alone)


def withdraw(metadata: MetaData, *objects: DatabaseObject) -> None:
    """Remove declarations, for a table that needs other objects than its mixin declares."""
    for item in objects:
        _objects(metadata).pop(item.identity, None)


def declared(metadata: MetaData, tables: Iterable[Table] | None = None) -> tuple[DatabaseObject, ...]:
    """Return the declared objects in the order of their creation.

    Args:
        metadata: the MetaData with the declarations.
        tables: return only the objects of these tables; None: all objects, except those of tables that were removed from
            `metadata`.
    """
    if tables is None:
        keys = {(table.schema, table.name) for table in metadata.tables.values()}
        selected = (
            item for item in _objects(metadata).values() if item.table_key is None or item.table_key in keys
        )
    else:
        keys = {(table.schema, table.name) for table in tables}
        selected = (item for item in _objects(metadata).values() if item.table_key in keys)
    return tuple(sorted(selected, key=lambda item: item.order))


def executable(statement: str) -> ExecutableDDLElement:
    """Return `statement` as a DDL element that SQLAlchemy executes unchanged: percent signs are escaped."""
    return DDL(statement.replace("%", "%%"))  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


def _objects(metadata: MetaData) -> dict[Identity, DatabaseObject]:
    objects: dict[Identity, DatabaseObject] | None = metadata.info.get(INFO_KEY)
    if objects is None:
        objects = metadata.info[INFO_KEY] = {}
        event.listen(metadata, "before_create", _before_create)
        event.listen(metadata, "after_create", _after_create)
        event.listen(metadata, "before_drop", _before_drop)
        event.listen(metadata, "after_drop", _after_drop)
    return objects


def _wants_tables_only(connection: Connection) -> bool:
    """Return whether `dbschema.catalog` is rendering the tables; it creates the declared objects itself, in other schemas."""
    return getattr(connection, "dbschema_tables_only", False) is True


def _run(connection: Connection, statements: Iterable[str]) -> None:
    for statement in statements:
        connection.execute(executable(statement))


def _without_table(metadata: MetaData, *, before_tables: bool) -> Iterator[DatabaseObject]:
    """Yield the objects that belong to no table: those created before the tables, or those created after them."""
    for item in declared(metadata):
        if item.table_key is None and (item.order < Phase.TABLE) == before_tables:
            yield item


def _before_create(metadata: MetaData, connection: Connection, **_: Any) -> None:
    check_names(metadata)
    if _wants_tables_only(connection):
        return
    for item in _without_table(metadata, before_tables=True):
        _run(connection, item.create())


def _after_create(metadata: MetaData, connection: Connection, *, tables: Sequence[Table], **_: Any) -> None:
    if _wants_tables_only(connection):
        return
    objects = [*_without_table(metadata, before_tables=False), *declared(metadata, tables)]
    for item in sorted(objects, key=lambda item: item.order):
        _run(connection, item.create())


def _before_drop(
    metadata: MetaData, connection: Connection, *, tables: Sequence[Table], checkfirst: Any = False, **_: Any
) -> None:
    if not tables:
        return
    objects = list(declared(metadata, tables))
    if not _tables_remain(metadata, connection, tables, checkfirst):
        objects += _without_table(metadata, before_tables=False)
    for item in sorted(objects, key=lambda item: item.order, reverse=True):
        _run(connection, item.drop())


def _after_drop(
    metadata: MetaData, connection: Connection, *, tables: Sequence[Table], checkfirst: Any = False, **_: Any
) -> None:
    if not tables or _tables_remain(metadata, connection, tables, checkfirst):
        return
    for item in reversed([*_without_table(metadata, before_tables=True)]):
        _run(connection, item.drop())


def _before_create_alone(table: Table, connection: Connection, **context: Any) -> None:
    if not is_part_of_metadata(context):
        _before_create(table.metadata, connection)


def _after_create_alone(table: Table, connection: Connection, **context: Any) -> None:
    if not is_part_of_metadata(context):
        for item in declared(table.metadata, [table]):
            _run(connection, item.create())


def _before_drop_alone(table: Table, connection: Connection, **context: Any) -> None:
    if not is_part_of_metadata(context):
        for item in reversed(declared(table.metadata, [table])):
            _run(connection, item.drop())


def _tables_remain(
    metadata: MetaData, connection: Connection, dropped: Sequence[Table], checkfirst: Any
) -> bool:
    """Return whether other tables of `metadata` remain: they still need its functions, extensions and roles."""
    others = [table for table in metadata.tables.values() if table not in dropped]
    if not others or not checkfirst:
        return bool(others)
    inspector = sa_inspect(connection)
    return any(inspector.has_table(table.name, schema=table.schema) for table in others)
