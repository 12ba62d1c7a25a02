"""Find the rows that violate a constraint: by a query for it, or by bisection.

The search runs in savepoints and under the session's row-level security, so that it reveals no more about another
tenant's rows than the failure itself.
"""

# ruff: noqa: S608  names are quoted, and the other values are integers
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from dbschema.ddl.base import quote
from dbschema.ddl.registry import executable
from dbschema.loading.errors import BadRows, Problem, may_not_write
from dbschema.loading.staging import is_data_error, reason_of

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Connection

    from dbschema.loading.writing import Writing

NOT_NULL, FOREIGN_KEY, UNIQUE, CHECK = "23502", "23503", "23505", "23514"
INSUFFICIENT_PRIVILEGE = "42501"
CARDINALITY_VIOLATION = "21000"
_ATTEMPTS = 200
_CONSTRAINT = text(
    """
SELECT c.contype::text AS kind, pg_get_expr(c.conbin, c.conrelid) AS condition, f.relname AS referred,
       CASE WHEN f.oid IS NOT NULL THEN format('%I.%I', n.nspname, f.relname) END AS referred_sql,
       c.confrelid = c.conrelid AS is_of_itself,
       ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY k (number, place)
             JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number ORDER BY k.place) AS columns,
       ARRAY(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY k (number, place)
             JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number ORDER BY k.place) AS others
FROM pg_catalog.pg_constraint c
     LEFT JOIN pg_catalog.pg_class f ON f.oid = c.confrelid LEFT JOIN pg_catalog.pg_namespace n ON n.oid = f.relnamespace
WHERE c.conrelid = :oid AND c.conname = :name
"""
)


