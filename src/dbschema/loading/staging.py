"""The temporary table that rows go through, since COPY into a table with row security is refused."""

from __future__ import annotations

import re
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import psycopg
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, ProgrammingError

from dbschema.ddl.base import quote
from dbschema.ddl.registry import executable
from dbschema.loading.errors import BadRows, Problem, WrongCall, no_temporary_tables, unsupported_driver
from dbschema.loading.sending import OfStatement, copying, overlapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sqlalchemy import Connection

    from dbschema.loading.batches import EncodedBatch
    from dbschema.loading.fields import Field
    from dbschema.loading.target import Target

# Classes of SQLSTATE that speak of data: data exception, integrity constraint, and what a trigger raises.
_OF_DATA = ("22", "23", "P0", "54")

# The place of no row, which numbers its rows from 1 within a page.
_BEFORE_ALL = "(0,0)"


def of_data(sqlstate: str | None) -> bool:
    """Whether an error may be the fault of a row, and not of the connection, the server or the role."""
    return sqlstate is not None and sqlstate.startswith(_OF_DATA)


def driver_of(connection: Connection) -> psycopg.Connection[Any] | psycopg.AsyncConnection[Any]:
    """psycopg's own connection.

    Raises:
        WrongCall: it is another driver's.
    """
    raw = connection.connection.driver_connection
    raw = getattr(raw, "target_connection", raw)  # a wrapper, such as the one of AWS, holds psycopg's
    if not isinstance(raw, (psycopg.Connection, psycopg.AsyncConnection)):
        raise unsupported_driver(f"{connection.dialect.name}+{connection.dialect.driver}")
    return raw


