"""The declarative base of all models, with its MetaData.

An application derives its own tables from `Base` too: one MetaData, one registry of database objects and one
`alembic upgrade` then serve both.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import ClauseElement, Date, DateTime, MetaData, Numeric, Text, Uuid, event
from sqlalchemy.orm import ColumnProperty, DeclarativeBase

from dbschema.orm.types import apply_type_checks
from dbschema.sql import NAMING_CONVENTION

if TYPE_CHECKING:
    from sqlalchemy.orm import InstrumentedAttribute


def _is_data(value: object) -> bool:
    """Return whether `value` is data, and not NULL or an expression that the database evaluates."""
    return (
        value is not None
        and not isinstance(value, ClauseElement)
        and not hasattr(value, "__clause_element__")
    )


class Base(DeclarativeBase):
    """Base class of the models: naming convention, PostgreSQL types of Python types, CHECK constraints of types."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {  # noqa: RUF012  SQLAlchemy declares it as an instance variable
        UUID: Uuid(),
        datetime: DateTime(timezone=True),
        date: Date(),
        str: Text(),
        Decimal: Numeric(12, 2),
    }
    # UPDATE … RETURNING reads the values of triggers and defaults. No attribute is stale after a flush, and none needs a
    # later load, which would raise under asyncio.
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012  SQLAlchemy declares it as an instance variable

    def __init_subclass__(cls, **kw: Any) -> None:
        super().__init_subclass__(**kw)
        table = cls.__dict__.get("__table__")
        if table is not None:
            apply_type_checks(table)


@event.listens_for(Base, "attribute_instrument", propagate=True)
def _convert_on_assignment(_cls: type[Base], _key: str, attribute: InstrumentedAttribute[Any]) -> None:
    """Convert an assigned value to the value that a query returns: a place, a member of a set, a lower-case address.

    Without the conversion, the object and the database would hold different values until the object expires.
    """
    prop = attribute.property
    if not isinstance(prop, ColumnProperty):
        return
    python_value = getattr(getattr(prop.columns[0], "type", None), "python_value", None)
    if python_value is None:
        return

    def convert(_target: object, value: object, _old: object, _initiator: object) -> object:
        return python_value(value) if _is_data(value) else value

    event.listen(attribute, "set", convert, retval=True, propagate=True)
