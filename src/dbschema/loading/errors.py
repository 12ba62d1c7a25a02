"""Errors of bulk loading. They do not quote values of rows, because errors are logged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbschema.ddl.tenancy import APP_ROLE, TENANT_SETTING
from dbschema.errors import LoadError, MissingPrivilege, NotMigrated, NoTransaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class Problem:
    """A problem with a row of the input.

    Args:
        row: the number of the row; the first row of the input is 1.
        column: the column; None: several columns, or the whole row.
        reason: the problem, as the predicate of a sentence about the column.
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
        problems: the first problems, by row; empty if the search was stopped, as by `statement_timeout`.
        more: whether there are, or may be, further problems.
        sqlstate: PostgreSQL's code, if the database rejected the rows.
        constraint: the violated constraint, if the database named it.
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
        cause: str = "",
    ) -> None:
        self.table, self.problems, self.more = table, tuple(problems), more
        self.sqlstate, self.constraint = sqlstate, constraint
        listed = "; ".join(map(str, problems)) or f"a row that could not be found in time {cause}"
        listed += "; and more" if more and problems else ""
        super().__init__(
            f"No row was loaded into table {table}: {listed}", "Correct these rows and load again"
        )


class WrongCall(LoadError):
    """The arguments do not fit each other, the model or the driver of the session.

    Changed: nothing.
    Fix: correct the arguments as the message says.
    """

    code = "wrong-call"


def unknown_columns(table: str, names: Iterable[str], known: Iterable[str]) -> WrongCall:
    """The caller named columns that rows of the model cannot have."""
    return WrongCall(
        f"Table {table} has no column {', '.join(map(repr, names))} that a row can set",
        f"Use columns or attributes among {', '.join(known)}",
    )


def no_such_key(table: str, key: Iterable[str], known: Iterable[Sequence[str]]) -> WrongCall:
    """`key` names no unique constraint of the model, so the database cannot find the conflicting row."""
    keys = " or ".join(f"({', '.join(names)})" for names in known) or "it has no unique constraint"
    return WrongCall(
        f"No unique constraint of table {table} has exactly the columns ({', '.join(key)})",
        f"Pass the columns of one of its unique constraints: {keys}",
    )


def unsupported_model(name: str, tables: Iterable[str]) -> WrongCall:
    """The model is not mapped to exactly one table."""
    return WrongCall(
        f"{name} is not a model of exactly one table (its tables: {', '.join(tables) or 'none'})",
        "Load each table through a model of that table alone",
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
        f"The setting {TENANT_SETTING} of this session is not a UUID", "Set it to the id of a tenant"
    )


def no_transaction() -> NoTransaction:
    """The connection commits each statement, so that a failure would leave a part of the rows."""
    return NoTransaction(
        "The connection is in autocommit mode, and a load needs a transaction to be all or nothing",
        "Pass a session whose connection uses transactions",
    )


def not_migrated(table: str, missing: str) -> NotMigrated:
    """The database lacks the table or a column of the model."""
    return NotMigrated(table, f"The database lacks what the model of table {table} declares: {missing}")


def may_not_write(table: str, message: str) -> MissingPrivilege:
    """The role of the session lacks a privilege on the table."""
    return MissingPrivilege(
        f"The role of this session may not load into table {table}: {message}",
        f"Let an administrator GRANT {APP_ROLE.name} to the role, or GRANT what is missing",
        table=table,
    )


def no_temporary_tables(database: str, role: str, grant: str) -> MissingPrivilege:
    """The role of the session may not create temporary tables."""
    return MissingPrivilege(
        f"A load needs a temporary table, and role {role!r} may not create one in database {database!r}",
        f"Let the owner of the database run: {grant}",
        role=role,
        statement=grant,
    )
