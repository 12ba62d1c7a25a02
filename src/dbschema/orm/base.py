"""The declarative base that all models share, with its MetaData.

An application that adds tables of its own derives them from `Base`, so that one metadata, one registry of database
objects and one `alembic upgrade` serve both.
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


def _has_value_of_its_own(value: object) -> bool:
    """Whether `value` is data, and not NULL or an expression that the database will work out."""
    return (
        value is not None
        and not isinstance(value, ClauseElement)
        and not hasattr(value, "__clause_element__")
    )


class Base(DeclarativeBase):
    """Root of the models: naming convention, plain Python types to PostgreSQL types, checks that types carry."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {  # noqa: RUF012  SQLAlchemy declares it as an instance variable
        UUID: Uuid(),
        datetime: DateTime(timezone=True),
        date: Date(),
        str: Text(),
        Decimal: Numeric(12, 2),
    }
    # UPDATE … RETURNING brings back what triggers and defaults decided, so that no attribute is stale after a flush
    # and none has to be loaded later (under asyncio that would raise).
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012  SQLAlchemy declares it as an instance variable

    def __init_subclass__(cls, **kw: Any) -> None:
        super().__init_subclass__(**kw)
        table = cls.__dict__.get("__table__")
        if table is not None:
            apply_type_checks(table)


@event.listens_for(Base, "attribute_instrument", propagate=True)
def _hold_what_the_database_will_hold(
    _cls: type[Base], _key: str, attribute: InstrumentedAttribute[Any]
) -> None:
    """Turn what an application assigns into what it would read back: a place, a member of a set, a lower-case address.

    Otherwise an object would hold the one before its flush and, until it expires, after it, and the database the other.
    """
    prop = attribute.property
    if not isinstance(prop, ColumnProperty):
        return
    python_value = getattr(getattr(prop.columns[0], "type", None), "python_value", None)
    if python_value is None:
        return

    def convert(_target: object, value: object, _old: object, _initiator: object) -> object:
        return python_value(value) if _has_value_of_its_own(value) else value

    event.listen(attribute, "set", convert, retval=True, propagate=True)
