"""Runs checks and notes what they say: each in a savepoint of its own, so that no check sees what another one did."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError

from dbschema.verify.errors import Unmet
from dbschema.verify.report import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlalchemy import Connection, CursorResult


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
class Answer:
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


def attempt(connection: Connection, statement: str, values: Mapping[str, str | None] | None = None) -> Answer:
    """Try a statement; whatever it did is rolled back."""
    try:
        with savepoint(connection):
            return Answer(execute(connection, statement, values).rowcount)
    except DBAPIError as error:
        if connection.invalidated:
            raise
        diagnosis = getattr(error.orig, "diag", None)
        constraint = getattr(diagnosis, "constraint_name", None) or ""
        return Answer(0, getattr(error.orig, "sqlstate", None) or "?", constraint, one_line(error))
