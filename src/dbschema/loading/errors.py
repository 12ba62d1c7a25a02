"""Why rows were not loaded: the children of `LoadError`. None quotes a value of a row, which a log would keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbschema.ddl.tenancy import APP_ROLE, TENANT_SETTING
from dbschema.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class Problem:
    """What is wrong with a row of the input.

    Args:
        row: its number; the first row of the input is 1.
        column: the column, where it is one alone.
        reason: what is wrong, in words that go on after the column's name.
    """

    row: int
    column: str | None
    reason: str

    def __str__(self) -> str:
        return f"row {self.row}: {'' if self.column is None else self.column + ' '}{self.reason}"


class BadRows(LoadError):
    """Rows were refused, by the library before they were sent or by the database; none was loaded.

    Attributes:
        table: the table.
        problems: the first of them, by row; none, if the search for them was stopped (`statement_timeout`).
        more: whether there are, or may be, further ones.
        sqlstate: PostgreSQL's code, where the database refused them.
        constraint: the constraint that they violate, where the database named one.
    """

    def __init__(
        self,
        table: str,
        problems: Sequence[Problem],
        *,
        more: bool = False,
        sqlstate: str | None = None,
        constraint: str | None = None,
        unfound: str = "",
    ) -> None:
        self.table, self.problems, self.more = table, tuple(problems), more
        self.sqlstate, self.constraint = sqlstate, constraint
        told = "; ".join(map(str, problems)) or f"a row that could not be found in time {unfound}"
        told += "; and more" if more and problems else ""
        super().__init__(f"No row was loaded into table {table}: {told}", "Correct these rows and load again")


class WrongCall(LoadError):
    """The arguments do not fit each other or the model."""


class UnknownColumns(WrongCall):
    """Columns were named that rows of the model cannot bring."""

    def __init__(self, table: str, names: Iterable[str], known: Iterable[str]) -> None:
        self.table, self.names = table, tuple(names)
        super().__init__(
            f"Table {table} has no column {', '.join(map(repr, self.names))} that a row can bring",
            f"Name columns or attributes among {', '.join(known)}",
        )


class NoSuchKey(WrongCall):
    """`key` is no unique constraint of the model, so that the database could not tell which row is meant."""

    def __init__(self, table: str, key: Iterable[str], known: Iterable[Sequence[str]]) -> None:
        self.table, self.key = table, tuple(key)
        there = " or ".join(f"({', '.join(names)})" for names in known) or "there is none"
        super().__init__(
            f"No unique constraint of table {table} has exactly the columns ({', '.join(self.key)})",
            f"Give the columns of one that it has: {there}",
        )


class UnsupportedModel(LoadError):
    """The model is not one table."""

    def __init__(self, name: str, tables: Iterable[str]) -> None:
        self.model = name
        super().__init__(
            f"{name} is no model with one table of its own (its tables: {', '.join(tables) or 'none'})",
            "Load each table by a model that stands for it alone",
        )


class NoTransaction(LoadError):
    """The connection commits each statement by itself, so that a failure would leave half of the rows."""

    def __init__(self) -> None:
        super().__init__(
            "The connection is in autocommit mode, and rows are loaded all or nothing",
            "Give a session whose connection has transactions",
        )


class UnsupportedDriver(LoadError):
    """The driver of the session is not psycopg."""

    def __init__(self, driver: str) -> None:
        self.driver = driver
        super().__init__(
            f"Rows are loaded over psycopg's COPY, and the driver of this session is {driver}",
            "Use an address that begins with postgresql+psycopg://",
        )


class BadTenantSetting(LoadError):
    """`app.tenant_id` holds something that is no UUID."""

    def __init__(self) -> None:
        super().__init__(
            f"The setting {TENANT_SETTING} of this session is no UUID", "Set it to the id of a tenant"
        )


class NotMigrated(LoadError):
    """The database has not the table or the columns of the model."""

    def __init__(self, table: str, missing: str) -> None:
        self.table, self.missing = table, missing
        super().__init__(
            f"The database has not what the model of table {table} declares: {missing}",
            "Run 'dbschema upgrade' first",
        )


class MayNotWrite(LoadError):
    """The role of the session has not the privileges that loading needs."""

    def __init__(self, table: str, message: str) -> None:
        self.table = table
        super().__init__(
            f"The role of this session may not load into table {table}: {message}",
            f"Let an administrator GRANT {APP_ROLE.name} to the role, or GRANT what is missing",
        )


class NoTemporaryTables(LoadError):
    """The role of the session may not make temporary tables."""

    def __init__(self, database: str, role: str, grant: str) -> None:
        self.database, self.role = database, role
        super().__init__(
            f"Rows go through a temporary table, and role {role!r} may not make one in database {database!r}",
            f"Let the owner of the database run: {grant}",
        )
