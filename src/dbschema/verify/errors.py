"""Errors of a verification, and the private exception by which a check reports a finding."""

from __future__ import annotations

from dbschema.errors import NoTransaction


def no_transaction() -> NoTransaction:
    """The connection commits each statement, so that the rows of the checks would stay."""
    return NoTransaction(
        "The connection is in autocommit mode, and what the checks write must be rolled back",
        "Give a connection with transactions",
    )


class Unmet(Exception):
    """A check failed; the message is its line in the report. Private: it does not leave a verification or a factory."""
