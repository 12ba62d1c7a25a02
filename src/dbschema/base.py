"""The declarative base that all models share, with its MetaData.

An application that adds tables of its own derives them from `Base`, so that one metadata, one registry of database
objects and one `alembic upgrade` serve both.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Date, DateTime, MetaData, Numeric, Text, Uuid
from sqlalchemy.orm import DeclarativeBase

from dbschema.naming import NAMING_CONVENTION
from dbschema.types import apply_type_checks


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
