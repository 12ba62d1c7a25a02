"""Column types: a decision that applies to several columns is made once, in their type.

A type may have a condition (`CheckedText`, `JsonShape` …). `apply_type_checks` adds it as a named CHECK constraint when a
model is mapped, so that the database enforces a closed set of values or the outer shape of a JSON document.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, TypeVar

import uuid_utils.compat
from sqlalchemy import CheckConstraint, Numeric, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.mutable import MutableDict, MutableList
from sqlalchemy.orm import MappedColumn, mapped_column
from sqlalchemy.sql import operators
from sqlalchemy.types import TypeDecorator

from dbschema.sql import sql_string

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from sqlalchemy import Dialect, Table
    from sqlalchemy.types import TypeEngine

SAMPLE: Final = "sample"
"""Key of `Column.info`: a value that the column accepts, or a function that returns a new value at each call."""

REJECTS: Final = "rejects"
"""Key of `CheckConstraint.info`: values by column that the constraint rejects; each may be a function as well."""

IMPLIED_BY: Final = "implied_by"
"""Key of `CheckConstraint.info`: names of constraints that may reject the same values first."""

E = TypeVar("E", bound=StrEnum)
_EQUALITIES = frozenset(
    {
        operators.eq,
        operators.ne,
        operators.in_op,
        operators.not_in_op,
        operators.is_distinct_from,
        operators.is_not_distinct_from,
    }
)


def uuid7() -> UUID:
    """Return a new time-ordered UUID, version 7 (RFC 9562), as an instance of the standard library's class.

    Consecutive rows are adjacent in the primary key's index, which halves the time of inserts.
    """
    return uuid_utils.compat.uuid7()


def uuid_key() -> MappedColumn[UUID]:
    """Return the column of a row's id: Python generates a time-ordered UUID, the database a random UUID.

    It is the insert sentinel: without a sentinel, an id with a server default turns a flush of 500 rows into 500
    statements. (An `Annotated` type would lose the sentinel in the model.)
    """
    return mapped_column(
        Uuid(),
        primary_key=True,
        default=uuid7,
        server_default=text("gen_random_uuid()"),
        insert_sentinel=True,
        sort_order=-90,
    )


Money = Annotated[Decimal, mapped_column(Numeric(12, 2))]


class Checked(TypeDecorator[Any]):
    """Base of types that add a CHECK constraint to each of their columns."""

    impl: Any = Text
    cache_ok = True

    def condition(self, column: str) -> str:
        """Return the condition as SQL, for a column with this (already quoted) name."""
        raise NotImplementedError

    def sample(self) -> Any:
        """Return a value that the condition accepts, as the database stores it; None if the type has no sample."""
        return None

    def rejected(self) -> Any:
        """Return a value that the condition rejects, for `dbschema verify`; None if the type has no such value."""
        return None


class CheckedText(Checked, Generic[E]):
    """A closed set of values: text in the database, members of a `StrEnum` in Python.

    It is not a PostgreSQL enum: the comparison of enums is not leakproof, so that row-level security disables their
    indexes, and an enum cannot remove or reorder its values.
    """

    cache_ok = True

    def __init__(self, enum: type[E]) -> None:
        super().__init__()
        self.enum = enum

    def condition(self, column: str) -> str:
        """Return the condition of the CHECK constraint."""
        return f"{column} IN ({', '.join(sql_string(member.value) for member in self.enum)})"

    def sample(self) -> str:
        """Return a value that the CHECK accepts."""
        return next(iter(self.enum)).value

    def rejected(self) -> str:
        """Return a value that the CHECK rejects."""
        return "\t no such value \t"

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002  SQLAlchemy's signature
        """Convert a value for the driver."""
        return None if value is None else self.python_value(value).value

    def process_result_value(self, value: Any, dialect: Dialect) -> E | None:  # noqa: ARG002  SQLAlchemy's signature
        """Convert a value from the driver."""
        return None if value is None else self.enum(value)

    def python_value(self, value: Any) -> E:
        """Convert `value` to a member of the set.

        Raises:
            ValueError: the value is not in the set.
        """
        try:
            return self.enum(value)
        except ValueError:
            allowed = ", ".join(self.enum)
            raise ValueError(f"{value!r} is not a {self.enum.__name__}; use one of {allowed}") from None

    def coerce_compared_value(self, op: Any, value: Any) -> TypeEngine[Any]:  # noqa: ARG002  SQLAlchemy's signature
        """Return the type of the other operand of an operator."""
        # The pattern of LIKE is not a member of the set.
        return self if op in _EQUALITIES else Text()

    @property
    def python_type(self) -> type[Any]:
        """The type of the values in Python."""
        return self.enum

    def __repr__(self) -> str:
        return f"CheckedText({self.enum.__name__})"


class Pattern(Checked):
    """Text that must match a POSIX regular expression (PostgreSQL's `~`), such as a currency code or an address."""

    cache_ok = True

    def __init__(self, regex: str) -> None:
        super().__init__()
        self.regex = regex

    def condition(self, column: str) -> str:
        """Return the condition of the CHECK constraint."""
        return f"{column} ~ {sql_string(self.regex)}"

    def rejected(self) -> str:
        """Return a value that the CHECK rejects."""
        return "\t no such value \t"


class LowerText(Checked):
    """Text that is converted to lower case and stored in lower case.

    Row-level security would disable an expression index on lower(…) and an index on citext; it does not disable an
    index on plain text.
    """

    cache_ok = True

    def condition(self, column: str) -> str:
        """Return the condition of the CHECK constraint."""
        return f"{column} = lower({column})"

    def rejected(self) -> str:
        """Return a value that the CHECK rejects."""
        return "IN CAPITALS"

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002  SQLAlchemy's signature
        """Convert a value for the driver."""
        return None if value is None else self.python_value(value)

    def python_value(self, value: Any) -> str:
        """Convert `value` to lower case."""
        return str(value).lower()


class JsonShape(Checked):
    """JSONB whose outermost type is one of `shapes` ('object', 'array')."""

    impl = JSONB
    cache_ok = True

    def __init__(self, shapes: tuple[str, ...]) -> None:
        super().__init__()
        self.shapes = shapes

    def condition(self, column: str) -> str:
        """Return the condition of the CHECK constraint."""
        if len(self.shapes) == 1:
            return f"jsonb_typeof({column}) = {sql_string(self.shapes[0])}"
        return f"jsonb_typeof({column}) IN ({', '.join(map(sql_string, self.shapes))})"

    def sample(self) -> list[Any] | dict[str, Any]:
        """Return a value that the CHECK accepts."""
        return [] if self.shapes == ("array",) else {}

    def rejected(self) -> str:
        """Return a value that the CHECK rejects."""
        return '"a word"'

    def coerce_compared_value(self, op: Any, value: Any) -> TypeEngine[Any]:
        """Return the type of the other operand of an operator."""
        # JSONB determines the operand types of operators such as [], ->> and @>; they are not always documents.
        return self.impl_instance.coerce_compared_value(op, value)

    def __repr__(self) -> str:
        return f"JsonShape({self.shapes!r})"


def checked_text(enum: type[E], *, default: E | None = None, comment: str | None = None) -> MappedColumn[Any]:
    """Return a column for a closed set of values; `default` becomes the server default."""
    return mapped_column(
        CheckedText(enum), server_default=None if default is None else default.value, comment=comment
    )


def pattern(
    regex: str,
    *,
    default: str | None = None,
    comment: str | None = None,
    sample: str | Callable[[], str] | None = None,
) -> MappedColumn[Any]:
    """Return a text column whose values match `regex`.

    Args:
        regex: a POSIX regular expression.
        default: the server default.
        comment: comment of the column.
        sample: a matching value, or a function that returns a new matching value; `dbschema verify` and the factory of
            `dbschema.testing` insert it.
    """
    info = {} if sample is None else {SAMPLE: sample}
    return mapped_column(Pattern(regex), server_default=default, comment=comment, info=info)


def checked(
    condition: str, *, name: str, rejects: Mapping[str, Any], implied_by: str | tuple[str, ...] = ()
) -> CheckConstraint:
    """Return a CHECK constraint with a rejected example, which `dbschema verify` tries on the database.

    Args:
        condition: the condition, as SQL.
        name: name of the constraint, without the prefix of the naming convention.
        rejects: values by column that the constraint rejects. The constraint must reject a row with these values whose
            other values satisfy all other constraints. The server casts strings to the type of the column.
        implied_by: names of constraints of the same table, without prefix, that may reject the example first because
            their conditions imply this condition.
    """
    names = (implied_by,) if isinstance(implied_by, str) else tuple(implied_by)
    info: dict[str, Any] = {REJECTS: dict(rejects)}
    if names:
        info[IMPLIED_BY] = names
    return CheckConstraint(condition, name=name, info=info)


def currency() -> MappedColumn[Any]:
    """Return a column for an ISO 4217 currency code: three capital letters, by default USD."""
    return pattern(
        "^[A-Z]{3}$",
        default="USD",
        comment="ISO 4217 code of the currency of the amounts in this row",
        sample="XTS",
    )


def json_object(name: str | None = None, *, comment: str | None = None) -> MappedColumn[Any]:
    """Return a JSONB column for an object, `{}` by default.

    The ORM detects in-place changes of top-level keys (`MutableDict`). It does not detect deeper changes: assign a new
    value.
    """
    kind = MutableDict.as_mutable(JsonShape(("object",)))
    default = text("'{}'::jsonb")
    if name is None:
        return mapped_column(kind, server_default=default, comment=comment)
    return mapped_column(name, kind, server_default=default, comment=comment)


def json_array(*, comment: str | None = None) -> MappedColumn[Any]:
    """Return a JSONB column for an array, `[]` by default; the ORM detects in-place changes of its elements."""
    return mapped_column(
        MutableList.as_mutable(JsonShape(("array",))), server_default=text("'[]'::jsonb"), comment=comment
    )


def json_document(*, comment: str | None = None) -> MappedColumn[Any]:
    """Return a JSONB column for an object or an array from another system; `{}` by default."""
    return mapped_column(JsonShape(("object", "array")), server_default=text("'{}'::jsonb"), comment=comment)


def apply_type_checks(table: Table) -> None:
    """Add the CHECK constraints of the column types to `table`, each named after its column.

    The function is idempotent: it does not add a constraint twice.
    """
    present = {str(constraint.name) for constraint in table.constraints if constraint.name is not None}
    for column in table.columns:
        if isinstance(column.type, Checked):
            name = f"ck_{table.name}_{column.name}"
            if name not in present and column.name not in present:
                condition = column.type.condition(column.name)
                rejected = column.type.rejected()
                info = {} if rejected is None else {REJECTS: {column.name: rejected}}
                table.append_constraint(CheckConstraint(condition, name=column.name, info=info))
