"""Compile the statements of `create_all()` and of the declared objects for scratch schemas, without a database."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, Any

from sqlalchemy.schema import CreateIndex

from dbschema._sqlalchemy import MetadataConnection, PGDDLCompiler, offline_dialect
from dbschema.ddl.base import Phase
from dbschema.ddl.functions import Function
from dbschema.ddl.grants import Grant
from dbschema.ddl.registry import declared
from dbschema.ddl.row_security import Policy
from dbschema.ddl.triggers import Trigger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sqlalchemy import Dialect, MetaData

    from dbschema.catalog.predicted import PredictedEntries
    from dbschema.ddl.base import DatabaseObject


def relocate(item: DatabaseObject, schemas: Mapping[str | None, str]) -> DatabaseObject:
    """Return a copy of `item` in other schemas, owned by the role that creates it.

    An object without a schema keeps none, and is created in the first schema of search_path; only functions, and
    privileges on functions and schemas, get a schema. The body of a function does not change: the server stores it
    unparsed.

    Args:
        item: a declared object.
        schemas: the scratch schema for each schema of the models, and for None.
    """
    named = {name: scratch_schema for name, scratch_schema in schemas.items() if name is not None}
    without_default: dict[str | None, str] = dict(named.items())
    if isinstance(item, Function):
        arguments = tuple(
            replace(argument, type=_text(argument.type, named), default=_optional(argument.default, named))
            for argument in item.arguments
        )
        returns = _text(item.returns, named)
        return replace(item.in_schemas(schemas), owner=None, arguments=arguments, returns=returns)
    if isinstance(item, Grant) and item.target not in {"TABLE", "SEQUENCE"}:
        return replace(item.in_schemas(schemas), name=_optional(item.name, named))
    if isinstance(item, Policy):
        using, check = _optional(item.using, named), _optional(item.check, named)
        return replace(item.in_schemas(without_default), using=using, check=check)
    if isinstance(item, Trigger):
        return replace(item.in_schemas(without_default), when=_optional(item.when, named))
    return item.in_schemas(without_default)


def _optional(sql: str | None, schemas: Mapping[str, str]) -> str | None:
    return None if sql is None else _text(sql, schemas)


def _text(sql: str, schemas: Mapping[str, str]) -> str:
    """Replace the schema names in `sql`.

    Also replaces a literal that looks like a schema name; `desired.rename` restores it in the printed catalog.
    """
    for name, scratch_schema in schemas.items():
        quoted = re.escape('"' + name.replace('"', '""') + '"')
        sql = re.sub(rf'(?<![\w".$])(?:{re.escape(name)}|{quoted})(?=\s*\.)', scratch_schema, sql)
    return sql


COMPILING = RLock()
"""GeoAlchemy2 removes indexes from a table during `create_all()`: without the lock a second thread would miss them."""

NOT_IN_A_SCHEMA = ("extension", "role")
"""Kinds of declared objects that do not belong to a schema."""


class _Compiler(PGDDLCompiler):
    """Compile tables without the constraints that `predicted` takes."""

    def __init__(self, predicted: PredictedEntries, *args: Any, **kw: Any) -> None:
        self._predicted = predicted
        super().__init__(*args, **kw)

    def visit_primary_key_constraint(self, constraint: Any, **kw: Any) -> Any:
        if self._predicted.takes_key(constraint, self.define_primary_key_body(constraint)):
            return None  # create_table_constraints() leaves it out
        return super().visit_primary_key_constraint(constraint, **kw)  # type: ignore[no-untyped-call]  # SQLAlchemy's

    def visit_unique_constraint(self, constraint: Any, **kw: Any) -> Any:
        if self._predicted.takes_key(constraint, self.define_unique_body(constraint)):
            return None
        return super().visit_unique_constraint(constraint, **kw)  # type: ignore[no-untyped-call]  # SQLAlchemy's

    def visit_foreign_key_constraint(self, constraint: Any, **kw: Any) -> Any:
        if self._predicted.takes_foreign_key(constraint):
            return None
        return super().visit_foreign_key_constraint(constraint, **kw)  # type: ignore[no-untyped-call]  # SQLAlchemy's


class _RecordingConnection(MetadataConnection):
    """Receives the elements of `create_all()` and of other listeners; `statements` creates the registry's objects."""

    dbschema_tables_only = True


def dialect_like(initialised: Dialect, predicted: PredictedEntries) -> Dialect:
    """Return a dialect that compiles as `initialised` does, for statements without parameters, in a transaction.

    Percent signs stay single, because no driver formats them. No index is created concurrently.
    """
    dialect = offline_dialect(initialised)
    dialect.ddl_compiler = partial(_Compiler, predicted)
    return dialect  # type: ignore[no-any-return]  # see above


def statements(
    metadata: MetaData, dialect: Dialect, schemas: Mapping[str | None, str], predicted: PredictedEntries
) -> list[str]:
    """Return the statements that build `metadata` and its declared objects in other schemas, in order.

    Args:
        metadata: the models.
        dialect: the dialect of the connection.
        schemas: the scratch schema for each schema of the models, as for `relocate`.
        predicted: takes the objects that the server need not see.
    """
    objects = declared(metadata)
    built = [
        item for item in objects if item.kind not in NOT_IN_A_SCHEMA and not predicted.takes_object(item)
    ]
    before = [item for item in built if item.order < Phase.TABLE]
    after = [item for item in built if item.order >= Phase.TABLE]
    return [
        *_created(before, schemas),
        *_tables(metadata, dialect_like(dialect, predicted), schemas, predicted),
        *_created(after, schemas),
    ]


def _created(objects: Iterable[DatabaseObject], schemas: Mapping[str | None, str]) -> Iterator[str]:
    for item in objects:
        yield from relocate(item, schemas).create()


def _tables(
    metadata: MetaData, dialect: Dialect, schemas: Mapping[str | None, str], predicted: PredictedEntries
) -> list[str]:
    sent: list[str] = []
    options: dict[str, Any] = {"compile_kwargs": {"literal_binds": True}}
    translated = {name: scratch_schema for name, scratch_schema in schemas.items() if name is not None}
    if {table.schema for table in metadata.tables.values()} != {None}:
        options |= {"schema_translate_map": translated, "render_schema_translate": True}

    def execute(element: Any, *_: Any, **__: Any) -> None:
        if predicted.takes_element(element):
            return
        statement = str(element.compile(dialect=dialect, **options)).strip()
        if not isinstance(element, CreateIndex) or not predicted.takes_index(element, statement):
            sent.append(statement)

    with COMPILING:
        metadata.create_all(_RecordingConnection(dialect, execute), checkfirst=False)
    return sent
