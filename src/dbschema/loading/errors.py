"""Errors of bulk loading. None quotes a value of a row, because a log would keep it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbschema.ddl.tenancy import APP_ROLE, TENANT_SETTING
from dbschema.errors import LoadError, MissingPrivilege, NotMigrated, NoTransaction

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
    """Rows are not valid; the library rejected them before they were sent, or the database did.

    Changed: nothing; no row was loaded, and the session stays usable.
    Fix: correct the rows that `problems` names by number, and load again.

    Attributes:
        table: the table.
        problems: the first of them, by row; none, if the search for them was stopped (`statement_timeout`).
        more: whether there are, or may be, further ones.
        sqlstate: PostgreSQL's code, where the database refused them.
        constraint: the constraint that they violate, where the database named one.
    """

    code = "bad-rows"

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
    """The arguments do not fit each other, the model or the driver of the session.

    Changed: nothing.
    Fix: correct the arguments as the message says.
    """

    code = "wrong-call"


def unknown_columns(table: str, names: Iterable[str], known: Iterable[str]) -> WrongCall:
    """Columns were named that rows of the model cannot have."""
    return WrongCall(
        f"Table {table} has no column {', '.join(map(repr, names))} that a row can bring",
        f"Name columns or attributes among {', '.join(known)}",
    )


def no_such_key(table: str, key: Iterable[str], known: Iterable[Sequence[str]]) -> WrongCall:
    """`key` names no unique constraint of the model, so the database cannot find the conflicting row."""
    there = " or ".join(f"({', '.join(names)})" for names in known) or "there is none"
    return WrongCall(
        f"No unique constraint of table {table} has exactly the columns ({', '.join(key)})",
        f"Give the columns of one that it has: {there}",
    )


def unsupported_model(name: str, tables: Iterable[str]) -> WrongCall:
    """The model is not mapped to exactly one table."""
    return WrongCall(
        f"{name} is no model with one table of its own (its tables: {', '.join(tables) or 'none'})",
        "Load each table by a model that stands for it alone",
    )


def unsupported_driver(driver: str) -> WrongCall:
    """The driver of the session is not psycopg."""
    return WrongCall(
        f"Rows are loaded over psycopg's COPY, and the driver of this session is {driver}",
        "Use an address that begins with postgresql+psycopg://",
    )


def bad_tenant_setting() -> LoadError:
    """The setting `app.tenant_id` of the session is not a UUID."""
    return LoadError(
        f"The setting {TENANT_SETTING} of this session is no UUID", "Set it to the id of a tenant"
    )


def no_transaction() -> NoTransaction:
    """The connection commits each statement, so that a failure would leave half of the rows."""
    return NoTransaction(
        "The connection is in autocommit mode, and rows are loaded all or nothing",
        "Give a session whose connection has transactions",
    )


def not_migrated(table: str, missing: str) -> NotMigrated:
    """The database lacks the table or a column of the model."""
    return NotMigrated(table, f"The database has not what the model of table {table} declares: {missing}")


def may_not_write(table: str, message: str) -> MissingPrivilege:
    """The role of the session lacks a privilege on the table."""
    return MissingPrivilege(
        f"The role of this session may not load into table {table}: {message}",
        f"Let an administrator GRANT {APP_ROLE.name} to the role, or GRANT what is missing",
        table=table,
    )


def no_temporary_tables(database: str, role: str, grant: str) -> MissingPrivilege:
    """The role of the session may not make temporary tables."""
    return MissingPrivilege(
        f"Rows go through a temporary table, and role {role!r} may not make one in database {database!r}",
        f"Let the owner of the database run: {grant}",
        role=role,
        statement=grant,
    )
