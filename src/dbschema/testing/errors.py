"""Errors of the pytest plugin and of the factory."""

from __future__ import annotations

from dbschema.ddl.base import quote
from dbschema.errors import DbSchemaError


class TestingError(DbSchemaError):
    """The databases of the tests cannot be created, or the factory cannot make a row.

    Changed: nothing.
    Fix: follow the message: name another role or template, or correct the arguments of the factory.
    """

    __test__ = False
    code = "testing"


class NoValue(TestingError):
    """The factory knows no valid value for a column.

    Changed: nothing; no row was written.
    Fix: pass a value for the column to `make`.

    Args:
        model: the name of the model.
        column: the name of the column.
        reason: the reason.
    """

    code = "no-value"

    def __init__(self, model: str, column: str, reason: str) -> None:
        self.model, self.column, self.reason = model, column, reason
        super().__init__(
            f"The factory knows no value for {model}.{column}: {reason}",
            f"Pass a value: make({model}, {column}=…)",
        )


def unknown_attribute(model: str, name: str) -> TestingError:
    """The factory received a value for an attribute that the model does not have."""
    return TestingError(f"{model} has no attribute {name!r}", "Name a column or a relationship of the model")


def may_not_create_databases(place: str, reason: str) -> TestingError:
    """The role of `--dbschema-url` may not create the databases of the tests."""
    return TestingError(
        f"No database for the tests can be created beside {place}: {reason}",
        "Name a superuser in --dbschema-url, or a role with CREATEDB and CREATEROLE that may CREATE EXTENSION postgis,"
        " or leave it out for a private server",
    )


def cannot_be_copied(database: str, place: str, reason: str) -> TestingError:
    """The database of `--dbschema-template` cannot be the template of another one."""
    return TestingError(
        f"No database for the tests can be created from {database}, beside {place}: {reason}",
        "The role needs CREATEDB and the database itself, or a database that its owner has marked with"
        f" ALTER DATABASE {quote(database)} IS_TEMPLATE true; and it must have no connections",
    )
