"""The statement that takes rows from the staging table into the table itself, under its policies and triggers."""

# ruff: noqa: S608  names are quoted, and numbers are numbers
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
_dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


def key_of(shape: Shape, on_conflict: str, key: Sequence[str] | None) -> tuple[str, ...] | None:
    """The columns of the unique constraint that `key` names, the tenant included.

    Raises:
        WrongCall: `on_conflict` is unknown, the two do not fit, or the columns are no unique constraint of the model.
    """
    if on_conflict not in ("error", "ignore", "update"):
        raise WrongCall(f"on_conflict={on_conflict!r} is unknown", "Say 'error', 'ignore' or 'update'")
    if key is None:
        if on_conflict == "update":
            raise WrongCall(
                "on_conflict='update' needs to know which row is meant",
                "Give the columns of a unique constraint as 'key'",
            )
        return None
    if on_conflict == "error":
        raise WrongCall(
            "'key' says which rows are the same, and on_conflict='error' does not ask", "Leave it out"
        )
    if isinstance(key, str):
        raise WrongCall("'key' is a text, and names columns", f"Write key=({key!r},)")
    unknown = [name for name in key if name not in shape.names]
    if unknown:
        raise unknown_columns(shape.table.name, unknown, shape.settable)
    wanted = {shape.names[name].name for name in key}
    keys = list(_keys(shape))
    for columns in keys:
        if set(columns) in (wanted, wanted | {TENANT} if shape.is_of_tenant else wanted):
            return columns
    raise no_such_key(shape.table.name, key, keys)


def _keys(shape: Shape) -> Iterator[tuple[str, ...]]:
    """The columns of each constraint and index that ON CONFLICT can go by."""
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
    """The statement, and the rows as they would be written, for whoever looks for those that cannot be.

    Args:
        shape: the model.
        target: the table.
        staging: the staging table, filled.
        fields: the columns that were staged.
        on_conflict: what happens to a row that is there already.
        key: the columns by which it is.
    """

    shape: Shape
    target: Target
    staging: Staging
    fields: tuple[Field, ...]
    on_conflict: OnConflict
    key: tuple[str, ...] | None

    @cached_property
    def values(self) -> dict[str, str]:
        """What is written into which column, as SQL over the staging table `s`."""
        values: dict[str, str] = {}
        staged = set(self.fields)
        for item in self.shape.fields:
            if self.shape.is_fixed(item):
                values[item.name] = f"{sql_string(str(self.shape.tenant))}::pg_catalog.uuid"
            elif item in staged:
                values[item.name] = self._staged(item)
            elif item.is_default_of_model and item.sql_default is not None:
                values[item.name] = item.sql_default
        if not values:  # rows that bring nothing at all
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

        `place` is a condition that tells where in the staging table they lie.
        """
        names = ", ".join(map(quote, self.values))
        rows = f"SELECT {', '.join(self.values.values())} FROM {self.staging.sql} AS s"
        if first is not None and last is not None:
            rows += f" WHERE {place}s.{self.staging.row} BETWEEN {first} AND {last}"
        return f"INSERT INTO {self.target.sql} AS t ({names}) {rows}{self._conflict()}"

    def source(self) -> str:
        """All rows as they would be, with their numbers: defaults filled in, generated columns left out."""
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
        # From `excluded` alone: now() would differ from one replica of a distributed table to the next, and updated_at and
        # version are the triggers'.
        changed = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in self.changed)
        return f" ON CONFLICT{arbiter} DO UPDATE SET {changed}"

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            WrongCall: an update would change nothing.
        """
        if self.on_conflict == "update" and not self.changed:
            raise WrongCall(
                "The rows bring nothing but their key, so that an update would change nothing",
                "Use on_conflict='ignore'",
            )

    @cached_property
    def changed(self) -> list[str]:
        """The columns that an upsert changes: those that rows bring, but for the key and the row's identity."""
        fixed = {*(self.key or ()), *self.shape.table.primary_key.columns.keys()}
        return [item.name for item in self.shape.fields if item.given and item.name not in fixed]


def _from_text(item: Field, value: str) -> str:
    """How the database reads what was sent as text."""
    column: Any = literal_column(value, item.column.type)
    expression = item.column.type.dialect_impl(_dialect).bind_expression(column)
    if expression is None:
        return f"{value}::{item.target.bare_type}"
    return str(expression.compile(dialect=_dialect, compile_kwargs={"literal_binds": True}))
