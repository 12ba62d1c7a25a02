"""Column types: every decision about a column that is made more than once is made here.

A type may carry a condition (`CheckedText`, `JsonObject` …). `apply_type_checks` turns it into a named CHECK constraint
when a model is mapped, so that the database keeps a closed value set or the outer shape of a JSON document.
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
"""Key of `Column.info`: a value that the column accepts, or a function that returns a new one at each call."""

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
    """A new time-ordered UUID, version 7 (RFC 9562), as the standard library's class.

    Rows made one after the other lie beside each other in the primary key, which halves the time of inserts.
    """
    return uuid_utils.compat.uuid7()


def uuid_key() -> MappedColumn[UUID]:
    """The column of a row's id: time-ordered where Python makes it, random where the database does.

    It is the insert sentinel; without that, an id with a server default turns a flush of 500 rows into 500 statements.
    (An `Annotated` type would lose the sentinel on its way into the model.)
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
    """A type that brings a CHECK condition to every column it stands on."""

    impl: Any = Text
    cache_ok = True

    def condition(self, column: str) -> str:
        """The condition for a column of this (already quoted) name, as SQL."""
        raise NotImplementedError

    def sample(self) -> Any:
        """A value that the condition accepts, as the database stores it; None if the type knows none."""
        return None

    def rejected(self) -> Any:
        """A value that the condition rejects; None if the type knows none. `dbschema verify` tries it."""
        return None


class CheckedText(Checked, Generic[E]):
    """A closed set of values: text in the database, members of a `StrEnum` in Python.

    Not a PostgreSQL enum: its comparison is not leakproof, so an index on it is lost under row security, and a value
    can be neither removed nor moved.
    """

    cache_ok = True

    def __init__(self, enum: type[E]) -> None:
        super().__init__()
        self.enum = enum

    def condition(self, column: str) -> str:
        """Return the condition of the CHECK constraint."""
        return f"{column} IN ({', '.join(sql_string(member.value) for member in self.enum)})"

    def sample(self) -> str:
        """A value that the CHECK accepts."""
        return next(iter(self.enum)).value

    def rejected(self) -> str:
        """A value that the CHECK rejects."""
        return "\t no such value \t"

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002  SQLAlchemy's signature
        """Convert a value for the driver."""
        return None if value is None else self.python_value(value).value

    def process_result_value(self, value: Any, dialect: Dialect) -> E | None:  # noqa: ARG002  SQLAlchemy's signature
        """Convert a value of the driver."""
        return None if value is None else self.enum(value)

    def python_value(self, value: Any) -> E:
        """`value` as a member of the set.

        Raises:
            ValueError: it is none.
        """
        try:
            return self.enum(value)
        except ValueError:
            allowed = ", ".join(self.enum)
            raise ValueError(f"{value!r} is no {self.enum.__name__}; it is one of {allowed}") from None

    def coerce_compared_value(self, op: Any, value: Any) -> TypeEngine[Any]:  # noqa: ARG002  SQLAlchemy's signature
        """Return the type of the other operand of an operator."""
        # A pattern, as of LIKE, is no member of the set.
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
        """A value that the CHECK rejects."""
        return "\t no such value \t"


class LowerText(Checked):
    """Text that is stored in lower case and turned into it on the way in.

    An expression index on lower(…) or citext would lose its index under row security; plain text keeps it.
    """

    cache_ok = True

    def condition(self, column: str) -> str:
        """Return the condition of the CHECK constraint."""
        return f"{column} = lower({column})"

    def rejected(self) -> str:
        """A value that the CHECK rejects."""
        return "IN CAPITALS"

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002  SQLAlchemy's signature
        """Convert a value for the driver."""
        return None if value is None else self.python_value(value)

    def python_value(self, value: Any) -> str:
        """`value` in lower case."""
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
        """A value that the CHECK accepts."""
        return [] if self.shapes == ("array",) else {}

    def rejected(self) -> str:
        """A value that the CHECK rejects."""
        return '"a word"'

    def coerce_compared_value(self, op: Any, value: Any) -> TypeEngine[Any]:
        """Return the type of the other operand of an operator."""
        # Operators such as [], ->> and @> take operands of JSONB's own choosing, not another document.
        return self.impl_instance.coerce_compared_value(op, value)

    def __repr__(self) -> str:
        return f"JsonShape({self.shapes!r})"


def checked_text(enum: type[E], *, default: E | None = None, comment: str | None = None) -> MappedColumn[Any]:
    """A column for a closed set of values; `default` becomes the server's default."""
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
    """A text column whose values match `regex`.

    Args:
        regex: a POSIX regular expression.
        default: the server's default.
        comment: of the column.
        sample: a value that matches, or a function that returns a new one; `dbschema verify` and the factory of
            `dbschema.testing` write it.
    """
    info = {} if sample is None else {SAMPLE: sample}
    return mapped_column(Pattern(regex), server_default=default, comment=comment, info=info)


def checked(
    condition: str, *, name: str, rejects: Mapping[str, Any], implied_by: str | tuple[str, ...] = ()
) -> CheckConstraint:
    """A CHECK constraint with an example that it rejects, which `dbschema verify` tries on the database.

    Args:
        condition: the condition, as SQL.
        name: name of the constraint, without the prefix of the naming convention.
        rejects: values by column that the constraint rejects. A row with these values, and with values that all other
            constraints accept, must be rejected. Strings are read by the server as the type of the column.
        implied_by: names of constraints of the same table, without prefix, that may reject the example first, because
            the condition follows from theirs.
    """
    names = (implied_by,) if isinstance(implied_by, str) else tuple(implied_by)
    info: dict[str, Any] = {REJECTS: dict(rejects)}
    if names:
        info[IMPLIED_BY] = names
    return CheckConstraint(condition, name=name, info=info)


def currency() -> MappedColumn[Any]:
    """A column for an ISO 4217 currency code, three capital letters; US dollars unless told otherwise."""
    return pattern(
        "^[A-Z]{3}$",
        default="USD",
        comment="ISO 4217 code of the currency of the amounts in this row",
        sample="XTS",
    )


def json_object(name: str | None = None, *, comment: str | None = None) -> MappedColumn[Any]:
    """A JSONB column that holds an object, `{}` by default.

    Changes of its top-level keys in place are seen by the ORM (`MutableDict`); deeper ones are not: assign anew.
    """
    kind = MutableDict.as_mutable(JsonShape(("object",)))
    default = text("'{}'::jsonb")
    if name is None:
        return mapped_column(kind, server_default=default, comment=comment)
    return mapped_column(name, kind, server_default=default, comment=comment)


def json_array(*, comment: str | None = None) -> MappedColumn[Any]:
    """A JSONB column that holds an array, `[]` by default; changes of its elements in place are seen by the ORM."""
    return mapped_column(
        MutableList.as_mutable(JsonShape(("array",))), server_default=text("'[]'::jsonb"), comment=comment
    )


def json_document(*, comment: str | None = None) -> MappedColumn[Any]:
    """A JSONB column that holds an object or an array, as somebody else sent it; `{}` by default."""
    return mapped_column(JsonShape(("object", "array")), server_default=text("'{}'::jsonb"), comment=comment)


def apply_type_checks(table: Table) -> None:
    """Give `table` the CHECK constraints that the types of its columns carry, each named after its column.

    Safe to call again: a constraint that is there stays.
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
