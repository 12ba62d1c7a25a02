"""Select rows of a model from a search function of the database."""

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
    """The text of a place or an area, parsed once when the statement is bound.

    A prepared statement with a generic plan would call `ST_GeogFromText` on a parameter for each row.
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
    """Return an alias of `model` for the rows of `function`; arguments that are None are omitted.

    The database evaluates the function once, before the conditions of the statement. Values are parameters of the
    statement; a geography is EWKT.
    """
    passed = {name: value for name, value in arguments.items() if value is not None}
    types = {argument.name: argument.type for argument in function.arguments}
    parameters = [bindparam(name, value, _TYPES[types[name]], unique=True) for name, value in passed.items()]
    call = ", ".join(
        f"{name} => CAST(:{name} AS geography)" if types[name] == "geography" else f"{name} => :{name}"
        for name in passed
    )
    # The columns of the model's own table, so that its relationships can use them.
    columns = sa_inspect(model).local_table.columns
    names = ", ".join(quote(column.name) for column in columns)
    rows = text(f"SELECT {names} FROM {quote(function.name)}({call})").bindparams(*parameters)  # noqa: S608  declared names
    return aliased(model, rows.columns(*columns).subquery())


def entity_of(statement: Select[T, *tuple[Any, ...]]) -> type[T]:
    """Return the entity that a query selects: the model, or the alias of a search.

    Use it for further conditions: `hits = entity_of(statement)`, then `statement.where(hits.severity >= 4)`. A condition
    on the model itself would join all of its rows.
    """
    entity: type[T] = statement.column_descriptions[0]["entity"]
    return entity
