"""Errors of a verification, and the private exception by which a check reports a finding.

What a verification found: a line a check, and their sums.

Runs checks and notes what they say: each in a savepoint of its own, so that no check sees what another one did.
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
    """The connection commits each statement, so that the rows of the checks would stay."""
    return NoTransaction(
        "The connection is in autocommit mode, and what the checks write must be rolled back",
        "Give a connection with transactions",
    )


class Unmet(Exception):
    """A check failed; the message is its line in the report. Private: it does not leave a verification or a factory."""


STRUCTURE = (
    "connection",
    "extensions",
    "tables",
    "triggers",
    "functions",
    "row security",
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
"""The groups of checks, in the order in which they are made: what stands in the catalog, then what happens."""


@dataclass(frozen=True)
class Check:
    """One line of a report.

    Args:
        group: one of `GROUPS`.
        name: what was asked, such as "things" or "things.code is unique within a tenant".
        passed: whether it is so.
        detail: one line: what was found, or what is wrong and what to do about it.
        tried: False if it could not be checked; the line then counts neither as passed nor as failed.
    """

    group: str
    name: str
    passed: bool
    detail: str = ""
    tried: bool = True

    @property
    def mark(self) -> str:
        """✓ or ✗, and - if it was not tried."""
        if not self.tried:
            return "-"
        return "✓" if self.passed else "✗"

    def __str__(self) -> str:
        return f"{self.mark} {self.name}{f': {self.detail}' if self.detail else ''}"


@dataclass(frozen=True)
class Report:
    """The checks of one database, in the order in which they were made.

    Args:
        database: its name.
        role: the role that the session had.
        checks: the lines.
    """

    database: str
    role: str
    checks: tuple[Check, ...]

    @property
    def total(self) -> int:
        """How many checks were made."""
        return len(self.checks) - len(self.untried)

    @property
    def passed(self) -> int:
        """How many of them are ✓."""
        return sum(check.passed and check.tried for check in self.checks)

    @property
    def failed(self) -> int:
        """How many of them are ✗; the command line ends with exit code 1 where there is one."""
        return self.total - self.passed

    @property
    def untried(self) -> tuple[Check, ...]:
        """Those that could not be checked, such as a CHECK constraint without an example."""
        return tuple(check for check in self.checks if not check.tried)

    @property
    def failures(self) -> tuple[Check, ...]:
        """Those that are ✗."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def rate(self) -> float:
        """The share of ✓, from 0 to 1; 0 where nothing was checked, which is no success."""
        return self.passed / self.total if self.total else 0.0

    @property
    def ok(self) -> bool:
        """Whether something was checked and all of it is ✓."""
        return bool(self.total) and not self.failed

    def of(self, group: str) -> tuple[Check, ...]:
        """The checks of one group."""
        return tuple(check for check in self.checks if check.group == group)

    def as_dict(self) -> dict[str, Any]:
        """Everything, as values that JSON knows."""
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
        """`as_dict` as JSON text."""
        return json.dumps(self.as_dict(), ensure_ascii=False, indent=2)


SAVEPOINT = "dbschema_check"


class Recorder:
    """The checks made so far, on one connection.

    Args:
        connection: in a transaction.
        on_check: is told each check as soon as it is made.
    """

    def __init__(self, connection: Connection, on_check: Callable[[Check], object] | None = None) -> None:
        self.connection = connection
        self.checks: list[Check] = []
        self._on_check = on_check

    def note(self, group: str, name: str, passed: bool, detail: str = "") -> None:
        """Add a line that is known already."""
        self._add(Check(group, name, passed, detail))

    def _add(self, check: Check) -> None:
        self.checks.append(check)
        if self._on_check is not None:
            self._on_check(check)

    def note_untried(self, group: str, name: str, reason: str) -> None:
        """Add a line for what could not be checked; it counts neither as passed nor as failed."""
        self._add(Check(group, name, True, reason, tried=False))

    def ask(self, group: str, name: str, question: Callable[[], str]) -> None:
        """Ask `question` in a savepoint and roll it back.

        Args:
            group, name: of the check.
            question: gives the detail of a ✓, or raises; whatever it raises becomes a ✗ with one line, but for a
                connection that has gone: without it no other check could be made.
        """
        try:
            with savepoint(self.connection):
                detail, passed = question(), True
        except Exception as error:
            if self.connection.invalidated:
                raise
            detail, passed = one_line(error), False
        self.note(group, name, passed, detail)


@contextmanager
def savepoint(connection: Connection, *, keep: bool = False) -> Iterator[None]:
    """A stretch that is rolled back; with `keep` only where it raises. Nesting works.

    SQLAlchemy's own does not release what it rolled back, so that hundreds of them would lie within each other.
    """
    execute(connection, f"SAVEPOINT {SAVEPOINT}")
    done = False
    try:
        yield
        done = True
    finally:
        # A connection that is lost has nothing to roll back, and the error that lost it is the one to be told.
        if not connection.invalidated:
            rollback = "" if done and keep else f"ROLLBACK TO SAVEPOINT {SAVEPOINT}; "
            execute(connection, f"{rollback}RELEASE SAVEPOINT {SAVEPOINT}")


def one_line(error: BaseException) -> str:
    """The first line of what an error says; of the database's errors, without the statement."""
    text = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    line = text.strip().partition("\n")[0]
    if isinstance(error, Unmet | DBAPIError):
        return line
    return f"{type(error).__name__}: {line}"


def execute(
    connection: Connection, statement: str, values: Mapping[str, str | None] | None = None
) -> CursorResult[*tuple[Any, ...]]:
    """Run SQL as it stands; values are written `%(name)s`, given as text, and read by the server as the column's type.

    Past the types of SQLAlchemy, which would refuse a wrong value before the database can.
    """
    if values is None:
        statement = statement.replace("%", "%%")
    return connection.exec_driver_sql(statement, dict(values or {}))


@dataclass(frozen=True)
class Attempt:
    """What the database says to a statement that was tried.

    Args:
        rows: how many rows it concerned; 0 where it was refused.
        state: the SQLSTATE of the refusal; '' where there was none.
        constraint: the constraint that refused it, or ''.
        message: the refusal in words.
    """

    rows: int
    state: str = ""
    constraint: str = ""
    message: str = ""

    @property
    def refused(self) -> bool:
        """Whether the database raised an error."""
        return bool(self.state)


def attempt(
    connection: Connection, statement: str, values: Mapping[str, str | None] | None = None
) -> Attempt:
    """Try a statement; whatever it did is rolled back."""
    try:
        with savepoint(connection):
            return Attempt(execute(connection, statement, values).rowcount)
    except DBAPIError as error:
        if connection.invalidated:
            raise
        diagnosis = getattr(error.orig, "diag", None)
        constraint = getattr(diagnosis, "constraint_name", None) or ""
        return Attempt(0, getattr(error.orig, "sqlstate", None) or "?", constraint, one_line(error))
