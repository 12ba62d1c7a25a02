"""The errors of this package: one root, and children that carry what they speak of as fields.

An error names the thing, the place and the next step, on one line, so that the command line can print it as it is
and a log keeps it whole. No error ever holds a password: addresses are shortened by `dbschema.connect` before.
"""

from __future__ import annotations

from typing import ClassVar


class DbSchemaError(Exception):
    """Root of all errors that this package raises on purpose.

    Args:
        what: what is wrong, and where; no full stop at its end.
        next_step: what the reader can do about it; no full stop at its end.
    """

    code: ClassVar[str] = "dbschema"
    """Stable name of the error for programs and for docs/errors.md: kebab-case, unique, written out in each class."""

    def __init__(self, what: str, next_step: str) -> None:
        super().__init__(what, next_step)
        self.what = what
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.what}. {self.next_step}."


class DeclarationError(DbSchemaError):
    """A model or a database object is declared in a way that PostgreSQL could not keep."""


class BadModels(DbSchemaError):
    """The models that an application names are not there."""


class NameTooLong(DeclarationError):
    """An identifier is longer than PostgreSQL's 63 bytes, and would be cut silently."""

    def __init__(self, kind: str, name: str, place: str) -> None:
        self.kind, self.name, self.place = kind, name, place
        super().__init__(
            f"The name of {kind} {name!r} on {place} has {len(name.encode())} bytes, and PostgreSQL keeps 63",
            "Give it a shorter name of its own",
        )


class BadRelationship(DeclarationError):
    """A relationship of a model names a class or a column that does not fit."""

    code = "bad-relationship"

    def __init__(self, relationship: str, problem: str, next_step: str) -> None:
        self.relationship = relationship
        super().__init__(f"The relationship {relationship} cannot be joined: {problem}", next_step)


class ConnectError(DbSchemaError):
    """The database could not be reached, or refused the connection."""


class BadAddress(ConnectError):
    """The address of a database cannot be read."""


class ServerError(DbSchemaError):
    """The private server cannot be found, started or stopped."""


class MigrationError(DbSchemaError):
    """An upgrade or a downgrade cannot be done."""


class UnknownRevision(MigrationError):
    """A revision is named that the revision scripts do not hold."""

    def __init__(self, revision: str, known: str) -> None:
        self.revision = revision
        super().__init__(
            f"There is no revision {revision!r} among the revision scripts",
            f"Name one of them ({known}), 'head' or 'base'",
        )


class CatalogError(DbSchemaError):
    """The catalog of a database cannot be read or compared."""


class SeedError(DbSchemaError):
    """Data cannot be written into the database."""


class SessionError(DbSchemaError):
    """A session cannot do what is asked of it: another tenant's row, or no transaction, or a role that was not granted."""


class LoadError(DbSchemaError):
    """Rows cannot be loaded in bulk."""
