"""Asking a search function of the database for rows of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import TIMESTAMP, Double, Integer, Text, Uuid, bindparam, text
from sqlalchemy import inspect as sa_inspect
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import aliased
from sqlalchemy.types import UserDefinedType

from dbschema.ddl.base import quote

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.types import TypeEngine

    from dbschema.ddl import Function

T = TypeVar("T")


class Geography(UserDefinedType[str]):
    """The text of a place or an area, read once when the statement is bound.

    `ST_GeogFromText` of a parameter would be called for each row by a prepared statement whose plan knows no arguments.
    """

    cache_ok = True

    def get_col_spec(self, **_options: object) -> str:
        """Return the name of the type in SQL."""
        return "geography"


_TYPES: dict[str, TypeEngine[Any]] = {
    "double precision": Double(),
    "geography": Geography(),
    "integer": Integer(),
    "jsonb": JSONB(),
    "text": Text(),
    "timestamp with time zone": TIMESTAMP(timezone=True),
    "uuid": Uuid(),
}


def rows_of(model: type[T], function: Function, **arguments: object) -> type[T]:
    """An alias of `model` whose rows are those that `function` gives; arguments that are None are left out.

    The database works the function out once, with all that is in it; what a statement adds comes afterwards. Values are
    parameters of the statement, a geography as the text that PostGIS reads.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    types = {argument.name: argument.type for argument in function.arguments}
    parameters = [bindparam(name, value, _TYPES[types[name]], unique=True) for name, value in given.items()]
    call = ", ".join(
        f"{name} => CAST(:{name} AS geography)" if types[name] == "geography" else f"{name} => :{name}"
        for name in given
    )
    # As columns of the model's own table, so that its relationships find them.
    columns = sa_inspect(model).local_table.columns
    names = ", ".join(quote(column.name) for column in columns)
    rows = text(f"SELECT {names} FROM {quote(function.name)}({call})").bindparams(*parameters)  # noqa: S608  declared names
    return aliased(model, rows.columns(*columns).subquery())


def entity_of(statement: Select[T, *tuple[Any, ...]]) -> type[T]:
    """What a query selects: the model, or the alias of it that a search gives.

    `hits = entity_of(statement)`, and then `statement.where(hits.severity >= 4)`: conditions on the model itself would
    join all of its rows.
    """
    entity: type[T] = statement.column_descriptions[0]["entity"]
    return entity
