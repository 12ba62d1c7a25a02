"""The objects declared for a MetaData, and the DDL events that create and drop them with its tables.

Declarations live in `MetaData.info`, so that any MetaData can have them. Nothing is executed when something is declared;
`create_all()` and `drop_all()` execute, autogenerate and `check` read.
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
    """Add objects to what `metadata` declares; the same declaration twice is one.

    Raises:
        DeclarationError: an object of the same identity is declared differently.
    """
    known = _objects(metadata)
    for item in objects:
        before = known.setdefault(item.identity, item)
        if before != item:
            identity = item.identity
            place = f" on table {identity.table!r}" if identity.table else ""
            raise DeclarationError(
                f"The {identity.kind} {identity.name!r}{place} is declared twice, and differently",
                "Declare it once, or give one of them another name",
            )


def declare_for(table: Table, *objects: DatabaseObject) -> None:
    """Declare objects that belong to `table`, which then also come with it when it alone is created or dropped.

    Without that, `table.create()` would make a table without its row security.
    """
    declare(table.metadata, *objects)
    if not event.contains(table, "after_create", _after_create_alone):
        event.listen(table, "before_create", _before_create_alone)
        event.listen(table, "after_create", _after_create_alone)
        event.listen(table, "before_drop", _before_drop_alone)


def withdraw(metadata: MetaData, *objects: DatabaseObject) -> None:
    """Take declarations back, for a table that wants something else than its mixin declares."""
    for item in objects:
        _objects(metadata).pop(item.identity, None)


def declared(metadata: MetaData, tables: Iterable[Table] | None = None) -> tuple[DatabaseObject, ...]:
    """The declared objects in the order of their creation.

    Args:
        metadata: whose declarations.
        tables: only the objects that stand on one of these tables; None: all, but none of a table that has gone.
    """
    if tables is None:
        keys = {(table.schema, table.name) for table in metadata.tables.values()}
        chosen = (
            item for item in _objects(metadata).values() if item.table_key is None or item.table_key in keys
        )
    else:
        keys = {(table.schema, table.name) for table in tables}
        chosen = (item for item in _objects(metadata).values() if item.table_key in keys)
    return tuple(sorted(chosen, key=lambda item: item.order))


def executable(statement: str) -> ExecutableDDLElement:
    """`statement` as something SQLAlchemy executes unchanged (`DDL` would format percent signs)."""
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
    """Whether this is the stand-in of `dbschema.catalog`, which makes the declared objects by itself, in other schemas."""
    return getattr(connection, "dbschema_tables_only", False) is True


def _run(connection: Connection, statements: Iterable[str]) -> None:
    for statement in statements:
        connection.execute(executable(statement))


def _standing(metadata: MetaData, *, before_tables: bool) -> Iterator[DatabaseObject]:
    """The objects that stand on no table: those made before the tables, or those made after them."""
    for item in declared(metadata):
        if item.table_key is None and (item.order < Phase.TABLE) == before_tables:
            yield item


def _before_create(metadata: MetaData, connection: Connection, **_: Any) -> None:
    check_names(metadata)
    if _wants_tables_only(connection):
        return
    for item in _standing(metadata, before_tables=True):
        _run(connection, item.create())


def _after_create(metadata: MetaData, connection: Connection, *, tables: Sequence[Table], **_: Any) -> None:
    if _wants_tables_only(connection):
        return
    objects = [*_standing(metadata, before_tables=False), *declared(metadata, tables)]
    for item in sorted(objects, key=lambda item: item.order):
        _run(connection, item.create())


def _before_drop(
    metadata: MetaData, connection: Connection, *, tables: Sequence[Table], checkfirst: Any = False, **_: Any
) -> None:
    if not tables:
        return
    objects = list(declared(metadata, tables))
    if not _left(metadata, connection, tables, checkfirst):
        objects += _standing(metadata, before_tables=False)
    for item in sorted(objects, key=lambda item: item.order, reverse=True):
        _run(connection, item.drop())


def _after_drop(
    metadata: MetaData, connection: Connection, *, tables: Sequence[Table], checkfirst: Any = False, **_: Any
) -> None:
    if not tables or _left(metadata, connection, tables, checkfirst):
        return
    for item in reversed([*_standing(metadata, before_tables=True)]):
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


def _left(metadata: MetaData, connection: Connection, dropped: Sequence[Table], checkfirst: Any) -> bool:
    """Whether tables of `metadata` remain, which still need its functions, extensions and roles."""
    others = [table for table in metadata.tables.values() if table not in dropped]
    if not others or not checkfirst:
        return bool(others)
    inspector = sa_inspect(connection)
    return any(inspector.has_table(table.name, schema=table.schema) for table in others)
