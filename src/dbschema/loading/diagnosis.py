"""Which rows the database will not have: asked by the constraint that it names, else by trying halves of the rows.

All of it happens behind a savepoint and under the session's own row security: nobody learns of another tenant's rows
what the failure itself has not told.
"""

# ruff: noqa: S608  names are quoted, and numbers are numbers
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from dbschema.ddl.base import quote
from dbschema.ddl.registry import executable
from dbschema.loading.errors import BadRows, Problem, may_not_write
from dbschema.loading.staging import of_data, reason_of

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Connection

    from dbschema.loading.writing import Writing

NOT_NULL, FOREIGN_KEY, UNIQUE, CHECK = "23502", "23503", "23505", "23514"
INSUFFICIENT_PRIVILEGE = "42501"
TWICE = "21000"
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
        connection: the connection, back at a savepoint from before the failure.
        writing: what failed.
        first: the number of the first row that may be at fault; those before it are in the table.
        count: the number of the last one.
        limit: how many are told.
    """

    connection: Connection
    writing: Writing
    first: int
    count: int
    limit: int
    attempts: int = 0

    def explain(self, error: DBAPIError) -> Exception:
        """The error to raise in place of `error`: that itself, where it is no fault of the rows."""
        if not may_be_of_rows(error):
            return error
        state = _state(error)
        # Without rows only the statement itself can fail.
        if (without := self._attempt(0, 0)) is not None:
            if _state(without) == INSUFFICIENT_PRIVILEGE:
                return may_not_write(self.writing.target.name, str(_orig(without).diag.message_primary))
            return without
        problems = self._find(error)
        problems.sort(key=lambda problem: problem.row)
        return BadRows(
            self.writing.target.name,
            problems[: self.limit],
            more=len(problems) > self.limit or self.attempts >= _ATTEMPTS or not problems,
            sqlstate=state,
            constraint=_orig(error).diag.constraint_name,
            unfound=reason_of(_orig(error)),
        )

    def _find(self, error: DBAPIError) -> list[Problem]:
        """The rows; none where the search was stopped, as by a statement timeout."""
        try:
            self.writing.staging.index()
            if _state(error) == TWICE:
                problems = self._twice(list(self.writing.key or ()))
            else:
                problems = self._by_constraint(_orig(error))
            return problems or self._by_halves(error)
        except DBAPIError as stopped:
            if stopped.connection_invalidated:
                raise
            return []

    def _by_constraint(self, error: psycopg.Error) -> list[Problem]:
        """The rows that violate what the error names; none where it cannot be asked."""
        diagnosis, target = error.diag, self.writing.target
        if (diagnosis.schema_name, diagnosis.table_name) != (target.schema, target.name):
            return []  # a trigger wrote somewhere else
        if error.sqlstate == NOT_NULL and diagnosis.column_name:
            return self._empty(diagnosis.column_name)
        name = diagnosis.constraint_name
        constraint = self.connection.execute(_CONSTRAINT, {"oid": target.oid, "name": name}).one_or_none()
        problems: list[Problem] = []
        if constraint is not None and error.sqlstate == CHECK and constraint.condition:
            problems = self._violating(constraint, str(name))
        elif constraint is not None and error.sqlstate == UNIQUE:
            problems = self._twice(constraint.columns) + self._there(constraint.columns)
        elif constraint is not None and error.sqlstate == FOREIGN_KEY and constraint.referred_sql:
            problems = self._pointing_nowhere(constraint)
        return problems

    def _empty(self, column: str) -> list[Problem]:
        rows = self._rows(f"SELECT {self._row} FROM source WHERE {self._late} AND {quote(column)} IS NULL")
        return [Problem(row, column, "is missing or NULL") for row in rows]

    def _violating(self, constraint: Any, name: str) -> list[Problem]:
        rows = self._rows(
            f"SELECT {self._row} FROM source WHERE {self._late} AND NOT ({constraint.condition})"
        )
        column = constraint.columns[0] if len(constraint.columns) == 1 else None
        return [Problem(row, column, f"violates the check {name}") for row in rows]

    @property
    def _row(self) -> str:
        return self.writing.staging.row

    @property
    def _late(self) -> str:
        """That a row is none of those that are in the table."""
        return f"source.{self._row} >= {self.first}"

    def _twice(self, columns: list[str]) -> list[Problem]:
        """Rows whose key an earlier row of the input has."""
        keys = ", ".join(map(quote, columns))
        there = " AND ".join(f"{quote(column)} IS NOT NULL" for column in columns)
        found = self._ask(
            f"SELECT * FROM (SELECT {self._row} AS row, min({self._row}) OVER (PARTITION BY {keys}) AS first"
            f" FROM source WHERE {there}) AS numbered WHERE row > first AND row >= {self.first}"
        )
        named = ", ".join(columns)
        return [
            Problem(row, None, f"has the same ({named}) as row {first} of the input") for row, first in found
        ]

    def _there(self, columns: list[str]) -> list[Problem]:
        """Rows whose key a row of the table has."""
        same = " AND ".join(f"t.{quote(column)} = source.{quote(column)}" for column in columns)
        mine = ""
        if self.first > 1:  # the table has rows of this input, which `_twice` tells about
            mine = f" AND NOT EXISTS (SELECT FROM source AS t WHERE t.{self._row} < {self.first} AND {same})"
        rows = self._rows(
            f"SELECT {self._row} FROM source WHERE {self._late}"
            f" AND EXISTS (SELECT FROM {self.writing.target.sql} AS t WHERE {same}){mine}"
        )
        named = ", ".join(columns)
        return [Problem(row, None, f"has the same ({named}) as a row that is there already") for row in rows]

    def _pointing_nowhere(self, constraint: Any) -> list[Problem]:
        pairs = list(zip(constraint.columns, constraint.others, strict=True))
        given = " AND ".join(f"source.{quote(mine)} IS NOT NULL" for mine, _ in pairs)
        same = " AND ".join(f"o.{quote(theirs)} = source.{quote(mine)}" for mine, theirs in pairs)
        missing = f"NOT EXISTS (SELECT FROM {constraint.referred_sql} AS o WHERE {same})"
        if constraint.is_of_itself:
            missing += f" AND NOT EXISTS (SELECT FROM source AS o WHERE {same})"
        rows = self._rows(f"SELECT {self._row} FROM source WHERE {self._late} AND {given} AND {missing}")
        columns = [name for name in constraint.columns if name != "tenant_id"] or constraint.columns
        reason = f"refers to a row of {constraint.referred} that is not there"
        return [Problem(row, ", ".join(columns), reason) for row in rows]

    def _rows(self, query: str) -> list[int]:
        return [row for (row,) in self._ask(query)]

    def _ask(self, query: str) -> list[tuple[Any, ...]]:
        """The first answers of a query over `source`, by row; none where it cannot be asked."""
        # MATERIALIZED: a default that is not the same twice has to stay what it is within the query.
        whole = (
            f"WITH source AS MATERIALIZED ({self.writing.source()}) {query} ORDER BY 1 LIMIT {self.limit + 1}"
        )
        savepoint = self.connection.begin_nested()
        try:
            found = self.connection.execute(executable(whole)).all()
        except DBAPIError as error:
            if error.connection_invalidated:
                raise
            return []
        finally:
            if savepoint.is_active:
                savepoint.rollback()
        return [tuple(row) for row in found]

    def _by_halves(self, error: DBAPIError) -> list[Problem]:
        """Try halves of the rows, and halves of those that fail, until single rows are left."""
        found: list[Problem] = []
        failing: list[tuple[int, int, DBAPIError]] = [(self.first, self.count, error)]
        while failing and len(found) <= self.limit:
            first, last, refusal = failing.pop()
            reason = reason_of(_orig(refusal))
            if first == last:
                found.append(Problem(first, self._column(refusal), reason))
                continue
            middle = (first + last) // 2
            halves = [
                (low, high, failure)
                for low, high in ((first, middle), (middle + 1, last))
                if self.attempts < _ATTEMPTS and (failure := self._attempt(low, high)) is not None
            ]
            if not halves:
                found.append(Problem(first, None, f"and those up to row {last}, together: {reason}"))
            failing += reversed(halves)
        return found

    def _column(self, error: DBAPIError) -> str | None:
        name = _orig(error).diag.column_name
        return name if name in self.writing.target.columns else None

    def _attempt(self, first: int, last: int) -> DBAPIError | None:
        """Write some rows and take them back; the error, if they cannot be written."""
        self.attempts += 1
        savepoint = self.connection.begin_nested()
        try:
            self.connection.execute(executable(self.writing.statement(first, last)))
        except DBAPIError as error:
            if error.connection_invalidated or not (may_be_of_rows(error) or first == 0):
                raise
            return error
        finally:
            if savepoint.is_active:
                savepoint.rollback()
        return None


def may_be_of_rows(error: DBAPIError) -> bool:
    """Whether an error may be the fault of a row, or of a policy that refuses one."""
    state = _state(error)
    return of_data(state) or state in (INSUFFICIENT_PRIVILEGE, TWICE)


def _orig(error: DBAPIError) -> psycopg.Error:
    return cast("psycopg.Error", error.orig)


def _state(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)
