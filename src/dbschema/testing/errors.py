"""What keeps a test from getting its database or its rows."""

from __future__ import annotations

from dbschema.ddl.objects import quote
from dbschema.errors import DbSchemaError


class TestingError(DbSchemaError):
    """A fixture or a factory cannot give what it promises."""

    __test__ = False


class MayNotCreateDatabases(TestingError):
    """The role of `--dbschema-url` may not make the databases of the tests."""

    def __init__(self, place: str, reason: str) -> None:
        self.place, self.reason = place, reason
        super().__init__(
            f"No database for the tests can be made beside {place}: {reason}",
            "Name a superuser in --dbschema-url, or a role with CREATEDB and CREATEROLE that may CREATE EXTENSION postgis,"
            " or leave it out for a private server",
        )


class CannotBeCopied(TestingError):
    """The database of `--dbschema-template` cannot be the template of another one."""

    def __init__(self, database: str, place: str, reason: str) -> None:
        self.database, self.place, self.reason = database, place, reason
        super().__init__(
            f"No database for the tests can be made from {database}, beside {place}: {reason}",
            "The role needs CREATEDB and the database itself, or a database that its owner has marked with"
            f" ALTER DATABASE {quote(database)} IS_TEMPLATE true; and nobody may be connected to it",
        )


class NoValue(TestingError):
    """A factory knows no value for a column."""

    def __init__(self, model: str, column: str, reason: str) -> None:
        self.model, self.column, self.reason = model, column, reason
        super().__init__(
            f"The factory knows no value for {model}.{column}: {reason}",
            f"Give one: make({model}, {column}=…)",
        )


class UnknownAttribute(TestingError):
    """A factory is given a value for something that the model does not have."""

    def __init__(self, model: str, name: str) -> None:
        self.model, self.name = model, name
        super().__init__(f"{model} has no attribute {name!r}", "Name a column or a relationship of the model")
