"""Why a verification cannot begin, and how a single check says that something is not so."""

from __future__ import annotations

from dbschema.errors import DbSchemaError


class VerifyError(DbSchemaError):
    """The verification cannot begin."""


class NothingWouldBeRolledBack(VerifyError):
    """The connection commits each statement by itself, so that what the checks write would stay."""

    def __init__(self) -> None:
        super().__init__(
            "The connection is in autocommit mode, and what the checks write must be rolled back",
            "Give a connection with transactions",
        )


class Unmet(Exception):
    """What a check asks for is not so; the message is its line in the report."""
