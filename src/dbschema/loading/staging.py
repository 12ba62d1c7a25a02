"""The staging table of a load: PostgreSQL rejects COPY into a table with row-level security."""

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
from dbschema.loading.sending import StatementFailed, copying, overlapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sqlalchemy import Connection

    from dbschema.loading.batches import EncodedBatch
    from dbschema.loading.fields import Field
    from dbschema.loading.target import Target

# SQLSTATE classes of errors in data: data exception, integrity constraint, a trigger's RAISE, program limits.
_DATA_ERRORS = ("22", "23", "P0", "54")

# No row has this ctid: rows are numbered from 1 within a page.
_BEFORE_ALL = "(0,0)"


def is_data_error(sqlstate: str | None) -> bool:
    """Whether a row may be the cause of an error, rather than the connection, the server or the role."""
    return sqlstate is not None and sqlstate.startswith(_DATA_ERRORS)


def driver_of(connection: Connection) -> psycopg.Connection[Any] | psycopg.AsyncConnection[Any]:
    """Return psycopg's connection.

    Raises:
        WrongCall: the driver is not psycopg.
    """
    raw = connection.connection.driver_connection
    raw = getattr(
        raw, "target_connection", raw
    )  # a wrapper, such as the AWS Advanced Python Wrapper, holds psycopg's
    if not isinstance(raw, (psycopg.Connection, psycopg.AsyncConnection)):
        raise unsupported_driver(f"{connection.dialect.name}+{connection.dialect.driver}")
    return raw


class Staging:
    """A temporary table for one load; the end of the load, its savepoint or the transaction drops it.

    Its columns are those that rows set. A column is added when a row first sets it.
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
        """The qualified name of the table, so that no other table can be meant."""
        return f"pg_temp.{self.name}"

    def create(self) -> None:
        """Create the table.

        Raises:
            MissingPrivilege: the role may not create temporary tables.
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
        """Drop the table, so that many loads in one transaction do not accumulate tables."""
        self._run(f"DROP TABLE {self.sql}")

    def index(self) -> None:
        """Create an index on the number of the row, for searches of single rows."""
        self._run(f"CREATE INDEX ON {self.sql} ({self.row})")
        self._run(f"ANALYZE {self.sql}")

    @property
    def can_overlap(self) -> bool:
        """Whether a statement can run while the client does other work."""
        return psycopg.Pipeline.is_supported()

    def latest(self, first: int, last: int) -> str:
        """Return a condition on the location of rows `first` to `last`, the last ones sent; empty if they are scattered."""
        # COPY appends to a table of the same transaction, but PostgreSQL does not guarantee it: count the rows.
        after = f"ctid OPERATOR(pg_catalog.>) '{self._end}'"
        scan = f"SELECT pg_catalog.count(*), pg_catalog.max(ctid) FROM {self.sql} WHERE {after}"  # noqa: S608  no values
        count, end = self._connection.execute(executable(scan)).one()
        if count != last - first + 1:
            return ""
        self._end = end
        return f"s.{after} AND "

    def execute(self, statement: str, meanwhile: Callable[[], object]) -> int:
        """Run a statement and call `meanwhile` while the server executes it; return the number of rows it wrote.

        Raises:
            DBAPIError: the statement failed; the error is SQLAlchemy's.
        """
        try:
            with self._exclusive():
                return overlapping(self.raw, statement, meanwhile)
        except StatementFailed as failed:
            raise self._wrapped(failed.error, statement) from failed.error
        finally:
            if self.raw.closed and not self._connection.invalidated:
                self._connection.invalidate()

    def fill(self, blocks: Iterable[EncodedBatch], on_sent: Callable[[int], object]) -> None:
        """Send the blocks, in one COPY for each run of blocks with the same columns.

        Raises:
            BadRows: the database cannot read a value.
        """
        for (fields, marks), group in groupby(
            blocks, key=lambda block: (block.fields, block.marks_omissions)
        ):
            self._widen(fields, marks=marks)
            self._copy(fields, marks, group, on_sent)

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
        on_sent: Callable[[int], object],
    ) -> None:
        names = [self.row, *(quote(item.name) for item in fields), *([self.omitted] if marks else [])]
        types = ["int8", *(item.encoder.wire for item in fields), *(["bytea"] if marks else [])]
        statement = f"COPY {self.sql} ({', '.join(names)}) FROM STDIN (FORMAT binary)"
        first = 0
        try:
            with self._exclusive(), copying(self.raw, statement, types) as write:
                for block in blocks:
                    first = first or block.first
                    write(block.rows)
                    on_sent(block.last)
        except psycopg.Error as error:
            self._raise_for(error, statement, fields, first)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Reject other statements on this connection: psycopg would wait for the end of the COPY, and deadlock."""

        def reject(*_: Any) -> None:
            raise WrongCall(
                "The rows are read from the session that loads them, whose connection is busy with the load",
                "Read them from another session, or into a list before the load",
            )

        event.listen(self._connection, "before_cursor_execute", reject)
        try:
            yield
        finally:
            event.remove(self._connection, "before_cursor_execute", reject)

    def _raise_for(self, error: psycopg.Error, statement: str, fields: Sequence[Field], first: int) -> None:
        """Raise the error for a failed COPY; `first` is the number of its first row."""
        # "COPY <table>, line <n>, column <name>", in the server's language; without the value in binary format.
        place = re.search(rf"{self.name}\D+(\d+)(.*)", error.diag.context or "")
        if place and is_data_error(error.sqlstate):
            words = set(re.findall(r"\w+", place[2]))
            column = next((item.name for item in fields if item.name in words), None)
            problem = Problem(first + int(place[1]) - 1, column, reason_of(error))
            raise BadRows(self._target.name, [problem], more=True, sqlstate=error.sqlstate) from None
        raise self._wrapped(error, statement) from error

    def _wrapped(self, error: psycopg.Error, statement: str) -> Exception:
        """Wrap an error of psycopg in SQLAlchemy's."""
        # A server that ends a session sends the error first, and closes the connection afterwards.
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
    """Return the database's reason, without the values that its message may quote."""
    state = error.sqlstate or ""
    known = _REASONS.get(state)
    if known is not None:
        return known
    if state.startswith("22"):
        return f"is rejected by the database ({type(error).__name__}, SQLSTATE {state})"
    return f"is rejected by the database: {error.diag.message_primary}"


_REASONS = {
    "22001": "is too long",
    "22003": "is out of range",
    "22008": "is not a date or time that PostgreSQL supports",
    "22P02": "is not in the text format of its type",
    "22P03": "is not in the binary format of its type",
    "22P05": "holds a character that the database's encoding does not have",
    "22021": "holds a character that the database's encoding does not have",
    "54001": "is nested too deeply",
}
