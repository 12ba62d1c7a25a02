"""The statements that `create_all()` would send, without a database to send them to."""

from __future__ import annotations

from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, Any

from sqlalchemy.schema import CreateIndex

from dbschema._sqlalchemy import MetadataConnection, PGDDLCompiler, offline_dialect
from dbschema.catalog.moving import moved
from dbschema.ddl.base import Phase
from dbschema.ddl.registry import declared

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sqlalchemy import Dialect, MetaData

    from dbschema.catalog.plain import Plain
    from dbschema.ddl.base import DatabaseObject

COMPILING = RLock()
"""GeoAlchemy2 takes indexes off a table while `create_all()` is at it: a second thread would miss them."""

NOT_IN_A_SCHEMA = ("extension", "role")
"""Kinds of declared objects that a throw-away schema cannot hold."""


class _Compiler(PGDDLCompiler):
    """Compiles tables without the constraints that `plain` takes."""

    def __init__(self, plain: Plain, *args: Any, **kw: Any) -> None:
        self._plain = plain
        super().__init__(*args, **kw)

    def visit_primary_key_constraint(self, constraint: Any, **kw: Any) -> Any:
        if self._plain.takes_key(constraint, self.define_primary_key_body(constraint)):
            return None  # the sign for "leave it out" in create_table_constraints
        return super().visit_primary_key_constraint(constraint, **kw)  # type: ignore[no-untyped-call]  # SQLAlchemy's

    def visit_unique_constraint(self, constraint: Any, **kw: Any) -> Any:
        if self._plain.takes_key(constraint, self.define_unique_body(constraint)):
            return None
        return super().visit_unique_constraint(constraint, **kw)  # type: ignore[no-untyped-call]  # SQLAlchemy's

    def visit_foreign_key_constraint(self, constraint: Any, **kw: Any) -> Any:
        if self._plain.takes_foreign_key(constraint):
            return None
        return super().visit_foreign_key_constraint(constraint, **kw)  # type: ignore[no-untyped-call]  # SQLAlchemy's


class _StandIn(MetadataConnection):
    """Takes what `create_all()` and other listeners send; the registry's own objects are made in `statements`."""

    dbschema_tables_only = True


def dialect_like(initialised: Dialect, plain: Plain) -> Dialect:
    """A dialect that compiles as `initialised` does, for statements that are sent as they are, in a transaction.

    Percent signs stay single, for no driver will format them, and no index is made concurrently.
    """
    dialect = offline_dialect(initialised)
    dialect.ddl_compiler = partial(_Compiler, plain)
    return dialect  # type: ignore[no-any-return]  # see above


def statements(
    metadata: MetaData, dialect: Dialect, schemas: Mapping[str | None, str], plain: Plain
) -> list[str]:
    """All that builds `metadata` and what is declared for it in other schemas, in order.

    Args:
        metadata: the models.
        dialect: of the connection.
        schemas: the real name of each schema that the models name. What has no schema keeps none, and goes where
            search_path leads; only functions and privileges on schemas are written out.
        plain: takes out what the server need not see.
    """
    objects = declared(metadata)
    built = [item for item in objects if item.kind not in NOT_IN_A_SCHEMA and not plain.takes_object(item)]
    before = [item for item in built if item.order < Phase.TABLE]
    after = [item for item in built if item.order >= Phase.TABLE]
    return [
        *_created(before, schemas),
        *_tables(metadata, dialect_like(dialect, plain), schemas, plain),
        *_created(after, schemas),
    ]


def _created(objects: Iterable[DatabaseObject], schemas: Mapping[str | None, str]) -> Iterator[str]:
    for item in objects:
        yield from moved(item, schemas).create()


def _tables(
    metadata: MetaData, dialect: Dialect, schemas: Mapping[str | None, str], plain: Plain
) -> list[str]:
    sent: list[str] = []
    options: dict[str, Any] = {"compile_kwargs": {"literal_binds": True}}
    translated = {name: shadow for name, shadow in schemas.items() if name is not None}
    if {table.schema for table in metadata.tables.values()} != {None}:
        options |= {"schema_translate_map": translated, "render_schema_translate": True}

    def execute(element: Any, *_: Any, **__: Any) -> None:
        if plain.takes_element(element):
            return
        statement = str(element.compile(dialect=dialect, **options)).strip()
        if not isinstance(element, CreateIndex) or not plain.takes_index(element, statement):
            sent.append(statement)

    with COMPILING:
        metadata.create_all(_StandIn(dialect, execute), checkfirst=False)
    return sent
