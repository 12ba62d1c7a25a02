"""What can go wrong while a catalog is read or built: the server's errors, translated once."""

from __future__ import annotations

from dbschema.errors import CatalogError


class FailedTransaction(CatalogError):
    """The connection stands in a transaction that has failed, in which the server answers nothing."""

    def __init__(self) -> None:
        super().__init__(
            "The connection is in a transaction that has failed", "Roll it back, and compare then"
        )


class NoDefaultSchema(CatalogError):
    """The search_path of the connection names no schema that is there."""

    def __init__(self, database: str) -> None:
        self.database = database
        super().__init__(
            f"The search_path of this connection names no schema that database {database!r} has",
            "Create the schema, or set search_path to one that is there",
        )


class MissingRight(CatalogError):
    """The models cannot be built, because the role may not create a schema in the database."""

    def __init__(self, database: str, role: str, statement: str) -> None:
        self.database, self.role, self.statement = database, role, statement
        super().__init__(
            f"The role {role!r} may not create a schema in database {database!r}, where the models are built to be compared",
            f"Have its owner run: {statement}",
        )


class ReadOnly(CatalogError):
    """The models cannot be built, because the transaction may only read: on a standby, or by a setting."""

    def __init__(self, database: str, *, recovery: bool) -> None:
        self.database, self.recovery = database, recovery
        what = (
            f"The server of database {database!r} is a standby"
            if recovery
            else f"The transaction on database {database!r} is read-only"
        )
        super().__init__(
            f"{what}, and the models are built there, in a transaction that is rolled back, to be compared",
            "Name the primary server (the writer endpoint)"
            if recovery
            else "Connect with default_transaction_read_only off",
        )


class MissingExtension(CatalogError):
    """A declared extension is not there, and cannot be created for the comparison."""

    def __init__(self, name: str, database: str, reason: str, *, installed: bool) -> None:
        self.name, self.database, self.reason = name, database, reason
        self.statement = f"CREATE EXTENSION {name}"
        step = "Have an administrator run" if installed else "Install its package on the server, then run"
        super().__init__(
            f"The extension {name!r} is not in database {database!r} and cannot be created ({reason})",
            f"{step}: {self.statement}",
        )


class MissingRole(CatalogError):
    """A declared role is not there, and cannot be created for the comparison."""

    def __init__(self, name: str, user: str, statement: str) -> None:
        self.name, self.user, self.statement = name, user, statement
        super().__init__(
            f"The role {name!r} is not on the server, and {user!r} may not create roles",
            f"Have an administrator run: {statement}",
        )


class TooManyLocks(CatalogError):
    """The models have more tables and indexes than the server can lock in one transaction."""

    def __init__(self, tables: int, setting: int | None) -> None:
        self.tables, self.setting = tables, setting
        now = "" if setting is None else f" ({setting} now)"
        super().__init__(
            f"Building the {tables} tables of the models in one transaction takes more locks than the server has room for",
            f"Raise max_locks_per_transaction{now} and restart the server; about 16 locks a table, shared by all connections",
        )


class ModelsRefused(CatalogError):
    """The models declare what the server refuses, or what cannot even be written as SQL (then there is no statement)."""

    def __init__(self, reason: str, statement: str | None = None) -> None:
        self.reason, self.statement = reason, statement
        shown = ""
        if statement is not None:
            first = " ".join(statement.split())
            shown = f" (in: {first if len(first) <= 120 else f'{first[:117]}...'})"
        super().__init__(
            f"The server refuses what the models declare: {reason}{shown}",
            "Correct the model, or add what it needs",
        )


class Unreadable(CatalogError):
    """The server did not answer a question about its catalog."""

    def __init__(self, database: str, reason: str) -> None:
        self.database, self.reason = database, reason
        super().__init__(
            f"The catalog of database {database!r} cannot be read ({reason})",
            "Run it again, while no other session changes the schema; the server's log says more",
        )