class Staging:
    """A temporary table for one load; it goes with the load, with its savepoint, and at the latest with the transaction.

    Its columns are those that rows bring: a column that a later row is the first to bring is added then.
    """

    def __init__(self, connection: Connection, target: Target) -> None:
        self._connection, self._target = connection, target
        self.raw = driver_of(connection)
        unique = uuid4().hex
        self.name = f"dbschema_load_{unique}"
        self.row, self.omitted = f"row_{unique}", f"omitted_{unique}"
        self._columns: set[str] = set()
        self._end = _BEFORE_ALL

    @property
    def sql(self) -> str:
        """The name of the table, qualified, so that no other can stand in its place."""
        return f"pg_temp.{self.name}"

    def create(self) -> None:
        """Make the table.

        Raises:
            MissingPrivilege: the role may not.
        """
        try:
            self._run(f"CREATE TEMPORARY TABLE {self.sql} ({self.row} bigint) ON COMMIT DROP")
        except ProgrammingError as error:
            if not isinstance(error.orig, InsufficientPrivilege):
                raise
            database, role = self._target.database, self._target.role
            grant = f"GRANT TEMPORARY ON DATABASE {quote(database)} TO {quote(role)}"
            raise no_temporary_tables(database, role, grant) from None

    def drop(self) -> None:
        """Remove the table, so that many loads in one transaction do not pile up."""
        self._run(f"DROP TABLE {self.sql}")

    def index(self) -> None:
        """Make single rows quick to find."""
        self._run(f"CREATE INDEX ON {self.sql} ({self.row})")
        self._run(f"ANALYZE {self.sql}")

    @property
    def can_overlap(self) -> bool:
        """Whether a statement can run while this program does something else."""
        return psycopg.Pipeline.is_supported()

    def latest(self, first: int, last: int) -> str:
        """Where the rows `first` to `last` lie, the last ones that were sent: a condition, or nothing if they lie scattered."""
        # COPY appends to a table that was made in the same transaction. That is how it is, and not what is promised.
        after = f"ctid OPERATOR(pg_catalog.>) '{self._end}'"
        scan = f"SELECT pg_catalog.count(*), pg_catalog.max(ctid) FROM {self.sql} WHERE {after}"  # noqa: S608  no values
        count, end = self._connection.execute(executable(scan)).one()
        if count != last - first + 1:
            return ""
        self._end = end
        return f"s.{after} AND "

    def execute(self, statement: str, meanwhile: Callable[[], object]) -> int:
        """Run a statement, and call `meanwhile` while the server is at it; gives how many rows it wrote.

        Raises:
            DBAPIError: the statement failed, as SQLAlchemy would raise it.
        """
        try:
            with self._occupied():
                return overlapping(self.raw, statement, meanwhile)
        except OfStatement as failed:
            raise self._wrapped(failed.error, statement) from failed.error
        finally:
            if self.raw.closed and not self._connection.invalidated:
                self._connection.invalidate()

    def fill(self, blocks: Iterable[EncodedBatch], sent: Callable[[int], object]) -> None:
        """Send the blocks, in one COPY as long as they have the same columns.

        Raises:
            BadRows: the database cannot read a value.
        """
        for (fields, marks), group in groupby(
            blocks, key=lambda block: (block.fields, block.marks_omissions)
        ):
            self._widen(fields, marks=marks)
            self._copy(fields, marks, group, sent)

    def _widen(self, fields: Sequence[Field], *, marks: bool) -> None:
        added = [
            (item.name, "text" if item.encoder.as_text else item.target.type)
            for item in fields
            if item.name not in self._columns
        ]
        if marks and self.omitted not in self._columns:
            added.append((self.omitted, "bytea"))
        if added:
            columns = ", ".join(f"ADD COLUMN {quote(name)} {kind}" for name, kind in added)
            self._run(f"ALTER TABLE {self.sql} {columns}")
            self._columns.update(name for name, _ in added)

    def _copy(
        self,
        fields: Sequence[Field],
        marks: bool,
        blocks: Iterable[EncodedBatch],
        sent: Callable[[int], object],
    ) -> None:
        names = [self.row, *(quote(item.name) for item in fields), *([self.omitted] if marks else [])]
        types = ["int8", *(item.encoder.wire for item in fields), *(["bytea"] if marks else [])]
        statement = f"COPY {self.sql} ({', '.join(names)}) FROM STDIN (FORMAT binary)"
        begun = 0
        try:
            with self._occupied(), copying(self.raw, statement, types) as write:
                for block in blocks:
                    begun = begun or block.first
                    write(block.rows)
                    sent(block.last)
        except psycopg.Error as error:
            self._translate(error, statement, fields, begun)

    @contextmanager
    def _occupied(self) -> Iterator[None]:
        """Refuse statements on this connection meanwhile; psycopg would wait for the end of the COPY, and so for itself."""

        def refuse(*_: Any) -> None:
            raise WrongCall(
                "The rows are read from the session that loads them, whose connection is busy with that",
                "Read them from another session, or into a list before",
            )

        event.listen(self._connection, "before_cursor_execute", refuse)
        try:
            yield
        finally:
            event.remove(self._connection, "before_cursor_execute", refuse)

    def _translate(self, error: psycopg.Error, statement: str, fields: Sequence[Field], begun: int) -> None:
        """Raise what a failed COPY means; `begun` is the number of its first row."""
        # "COPY <table>, line <n>, column <name>", in the server's language; in binary without the value.
        place = re.search(rf"{self.name}\D+(\d+)(.*)", error.diag.context or "")
        if place and of_data(error.sqlstate):
            words = set(re.findall(r"\w+", place[2]))
            column = next((item.name for item in fields if item.name in words), None)
            problem = Problem(begun + int(place[1]) - 1, column, reason_of(error))
            raise BadRows(self._target.name, [problem], more=True, sqlstate=error.sqlstate) from None
        raise self._wrapped(error, statement) from error

    def _wrapped(self, error: psycopg.Error, statement: str) -> Exception:
        """An error of psycopg as SQLAlchemy raises it."""
        # A server that ends the session says so first, and closes the connection a moment later.
        lost = self.raw.closed or error.diag.severity_nonlocalized in ("FATAL", "PANIC")
        wrapped = DBAPIError.instance(
            statement,
            None,
            error,
            cast("Any", psycopg.Error),
            hide_parameters=True,
            connection_invalidated=lost,
            dialect=self._connection.dialect,
        )
        if lost:
            self._connection.invalidate(error)
        return wrapped

    def _run(self, statement: str) -> None:
        self._connection.execute(executable(statement))


def reason_of(error: psycopg.Error) -> str:
    """What the database says, without the values that it may quote."""
    state = error.sqlstate or ""
    known = _REASONS.get(state)
    if known is not None:
        return known
    if state.startswith("22"):
        return f"is refused by the database ({type(error).__name__}, SQLSTATE {state})"
    return f"is refused by the database: {error.diag.message_primary}"


_REASONS = {
    "22001": "is too long",
    "22003": "is out of range",
    "22008": "is no date or time that PostgreSQL has",
    "22P02": "is not written as its type wants it",
    "22P03": "is not what its type wants",
    "22P05": "holds a character that the database's encoding has not",
    "22021": "holds a character that the database's encoding has not",
    "54001": "is nested too deeply",
}
