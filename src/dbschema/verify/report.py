"""Run checks and collect their results in a report.

Each check has a savepoint of its own, so that no check sees the changes of another one.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError

from dbschema.errors import NoTransaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlalchemy import Connection, CursorResult


def no_transaction() -> NoTransaction:
    """Return the error for a connection that commits each statement, so that the rows of the checks would remain."""
    return NoTransaction(
        "The connection is in autocommit mode, and the changes of the checks must be rolled back",
        "Pass a connection with transactions",
    )


class Unmet(Exception):
    """A failed check; the message is its line in the report. Private: a verification or a factory catches it."""


STRUCTURE = (
    "connection",
    "extensions",
    "tables",
    "triggers",
    "functions",
    "row-level security",
    "policies",
    "grants",
    "roles",
)
BEHAVIOUR = (
    "behaviour",
    "isolation",
    "timestamps",
    "versions",
    "append-only",
    "removal",
    "foreign keys",
    "unique",
    "values",
    "nearest",
)
GROUPS = (*STRUCTURE, *BEHAVIOUR)
"""The groups of checks in the order of a run: first the catalog, then the behaviour."""


@dataclass(frozen=True)
class Check:
    """One line of a report.

    Args:
        group: one of `GROUPS`.
        name: the subject of the check, such as "things" or "things.code is unique within a tenant".
        passed: the result.
        detail: on one line, the observation; or the problem and the next step.
        tried: False if the check was not possible; the line then counts neither as passed nor as failed.
    """

    group: str
    name: str
    passed: bool
    detail: str = ""
    tried: bool = True

    @property
    def mark(self) -> str:
        """✓ for passed, ✗ for failed, - for not tried."""
        if not self.tried:
            return "-"
        return "✓" if self.passed else "✗"

    def __str__(self) -> str:
        return f"{self.mark} {self.name}{f': {self.detail}' if self.detail else ''}"


@dataclass(frozen=True)
class Report:
    """The checks of a database, in the order of the run.

    Args:
        database: the name of the database.
        role: the role of the session.
        checks: the lines.
    """

    database: str
    role: str
    checks: tuple[Check, ...]

    @property
    def total(self) -> int:
        """The number of checks that were tried."""
        return len(self.checks) - len(self.untried)

    @property
    def passed(self) -> int:
        """The number of passed checks."""
        return sum(check.passed and check.tried for check in self.checks)

    @property
    def failed(self) -> int:
        """The number of failed checks; if it is not 0, the exit code of the command line is 1."""
        return self.total - self.passed

    @property
    def untried(self) -> tuple[Check, ...]:
        """The checks that were not possible, such as a CHECK constraint without an example."""
        return tuple(check for check in self.checks if not check.tried)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The failed checks."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def rate(self) -> float:
        """The share of passed checks, from 0 to 1; 0 if nothing was checked, because that is not a success."""
        return self.passed / self.total if self.total else 0.0

    @property
    def ok(self) -> bool:
        """Whether at least one check was tried, and none failed."""
        return bool(self.total) and not self.failed

    def of(self, group: str) -> tuple[Check, ...]:
        """Return the checks of a group."""
        return tuple(check for check in self.checks if check.group == group)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as a dictionary of values that JSON supports."""
        return {
            "database": self.database,
            "role": self.role,
            "total": self.total,
            "passed": self.passed,
            "failed": self.failed,
            "untried": len(self.untried),
            "rate": self.rate,
            "checks": [asdict(check) for check in self.checks],
        }

    def to_json(self) -> str:
        """Return `as_dict` as JSON text."""
        return json.dumps(self.as_dict(), ensure_ascii=False, indent=2)


SAVEPOINT = "dbschema_check"


class Recorder:
    """Runs checks on a connection, and collects the results.

    Args:
        connection: in a transaction.
        on_check: called with each check as soon as it is done.
    """

    def __init__(self, connection: Connection, on_check: Callable[[Check], object] | None = None) -> None:
        self.connection = connection
        self.checks: list[Check] = []
        self._on_check = on_check

    def note(self, group: str, name: str, passed: bool, detail: str = "") -> None:
        """Add a result that is already known."""
        self._add(Check(group, name, passed, detail))

    def _add(self, check: Check) -> None:
        self.checks.append(check)
        if self._on_check is not None:
            self._on_check(check)

    def note_untried(self, group: str, name: str, reason: str) -> None:
        """Add a line for a check that is not possible; it counts neither as passed nor as failed."""
        self._add(Check(group, name, True, reason, tried=False))

    def run(self, group: str, name: str, check: Callable[[], str]) -> None:
        """Run a check in a savepoint, and roll it back.

        A lost connection is raised, because no other check is possible without it.

        Args:
            group, name: of the check.
            check: returns the detail of a passed check. An exception is a failed check; its first line is the detail.
        """
        try:
            with savepoint(self.connection):
                detail, passed = check(), True
        except Exception as error:
            if self.connection.invalidated:
                raise
            detail, passed = one_line(error), False
        self.note(group, name, passed, detail)


@contextmanager
def savepoint(connection: Connection, *, keep: bool = False) -> Iterator[None]:
    """Roll the block back; with `keep`, only if it raises. Savepoints can be nested.

    `begin_nested` of SQLAlchemy does not release a savepoint after its rollback, so that hundreds would be nested.
    """
    execute(connection, f"SAVEPOINT {SAVEPOINT}")
    done = False
    try:
        yield
        done = True
    finally:
        # A lost connection has nothing to roll back; do not hide its error behind another one.
        if not connection.invalidated:
            rollback = "" if done and keep else f"ROLLBACK TO SAVEPOINT {SAVEPOINT}; "
            execute(connection, f"{rollback}RELEASE SAVEPOINT {SAVEPOINT}")


def one_line(error: BaseException) -> str:
    """Return the first line of an error; omit the statement of a database error."""
    text = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    line = text.strip().partition("\n")[0]
    if isinstance(error, Unmet | DBAPIError):
        return line
    return f"{type(error).__name__}: {line}"


def execute(
    connection: Connection, statement: str, values: Mapping[str, str | None] | None = None
) -> CursorResult[*tuple[Any, ...]]:
    """Execute SQL text with values as text, written `%(name)s`; the server casts them to the type of the column.

    This bypasses the types of SQLAlchemy, which reject a wrong value before it reaches the database.
    """
    if values is None:
        statement = statement.replace("%", "%%")
    return connection.exec_driver_sql(statement, dict(values or {}))


@dataclass(frozen=True)
class Attempt:
    """The result of a statement that was tried and rolled back.

    Args:
        rows: the number of affected rows; 0 after an error.
        state: the SQLSTATE of the error; '' without an error.
        constraint: the violated constraint, or ''.
        message: the message of the error.
    """

    rows: int
    state: str = ""
    constraint: str = ""
    message: str = ""

    @property
    def rejected(self) -> bool:
        """Whether the database raised an error."""
        return bool(self.state)


def attempt(
    connection: Connection, statement: str, values: Mapping[str, str | None] | None = None
) -> Attempt:
    """Execute a statement, and roll it back."""
    try:
        with savepoint(connection):
            return Attempt(execute(connection, statement, values).rowcount)
    except DBAPIError as error:
        if connection.invalidated:
            raise
        diagnosis = getattr(error.orig, "diag", None)
        constraint = getattr(diagnosis, "constraint_name", None) or ""
        return Attempt(0, getattr(error.orig, "sqlstate", None) or "?", constraint, one_line(error))
