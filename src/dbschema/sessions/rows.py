"""Rows that a statement of the ORM brings along: they get the tenant, and those of another are refused before any SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import BindParameter, ClauseElement

from dbschema.sessions.errors import ForeignTenant
from dbschema.sessions.objects import attribute, same

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from sqlalchemy.orm import ORMExecuteState


def keep(state: ORMExecuteState, tenant_id: UUID) -> None:
    """Add the tenant to the rows of an INSERT, and of an UPDATE that finds its rows by their key.

    INSERT … SELECT names its columns itself, and the policy looks at what it brings.

    Raises:
        ForeignTenant: a row has another.
    """
    mapper = state.bind_mapper
    name = None if mapper is None else attribute(mapper.class_)
    if mapper is None or name is None:
        return
    statement: Any = state.statement
    entity = mapper.class_.__name__

    def complete(row: Any) -> dict[Any, Any]:
        given = _given(row, name)
        if given is None:
            return {**row, name: tenant_id}
        if not isinstance(given, ClauseElement) and not same(given, tenant_id):
            raise ForeignTenant(entity, given, tenant_id)
        return dict(row)

    given = state.parameters
    if isinstance(given, (list, tuple)):
        state.parameters = [complete(row) for row in given]
    elif isinstance(given, dict) and _given(given, name) is not None:
        state.parameters = complete(given)
    elif statement.select is not None:
        return
    elif statement._multi_values:  # noqa: SLF001  SQLAlchemy shows what VALUES holds in no other way
        state.statement = _with_rows(statement, complete)
    else:
        complete(statement._values or {})  # noqa: SLF001  as above
        if _given(statement._values or {}, name) is None:  # noqa: SLF001  as above
            state.statement = statement.values({name: tenant_id})


def _with_rows(statement: Any, complete: Callable[[Any], dict[Any, Any]]) -> Any:
    """`statement` with several rows after VALUES, each completed."""
    changed = statement._generate()  # noqa: SLF001  `values()` would append, not replace
    several = statement._multi_values  # noqa: SLF001  as above
    changed._multi_values = tuple([complete(row) for row in rows] for rows in several)  # noqa: SLF001  as above
    return changed


def _given(row: Any, name: str) -> object:
    """What a row says of a column, under its name or as the column itself; None where it says nothing."""
    for key, value in row.items():
        if getattr(key, "key", key) == name:
            return value.value if isinstance(value, BindParameter) else value
    return None
