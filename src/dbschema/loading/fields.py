"""The columns that rows of a model can set: their names, their encoders and their defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from sqlalchemy import Column, Table, inspect
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import Mapper

from dbschema.loading.encoders import Encoder, Wire, encoder_for
from dbschema.loading.errors import not_migrated, unsupported_model
from dbschema.orm.types import uuid7

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import ClauseElement

    from dbschema.loading.target import Target, TargetColumn

TENANT = "tenant_id"


class Omitted(Enum):
    """The marker for a column that a row does not name; None is a value."""

    OMITTED = "omitted"


OMITTED = Omitted.OMITTED
PythonDefault: TypeAlias = Callable[[Any], Any]
"""Makes the value of a column that a row omits; its argument is SQLAlchemy's context of the row."""


@dataclass(eq=False)
class Field:
    """A column that rows can set.

    Args:
        column: the column of the model.
        target: the column of the database.
        encoder: the encoder of its values.
        number: its index among the columns of the table, from 0.
        python_default: the model's default in Python.
        is_uuid7: `python_default` is `dbschema.uuid7`; its bytes alone are faster to make.
        sql_default: the SQL expression for rows that omit the column.
        is_default_of_model: `sql_default` is the model's, so the database does not have it.
        staged_from: the first row with the column in the staging table; 0: not staged.
        omitted: a row from `staged_from` on omits the column and gets `sql_default`.
        provided: a row names the column.
    """

    column: Column[Any]
    target: TargetColumn
    encoder: Encoder
    number: int
    python_default: PythonDefault | None
    is_uuid7: bool
    sql_default: str | None
    is_default_of_model: bool
    staged_from: int = 0
    omitted: bool = False
    provided: bool = False

    @property
    def name(self) -> str:
        """The name of the column."""
        return self.column.name


@dataclass(frozen=True)
class Shape:
    """The model, as loading uses it.

    Args:
        mapper: the model's mapper.
        table: the model's table.
        fields: the columns in the order of the table.
        names: the columns, by the names that rows may use: attributes and column names.
        tenant: the tenant of the session; None: the session has not set it.
        is_of_tenant: whether the rows belong to tenants.
    """

    mapper: Mapper[Any]
    table: Table
    fields: tuple[Field, ...]
    names: Mapping[str, Field]
    tenant: UUID | None
    is_of_tenant: bool

    def is_fixed(self, item: Field) -> bool:
        """Whether the column has the session's tenant in all rows, so that it is not sent."""
        return self.tenant is not None and self.is_of_tenant and item.name == TENANT

    @property
    def settable(self) -> tuple[str, ...]:
        """The names that a row can use, for a message."""
        return tuple(sorted({name for name, item in self.names.items() if not item.target.always}))


def mapped(model: type[Any]) -> tuple[Mapper[Any], Table]:
    """Return the mapper and the single table of a model.

    Raises:
        WrongCall: the class is not mapped to exactly one table.
    """
    try:
        mapper = inspect(model)
    except NoInspectionAvailable:
        mapper = None
    if not isinstance(mapper, Mapper):
        raise unsupported_model(getattr(model, "__name__", repr(model)), ())
    table = mapper.local_table
    if not isinstance(table, Table) or len(mapper.tables) != 1:
        raise unsupported_model(model.__name__, (getattr(item, "name", "a query") for item in mapper.tables))
    return mapper, table


def shape_of(mapper: Mapper[Any], table: Table, target: Target, wire: Wire) -> Shape:
    """Match the columns of the model with those of the database.

    Raises:
        NotMigrated: the database lacks a column.
    """
    missing = [column.name for column in table.columns if column.name not in target.columns]
    if missing:
        raise not_migrated(table.name, f"column {', '.join(missing)}")
    fields = {
        column: _field(column, number, mapper, target.columns[column.name], wire)
        for number, column in enumerate(table.columns)
    }
    names: dict[str, Field] = {}
    for prop in mapper.column_attrs:
        column = prop.columns[0]
        if isinstance(column, Column) and column in fields:
            names[prop.key] = fields[column]
    for column in table.columns:
        names.setdefault(column.name, fields[column])
    return Shape(
        mapper=mapper,
        table=table,
        fields=tuple(fields.values()),
        names=names,
        tenant=target.tenant,
        is_of_tenant=TENANT in table.columns and table.info.get("distribution") == "tenant",
    )


def _field(column: Column[Any], number: int, mapper: Mapper[Any], target: TargetColumn, wire: Wire) -> Field:
    python_default, sql = _model_default(column, mapper)
    return Field(
        column=column,
        target=target,
        encoder=encoder_for(column, target, wire),
        number=number,
        python_default=python_default,
        is_uuid7=target.kind == "uuid" and getattr(python_default, "__wrapped__", None) is uuid7,
        sql_default=sql or target.default,
        is_default_of_model=sql is not None,
    )


def _model_default(column: Column[Any], mapper: Mapper[Any]) -> tuple[PythonDefault | None, str | None]:
    """Return the model's default: a Python callable, or SQL."""
    default = cast("Any", column.default)
    if column is mapper.polymorphic_on and mapper.polymorphic_identity is not None:
        return lambda _: mapper.polymorphic_identity, None
    if column is mapper.version_id_col and callable(mapper.version_id_generator):
        first = mapper.version_id_generator
        return lambda _: first(None), None
    if default is None:
        return None, None
    if default.is_scalar:
        return lambda _: default.arg, None
    if default.is_callable:
        return cast("PythonDefault", default.arg), None
    expression = default.next_value() if default.is_sequence else default.arg
    return None, _as_sql(expression)


def _as_sql(expression: ClauseElement) -> str:
    # The dialect's own parameter style would double percent signs; this SQL is not formatted.
    dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]  # SQLAlchemy does not annotate it
    return str(expression.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


class Context:
    """The context that a Python default can read the rest of its row from, as in SQLAlchemy."""

    def __init__(self, columns: Mapping[Field, Sequence[Any]]) -> None:
        self._columns = columns
        self.index = 0

    @property
    def current_parameters(self) -> dict[str, Any]:
        """The values that the row sets, by column."""
        row = {item.column.key: values[self.index] for item, values in self._columns.items()}
        return {key: value for key, value in row.items() if value is not OMITTED}

    def get_current_parameters(self, isolate_multiinsert_groups: bool = True) -> dict[str, Any]:  # noqa: ARG002  SQLAlchemy's signature
        """Return `current_parameters`."""
        return self.current_parameters
