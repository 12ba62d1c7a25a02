"""Asking a search function of the database for rows of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import TIMESTAMP, Column, ColumnElement, Double, Integer, Text, Uuid, func, literal, null
from sqlalchemy import inspect as sa_inspect
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import aliased

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.types import TypeEngine

    from dbschema.ddl import Function

T = TypeVar("T")

_TYPES: dict[str, TypeEngine[Any]] = {
    "double precision": Double(),
    "integer": Integer(),
    "jsonb": JSONB(),
    "text": Text(),
    "timestamp with time zone": TIMESTAMP(timezone=True),
    "uuid": Uuid(),
}


def rows_of(model: type[T], function: Function, **arguments: object) -> type[T]:
    """An alias of `model` whose rows are those that `function` gives; arguments that are not named are NULL.

    The database works the function out once, with all that is in it; what a statement adds comes afterwards.
    """
    values = [_argument(argument.type, arguments.pop(argument.name, None)) for argument in function.arguments]
    if arguments:
        raise TypeError(f"{function.name} has no argument {', '.join(arguments)}")
    table = sa_inspect(model).local_table
    columns = [Column(column.name, column.type) for column in table.columns]
    rows = getattr(func, function.name)(*values).table_valued(*columns)
    return aliased(model, rows, adapt_on_names=True)


def _argument(kind: str, value: object) -> ColumnElement[Any]:
    if value is None or isinstance(value, ColumnElement):
        return null() if value is None else value
    return literal(value, _TYPES[kind])


def entity_of(statement: Select[T, *tuple[Any, ...]]) -> type[T]:
    """What a query selects: the model, or the alias of it that a search gives.

    `hits = entity_of(statement)`, and then `statement.where(hits.severity >= 4)`: conditions on the model itself would
    join all of its rows.
    """
    entity: type[T] = statement.column_descriptions[0]["entity"]
    return entity
