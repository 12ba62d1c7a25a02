"""Build the errors that stop a comparison of catalogs."""

from __future__ import annotations

from dbschema.errors import CatalogError, DeclarationError, MissingPrivilege, NotWritable


def failed_transaction() -> CatalogError:
    """Return the error for a failed transaction, in which the server executes no query."""
    return CatalogError(
        "The connection is in a transaction that has failed", "Roll it back, then compare again"
    )


def no_default_schema(database: str) -> CatalogError:
    """Return the error for a search_path that names no existing schema."""
    return CatalogError(
        f"The search_path of this connection names no schema that database {database!r} has",
        "Create the schema, or set search_path to one that is there",
    )


def may_not_create_schema(database: str, role: str, statement: str) -> MissingPrivilege:
    """Return the error for a role that may not create the scratch schema in the database."""
    return MissingPrivilege(
        f"The role {role!r} may not create a schema in database {database!r}, where the models are built to be compared",
        f"Have its owner run: {statement}",
        role=role,
        statement=statement,
    )


def read_only(database: str, *, recovery: bool) -> NotWritable:
    """Return the error for a read-only transaction: on a standby (`recovery`), or by a setting."""
    what = (
        f"The server of database {database!r} is a standby"
        if recovery
        else f"The transaction on database {database!r} is read-only"
    )
    return NotWritable(
        f"{what}, and the models are built there, in a transaction that is rolled back, to be compared",
        "Name the primary server (the writer endpoint)"
        if recovery
        else "Connect with default_transaction_read_only off",
        recovery=recovery,
    )


def missing_extension(name: str, database: str, reason: str, *, installed: bool) -> CatalogError:
    """Return the error for a declared extension that is missing and cannot be created for the comparison."""
    step = "Have an administrator run" if installed else "Install its package on the server, then run"
    return CatalogError(
        f"The extension {name!r} is not in database {database!r} and cannot be created ({reason})",
        f"{step}: CREATE EXTENSION {name}",
    )


def missing_role(name: str, user: str, statement: str) -> MissingPrivilege:
    """Return the error for a declared role that is missing and that the user may not create for the comparison."""
    return MissingPrivilege(
        f"The role {name!r} is not on the server, and {user!r} may not create roles",
        f"Have an administrator run: {statement}",
        role=user,
        statement=statement,
    )


def too_many_locks(tables: int, setting: int | None) -> CatalogError:
    """Return the error for models with more tables and indexes than the server can lock in one transaction."""
    now = "" if setting is None else f" ({setting} now)"
    return CatalogError(
        f"Building the {tables} tables of the models in one transaction takes more locks than the server has room for",
        f"Raise max_locks_per_transaction{now} and restart the server; about 16 locks a table, shared by all connections",
    )


def models_rejected(reason: str, statement: str | None = None) -> DeclarationError:
    """Return the error for a declaration that the server rejects, or that does not compile to SQL (no `statement`)."""
    shown = ""
    if statement is not None:
        first = " ".join(statement.split())
        shown = f" (in: {first if len(first) <= 120 else f'{first[:117]}...'})"
    return DeclarationError(
        f"The server rejects a declaration of the models: {reason}{shown}",
        "Correct the model, or add what it needs",
    )


def unreadable(database: str, reason: str) -> CatalogError:
    """Return the error for a catalog query that failed."""
    return CatalogError(
        f"The catalog of database {database!r} cannot be read ({reason})",
        "Run it again, while no other session changes the schema; the server's log says more",
    )
