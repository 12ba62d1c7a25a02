"""The INSERT … SELECT from the staging table into the target table, under its policies and triggers."""

# ruff: noqa: S608  names are quoted, and the other values are integers
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from sqlalchemy import UniqueConstraint, literal_column
from sqlalchemy.dialects import postgresql

from dbschema.ddl.base import quote
from dbschema.loading.errors import WrongCall, no_such_key, unknown_columns
from dbschema.loading.fields import TENANT
from dbschema.sql import sql_string

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dbschema.loading.fields import Field, Shape
    from dbschema.loading.staging import Staging
    from dbschema.loading.target import Target

OnConflict: TypeAlias = Literal["error", "ignore", "update"]
_dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]  # SQLAlchemy does not annotate it


def key_of(shape: Shape, on_conflict: str, key: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the columns of the unique constraint that `key` names, with the tenant.

    Raises:
        WrongCall: `on_conflict` is unknown, `key` does not fit it, or the columns are not a unique constraint.
    """
    if on_conflict not in ("error", "ignore", "update"):
        raise WrongCall(f"on_conflict={on_conflict!r} is unknown", "Use 'error', 'ignore' or 'update'")
    if key is None:
        if on_conflict == "update":
            raise WrongCall(
                "on_conflict='update' needs a key to identify the row to update",
                "Pass the columns of a unique constraint as 'key'",
            )
        return None
    if on_conflict == "error":
        raise WrongCall(
            "'key' identifies existing rows, and on_conflict='error' does not look for them",
            "Leave out 'key'",
        )
    if isinstance(key, str):
        raise WrongCall("'key' is a string, and must be a sequence of columns", f"Write key=({key!r},)")
    unknown = [name for name in key if name not in shape.names]
    if unknown:
        raise unknown_columns(shape.table.name, unknown, shape.settable)
    named = {shape.names[name].name for name in key}
    keys = list(_keys(shape))
    for columns in keys:
        if set(columns) in (named, named | {TENANT} if shape.is_of_tenant else named):
            return columns
    raise no_such_key(shape.table.name, key, keys)


def _keys(shape: Shape) -> Iterator[tuple[str, ...]]:
    """Iterate over the columns of each constraint and index that ON CONFLICT can use."""
    table = shape.table
    yield tuple(table.primary_key.columns.keys())
    for constraint in sorted(table.constraints, key=lambda item: str(item.name)):
        if isinstance(constraint, UniqueConstraint) and not constraint.deferrable:
            yield tuple(column.name for column in constraint.columns)
    for index in sorted(table.indexes, key=lambda item: str(item.name)):
        if index.unique and index.dialect_options["postgresql"]["where"] is None:
            names = [getattr(expression, "name", None) for expression in index.expressions]
            if len(names) == len(index.columns) and all(names):
                yield tuple(str(name) for name in names)


@dataclass(frozen=True)
class Writing:
    """The INSERT statement, and a query for the rows that it would write, for the search for invalid rows.

    Args:
        shape: the columns of the model.
        target: the table.
        staging: the staging table, filled.
        fields: the columns of the staging table.
        on_conflict: the action for a row that the table has already.
        key: the columns that identify the existing row.
    """

    shape: Shape
    target: Target
    staging: Staging
    fields: tuple[Field, ...]
    on_conflict: OnConflict
    key: tuple[str, ...] | None

    @cached_property
    def values(self) -> dict[str, str]:
        """The value of each column, as SQL over the staging table `s`."""
        values: dict[str, str] = {}
        staged = set(self.fields)
        for item in self.shape.fields:
            if self.shape.is_fixed(item):
                values[item.name] = f"{sql_string(str(self.shape.tenant))}::pg_catalog.uuid"
            elif item in staged:
                values[item.name] = self._staged(item)
            elif item.is_default_of_model and item.sql_default is not None:
                values[item.name] = item.sql_default
        if not values:  # no row sets any column
            column = next(column for column in self.target.columns.values() if not column.always)
            values[column.name] = column.default or "NULL"
        return values

    def _staged(self, item: Field) -> str:
        value = f"s.{quote(item.name)}"
        if item.encoder.as_text:
            value = _from_text(item, value)
        tests = []
        if item.sql_default is None:
            return value
        if item.staged_from > 1:
            tests.append(f"s.{self.staging.row} OPERATOR(pg_catalog.<) {item.staged_from}")
        if item.omitted:
            bit = f"pg_catalog.get_bit(s.{self.staging.omitted}, {item.number})"
            tests.append(f"{bit} OPERATOR(pg_catalog.=) 1")
        if not tests:
            return value
        return f"CASE WHEN {' OR '.join(tests)} THEN {item.sql_default} ELSE {value} END"

    def statement(self, first: int | None = None, last: int | None = None, place: str = "") -> str:
        """INSERT … SELECT of all rows, or of those with numbers from `first` to `last`.

        `place` is a condition on their location in the staging table, before further conditions.
        """
        names = ", ".join(map(quote, self.values))
        rows = f"SELECT {', '.join(self.values.values())} FROM {self.staging.sql} AS s"
        if first is not None and last is not None:
            rows += f" WHERE {place}s.{self.staging.row} BETWEEN {first} AND {last}"
        return f"INSERT INTO {self.target.sql} AS t ({names}) {rows}{self._conflict()}"

    def source(self) -> str:
        """Query the rows as they would be written, with their numbers and defaults, without generated columns."""
        values = dict(self.values)
        for column in self.target.columns.values():
            if not column.always:
                values.setdefault(column.name, f"({column.default or 'NULL'})::{column.bare_type}")
        listed = ", ".join(f"{value} AS {quote(name)}" for name, value in values.items())
        return f"SELECT s.{self.staging.row}, {listed} FROM {self.staging.sql} AS s"

    def _conflict(self) -> str:
        if self.on_conflict == "error":
            return ""
        arbiter = f" ({', '.join(map(quote, self.key))})" if self.key else ""
        if self.on_conflict == "ignore":
            return f" ON CONFLICT{arbiter} DO NOTHING"
        # Only values of `excluded`: now() would differ between the replicas of a distributed table. Triggers set
        # updated_at and version.
        changed = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in self.changed)
        return f" ON CONFLICT{arbiter} DO UPDATE SET {changed}"

    def check(self) -> None:
        """Reject an update that changes no column.

        Raises:
            WrongCall: the rows set no column but the key.
        """
        if self.on_conflict == "update" and not self.changed:
            raise WrongCall(
                "The rows set only their key, so that an update would change nothing",
                "Use on_conflict='ignore'",
            )

    @cached_property
    def changed(self) -> list[str]:
        """The columns that an upsert changes: those that rows set, except the key and the primary key."""
        fixed = {*(self.key or ()), *self.shape.table.primary_key.columns.keys()}
        return [item.name for item in self.shape.fields if item.provided and item.name not in fixed]


def _from_text(item: Field, value: str) -> str:
    """Return the SQL that parses a value that was sent as text."""
    column: Any = literal_column(value, item.column.type)
    expression = item.column.type.dialect_impl(_dialect).bind_expression(column)
    if expression is None:
        return f"{value}::{item.target.bare_type}"
    return str(expression.compile(dialect=_dialect, compile_kwargs={"literal_binds": True}))
