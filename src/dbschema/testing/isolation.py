"""Asks a model whether it keeps tenants apart: the questions of `dbschema verify`, as an assertion of one test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import inspect

from dbschema.verify.behaviour import isolation
from dbschema.verify.behaviour.acting import take_role
from dbschema.verify.behaviour.stage import Stage
from dbschema.verify.errors import Unmet
from dbschema.verify.recording import savepoint

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table
    from sqlalchemy.orm import DeclarativeBase


def assert_isolated(model: type[DeclarativeBase], connection: Connection) -> None:
    """Ask, as the application's role: can a tenant see, insert, update, take over or delete another tenant's row, and what
    if no tenant is set? And, so that a table that refuses everything does not pass: does it see its own?

    Rows of two made-up tenants are written into the model's table and those that it points to, and rolled back.

    Args:
        model: a mapped class with `tenant_id`.
        connection: in a transaction, such as the fixture `db_connection`.

    Raises:
        AssertionError: names each way in which a row was reached, or why that could not be tried.
    """
    table = inspect(model).local_table
    tables = _with_targets(table)  # type: ignore[arg-type]  # a declarative model's is a Table
    with savepoint(connection):
        try:
            stage = Stage(connection, tables, take_role(connection, tables))
            stage.set_up()
            reached = []
            for what, question in isolation.QUESTIONS:
                with savepoint(connection):
                    if question(stage, table):  # type: ignore[arg-type]  # as above
                        reached.append(what)
        except Unmet as error:
            raise AssertionError(f"{model.__name__}: isolation could not be tried: {error}") from error
    assert not reached, f"{model.__name__} does not keep tenants apart: {'; '.join(reached)}"  # noqa: S101  what it is for


def _with_targets(table: Table) -> list[Table]:
    """`table` and all that its foreign keys lead to, targets first."""
    found: set[Table] = set()
    waiting = [table]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting.extend(key.referred_table for key in one.foreign_key_constraints)
    return [one for one in table.metadata.sorted_tables if one in found]