@dataclass
class RowDiagnosis:
    """A search for the rows that made a load fail.

    Args:
        connection: the connection, rolled back to a savepoint before the failure.
        writing: the statement that failed.
        first: the number of the first row to examine; the rows before it are in the table.
        count: the number of the last row.
        limit: the maximum number of problems in the error.
    """

    connection: Connection
    writing: Writing
    first: int
    count: int
    limit: int
    attempts: int = 0

    def explain(self, error: DBAPIError) -> Exception:
        """Return the error to raise for `error`: a `BadRows`, or `error` itself if no row caused it."""
        if not may_be_caused_by_row(error):
            return error
        state = _state(error)
        # If the statement fails without any row, the rows are not the cause.
        if (without_rows := self._attempt(0, 0)) is not None:
            if _state(without_rows) == INSUFFICIENT_PRIVILEGE:
                return may_not_write(self.writing.target.name, str(_orig(without_rows).diag.message_primary))
            return without_rows
        problems = self._find(error)
        problems.sort(key=lambda problem: problem.row)
        return BadRows(
            self.writing.target.name,
            problems[: self.limit],
            more=len(problems) > self.limit or self.attempts >= _ATTEMPTS or not problems,
            sqlstate=state,
            constraint=_orig(error).diag.constraint_name,
            cause=reason_of(_orig(error)),
        )

    def _find(self, error: DBAPIError) -> list[Problem]:
        """Find the rows; an empty list if the search was stopped, as by a statement timeout."""
        try:
            self.writing.staging.index()
            if _state(error) == CARDINALITY_VIOLATION:
                problems = self._duplicates_in_input(list(self.writing.key or ()))
            else:
                problems = self._by_constraint(_orig(error))
            return problems or self._by_bisection(error)
        except DBAPIError as stopped:
            if stopped.connection_invalidated:
                raise
            return []

    def _by_constraint(self, error: psycopg.Error) -> list[Problem]:
        """Find the rows that violate the constraint of the error; an empty list if no query can find them."""
        diagnosis, target = error.diag, self.writing.target
        if (diagnosis.schema_name, diagnosis.table_name) != (target.schema, target.name):
            return []  # a trigger wrote to another table
        if error.sqlstate == NOT_NULL and diagnosis.column_name:
            return self._nulls(diagnosis.column_name)
        name = diagnosis.constraint_name
        constraint = self.connection.execute(_CONSTRAINT, {"oid": target.oid, "name": name}).one_or_none()
        problems: list[Problem] = []
        if constraint is not None and error.sqlstate == CHECK and constraint.condition:
            problems = self._check_violations(constraint, str(name))
        elif constraint is not None and error.sqlstate == UNIQUE:
            problems = [
                *self._duplicates_in_input(constraint.columns),
                *self._duplicates_in_table(constraint.columns),
            ]
        elif constraint is not None and error.sqlstate == FOREIGN_KEY and constraint.referred_sql:
            problems = self._missing_references(constraint)
        return problems

    def _nulls(self, column: str) -> list[Problem]:
        rows = self._rows(
            f"SELECT {self._row} FROM source WHERE {self._not_written} AND {quote(column)} IS NULL"
        )
        return [Problem(row, column, "is missing or NULL") for row in rows]

    def _check_violations(self, constraint: Any, name: str) -> list[Problem]:
        rows = self._rows(
            f"SELECT {self._row} FROM source WHERE {self._not_written} AND NOT ({constraint.condition})"
        )
        column = constraint.columns[0] if len(constraint.columns) == 1 else None
        return [Problem(row, column, f"violates the check {name}") for row in rows]

    @property
    def _row(self) -> str:
        return self.writing.staging.row

    @property
    def _not_written(self) -> str:
        """The condition that a row is not yet in the table."""
        return f"source.{self._row} >= {self.first}"

    def _duplicates_in_input(self, columns: list[str]) -> list[Problem]:
        """Find rows whose key an earlier row of the input has."""
        keys = ", ".join(map(quote, columns))
        present = " AND ".join(f"{quote(column)} IS NOT NULL" for column in columns)
        pairs = self._query(
            f"SELECT * FROM (SELECT {self._row} AS row, min({self._row}) OVER (PARTITION BY {keys}) AS first"
            f" FROM source WHERE {present}) AS numbered WHERE row > first AND row >= {self.first}"
        )
        named = ", ".join(columns)
        return [
            Problem(row, None, f"has the same ({named}) as row {first} of the input") for row, first in pairs
        ]

    def _duplicates_in_table(self, columns: list[str]) -> list[Problem]:
        """Find rows whose key a row of the table has."""
        same = " AND ".join(f"t.{quote(column)} = source.{quote(column)}" for column in columns)
        of_input = ""
        if self.first > 1:  # the table has rows of this input; `_duplicates_in_input` reports those
            of_input = (
                f" AND NOT EXISTS (SELECT FROM source AS t WHERE t.{self._row} < {self.first} AND {same})"
            )
        rows = self._rows(
            f"SELECT {self._row} FROM source WHERE {self._not_written}"
            f" AND EXISTS (SELECT FROM {self.writing.target.sql} AS t WHERE {same}){of_input}"
        )
        named = ", ".join(columns)
        return [Problem(row, None, f"has the same ({named}) as an existing row") for row in rows]

    def _missing_references(self, constraint: Any) -> list[Problem]:
        pairs = list(zip(constraint.columns, constraint.others, strict=True))
        present = " AND ".join(f"source.{quote(mine)} IS NOT NULL" for mine, _ in pairs)
        same = " AND ".join(f"o.{quote(theirs)} = source.{quote(mine)}" for mine, theirs in pairs)
        missing = f"NOT EXISTS (SELECT FROM {constraint.referred_sql} AS o WHERE {same})"
        if constraint.is_of_itself:
            missing += f" AND NOT EXISTS (SELECT FROM source AS o WHERE {same})"
        rows = self._rows(
            f"SELECT {self._row} FROM source WHERE {self._not_written} AND {present} AND {missing}"
        )
        columns = [name for name in constraint.columns if name != "tenant_id"] or constraint.columns
        reason = f"refers to a row of {constraint.referred} that does not exist"
        return [Problem(row, ", ".join(columns), reason) for row in rows]

    def _rows(self, query: str) -> list[int]:
        return [row for (row,) in self._query(query)]

    def _query(self, query: str) -> list[tuple[Any, ...]]:
        """Return the first results of a query over `source`, by row; an empty list if the query fails."""
        # MATERIALIZED: a volatile default is evaluated only once for each row.
        whole = (
            f"WITH source AS MATERIALIZED ({self.writing.source()}) {query} ORDER BY 1 LIMIT {self.limit + 1}"
        )
        savepoint = self.connection.begin_nested()
        try:
            results = self.connection.execute(executable(whole)).all()
        except DBAPIError as error:
            if error.connection_invalidated:
                raise
            return []
        finally:
            if savepoint.is_active:
                savepoint.rollback()
        return [tuple(row) for row in results]

    def _by_bisection(self, error: DBAPIError) -> list[Problem]:
        """Try both halves of the rows, then the halves of each half that fails, down to single rows."""
        problems: list[Problem] = []
        failing: list[tuple[int, int, DBAPIError]] = [(self.first, self.count, error)]
        while failing and len(problems) <= self.limit:
            first, last, cause = failing.pop()
            reason = reason_of(_orig(cause))
            if first == last:
                problems.append(Problem(first, self._column(cause), reason))
                continue
            middle = (first + last) // 2
            halves = [
                (low, high, failure)
                for low, high in ((first, middle), (middle + 1, last))
                if self.attempts < _ATTEMPTS and (failure := self._attempt(low, high)) is not None
            ]
            if not halves:
                problems.append(Problem(first, None, f"and those up to row {last}, together: {reason}"))
            failing += reversed(halves)
        return problems

    def _column(self, error: DBAPIError) -> str | None:
        name = _orig(error).diag.column_name
        return name if name in self.writing.target.columns else None

    def _attempt(self, first: int, last: int) -> DBAPIError | None:
        """Write rows and roll them back; return the error, or None if they can be written."""
        self.attempts += 1
        savepoint = self.connection.begin_nested()
        try:
            self.connection.execute(executable(self.writing.statement(first, last)))
        except DBAPIError as error:
            if error.connection_invalidated or not (may_be_caused_by_row(error) or first == 0):
                raise
            return error
        finally:
            if savepoint.is_active:
                savepoint.rollback()
        return None


def may_be_caused_by_row(error: DBAPIError) -> bool:
    """Whether a row, or a policy that rejects a row, may be the cause of an error."""
    state = _state(error)
    return is_data_error(state) or state in (INSUFFICIENT_PRIVILEGE, CARDINALITY_VIOLATION)


def _orig(error: DBAPIError) -> psycopg.Error:
    return cast("psycopg.Error", error.orig)


def _state(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)
