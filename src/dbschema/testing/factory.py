"""Create rows for tests: an object of any model, with generated values for the columns that need one."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    Date,
    DateTime,
    Float,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    Time,
    Uuid,
    inspect,
)

from dbschema.orm.geography import GeographyPoint, GeoPoint
from dbschema.orm.types import CheckedText, JsonShape
from dbschema.testing.errors import NoValue, unknown_attribute
from dbschema.verify.behaviour.samples import is_needed, value_for
from dbschema.verify.report import Unmet

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Column, ForeignKeyConstraint, Table
    from sqlalchemy.orm import DeclarativeBase, Mapper, Session


BERN = GeoPoint(7.4474, 46.948)

_BY_TYPE: tuple[tuple[type[Any], Callable[[str], Any]], ...] = (
    (JsonShape, json.loads),
    (JSON, json.loads),
    (Boolean, lambda _: True),
    (Integer, int),
    (Float, float),
    (Numeric, Decimal),
    (DateTime, lambda _: datetime.now(UTC)),
    (Date, lambda _: date.today()),  # noqa: DTZ011  the time zone does not matter
    (Time, lambda _: time(12)),
    (Interval, lambda _: timedelta(days=1)),
    (LargeBinary, lambda _: b"\x00"),
    (ARRAY, lambda _: []),
    (Uuid, UUID),
    (GeographyPoint, lambda _: BERN),
)


def example(column: Column[Any]) -> Any:
    """Return a value that `column` accepts, as a Python object; it is new on each call if the type has room for it.

    Raises:
        Unmet: the type of the column is not supported.
    """
    kind = column.type
    written = value_for(column)
    if isinstance(kind, CheckedText):
        return kind.python_value(written)
    for type_, read in _BY_TYPE:
        if isinstance(kind, type_):
            return read(written)
    return written


M = TypeVar("M", bound="DeclarativeBase")


class Factory:
    """Create rows of one tenant.

    Args:
        session: the session that writes the rows, such as the fixture `db_session`.
        tenant_id: the tenant of the rows; None: `session.tenant_id`.
    """

    def __init__(self, session: Session, tenant_id: UUID | None = None) -> None:
        self.session = session
        self.tenant_id: UUID = session.tenant_id if tenant_id is None else tenant_id  # type: ignore[attr-defined]  # a TenantSession has it

    def make(self, model: type[M], /, **values: Any) -> M:
        """Write a row, and return it as an object with the values of the database.

        A required column gets a value that its type and its checks accept, unique if it is a text. A required foreign key
        gets a new row. All other columns keep their defaults.

        Args:
            model: a mapped class of this package or of the application.
            values: the values of attributes, including relationships.

        Raises:
            NoValue: the factory knows no value for a required column.
            TestingError: the model has no such attribute.
        """
        mapper: Mapper[M] = inspect(model)
        for name in values:
            if name not in mapper.attrs:
                raise unknown_attribute(model.__name__, name)
        item = model(**self._complete(mapper, values))
        self.session.add(item)
        self.session.flush()
        self.session.refresh(item)
        return item

    def many(self, number: int, model: type[M], /, **values: Any) -> list[M]:
        """Write `number` rows with the same values; see `make`."""
        return [self.make(model, **values) for _ in range(number)]

    def _complete(self, mapper: Mapper[Any], values: dict[str, Any]) -> dict[str, Any]:
        complete = dict(values)
        known: set[str | None] = {
            column.key for name in values if name in mapper.columns for column in [mapper.columns[name]]
        }
        for relationship in mapper.relationships:
            if relationship.key in values:
                known |= {column.key for column in relationship.local_columns}
        table = mapper.local_table
        for key in sorted(getattr(table, "foreign_key_constraints", ()), key=lambda key: str(key.name)):
            complete |= self._reference(mapper, key, known)
        for attribute in mapper.column_attrs:
            column: Any = attribute.columns[0]
            if attribute.key in complete or column.key in known or column.table is not table:
                continue
            if column.name == "tenant_id":
                complete[attribute.key] = self.tenant_id
            elif is_needed(column) and column.default is None:
                try:
                    complete[attribute.key] = example(column)
                except Unmet as error:
                    raise NoValue(mapper.class_.__name__, attribute.key, str(error)) from error
        return complete

    def _reference(
        self, mapper: Mapper[Any], key: ForeignKeyConstraint, known: set[str | None]
    ) -> dict[str, Any]:
        """Create the row that a required foreign key references, and return the values of the key's columns."""
        missing = [column for column in key.columns if column.name != "tenant_id" and column.key not in known]
        if not missing or not all(is_needed(column) for column in missing):
            return {}
        target = _class_of(mapper, key.referred_table)
        if target is None:
            raise NoValue(
                mapper.class_.__name__, missing[0].name, f"no model is mapped to {key.referred_table}"
            )
        row = self.make(target)
        referred = inspect(target)
        return {
            mapper.get_property_by_column(element.parent).key: getattr(
                row, referred.get_property_by_column(element.column).key
            )
            for element in key.elements
            if element.parent in missing
        }


def _class_of(mapper: Mapper[Any], table: Table) -> type[Any] | None:
    for other in mapper.registry.mappers:
        if other.local_table is table and other.inherits is None:
            model: type[Any] = other.class_
            return model
    return None
