"""What the rows of a model can bring: the names, the columns behind them, and the values that the model gives by itself."""

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
    """The value of a column that a row does not name, which is not None."""

    OMITTED = "omitted"


OMITTED = Omitted.OMITTED
Maker: TypeAlias = Callable[[Any], Any]
"""Makes a column's value where the row brings none; it gets SQLAlchemy's context of the row."""


@dataclass(eq=False)
class Field:
    """A column that rows can bring.

    Args:
        column: the model's column.
        target: the database's.
        encoder: how its values are sent.
        number: its place among the columns of the table, from 0.
        maker: the model's default in Python.
        makes_ids: that default is `dbschema.uuid7`, which is made faster where only the bytes are wanted.
        sql_default: what the database works out where a row brings nothing.
        is_default_of_model: that default is the model's, so the database does not know it.
        staged_from: the first row that has it in the staging table; 0: not staged.
        omitted: whether a row from there on brings nothing, and the database's default counts.
        given: whether a row names it.
    """

    column: Column[Any]
    target: TargetColumn
    encoder: Encoder
    number: int
    maker: Maker | None
    makes_ids: bool
    sql_default: str | None
    is_default_of_model: bool
    staged_from: int = 0
    omitted: bool = False
    given: bool = False

    @property
    def name(self) -> str:
        """The name of the column."""
        return self.column.name


@dataclass(frozen=True)
class Shape:
    """The model, as far as loading is concerned.

    Args:
        mapper: the model's mapper.
        table: its table.
        fields: the columns in the order of the table.
        names: attributes and columns, by the names that rows may use.
        tenant: the tenant that the session has set, where the rows belong to tenants.
        is_of_tenant: whether the rows belong to tenants.
    """

    mapper: Mapper[Any]
    table: Table
    fields: tuple[Field, ...]
    names: Mapping[str, Field]
    tenant: UUID | None
    is_of_tenant: bool

    def is_fixed(self, item: Field) -> bool:
        """Whether the column is the tenant that the session has set, and is not sent."""
        return self.tenant is not None and self.is_of_tenant and item.name == TENANT

    @property
    def settable(self) -> tuple[str, ...]:
        """The names that a row can bring, for a message."""
        return tuple(sorted({name for name, item in self.names.items() if not item.target.always}))


def mapped(model: type[Any]) -> tuple[Mapper[Any], Table]:
    """The mapper and the one table of a model.

    Raises:
        WrongCall: it has none, or several.
    """
    try:
        mapper = inspect(model)
    except NoInspectionAvailable:
        mapper = None
    if not isinstance(mapper, Mapper):
        raise unsupported_model(getattr(model, "__name__", repr(model)), ())
    table = mapper.local_table
    if not isinstance(table, Table) or len(mapper.tables) != 1:
        raise unsupported_model(model.__name__, (getattr(one, "name", "a query") for one in mapper.tables))
    return mapper, table


def shape_of(mapper: Mapper[Any], table: Table, target: Target, wire: Wire) -> Shape:
    """What rows of the model can bring to the table that the database has.

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
    maker, sql = _model_default(column, mapper)
    return Field(
        column=column,
        target=target,
        encoder=encoder_for(column, target, wire),
        number=number,
        maker=maker,
        makes_ids=target.kind == "uuid" and getattr(maker, "__wrapped__", None) is uuid7,
        sql_default=sql or target.default,
        is_default_of_model=sql is not None,
    )


def _model_default(column: Column[Any], mapper: Mapper[Any]) -> tuple[Maker | None, str | None]:
    """The default that the model gives: made in Python, or as SQL."""
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
        return cast("Maker", default.arg), None
    expression = default.next_value() if default.is_sequence else default.arg
    return None, _as_sql(expression)


def _as_sql(expression: ClauseElement) -> str:
    # In the dialect's own parameter style percent signs would come doubled, and nothing here is formatted.
    dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    return str(expression.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


class Context:
    """What SQLAlchemy hands to a default that looks at the rest of its row (`get_current_parameters`)."""

    def __init__(self, columns: Mapping[Field, Sequence[Any]]) -> None:
        self._columns = columns
        self.index = 0

    @property
    def current_parameters(self) -> dict[str, Any]:
        """The values that the row brings, by column."""
        row = {item.column.key: values[self.index] for item, values in self._columns.items()}
        return {key: value for key, value in row.items() if value is not OMITTED}

    def get_current_parameters(self, isolate_multiinsert_groups: bool = True) -> dict[str, Any]:  # noqa: ARG002  SQLAlchemy's signature
        """The same."""
        return self.current_parameters
