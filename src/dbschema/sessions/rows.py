"""Rows that a statement of the ORM brings along: they get the tenant, and those of another are refused before any SQL."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import BindParameter, ClauseElement

from dbschema._sqlalchemy import replace_rows, rows_of_values, values_of
from dbschema.sessions.errors import ForeignTenant
from dbschema.sessions.objects import attribute, same

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from sqlalchemy.orm import ORMExecuteState


def keep(state: ORMExecuteState, statement: Any, tenant_id: UUID) -> Any:
    """Add the tenant to the rows of an INSERT, and of an UPDATE that finds its rows by their key; give the statement with them.

    INSERT … SELECT names its columns itself, and the policy looks at what it brings.

    Raises:
        ForeignTenant: a row has another.
    """
    mapper = state.bind_mapper
    name = None if mapper is None else attribute(mapper.class_)
    if mapper is None or name is None:
        return statement
    filled = partial(complete, entity=mapper.class_, tenant_id=tenant_id)
    parameters: Any = state.parameters
    if isinstance(parameters, (list, tuple)):
        state.parameters = [filled(row) for row in parameters]
    elif parameters is not None and _given(parameters, name) is not None:
        state.parameters = filled(parameters)
    elif statement.select is not None:
        return statement
    elif rows_of_values(statement):
        return _with_rows(statement, filled)
    else:
        row = values_of(statement)
        filled(row)  # raises where it must
        if _given(row, name) is None:
            return statement.values({name: tenant_id})
    return statement


def complete(row: Mapping[Any, Any], entity: type[object], tenant_id: UUID) -> dict[Any, Any]:
    """`row` with the tenant, where it says none and the table has one.

    Raises:
        ForeignTenant: it says another.
    """
    name = attribute(entity)
    if name is None:
        return dict(row)
    given = _given(row, name)
    if given is None:
        return {**{key: value for key, value in row.items() if _name(key) != name}, name: tenant_id}
    # What SQL will work out is left to the policy.
    if not isinstance(given, ClauseElement) and not same(given, tenant_id):
        raise ForeignTenant(entity.__name__, given, tenant_id)
    return dict(row)


def _with_rows(statement: Any, complete: Callable[[Any], dict[Any, Any]]) -> Any:
    """`statement` with several rows after VALUES, each completed."""
    return replace_rows(statement, ([complete(row) for row in rows] for rows in rows_of_values(statement)))


def _given(row: Mapping[Any, Any], name: str) -> object:
    """What a row says of a column; None where it says nothing."""
    for key, value in row.items():
        if _name(key) == name:
            return value.value if isinstance(value, BindParameter) else value
    return None


def _name(key: object) -> object:
    """The column's name, whether a row names it or holds it."""
    return getattr(key, "key", key)
