"""Errors of the arguments of a query, raised before the query is sent."""

from __future__ import annotations

from dbschema.errors import DbSchemaError


class QueryError(DbSchemaError):
    """An argument of a query is not valid.

    Changed: nothing; the query was not sent.
    Fix: correct the argument that the message names.
    """

    code = "query"


class BadCursor(QueryError):
    """A text is not a cursor, was cut or changed, or belongs to pages in another order.

    Changed: nothing; the query was not sent.
    Fix: pass the cursor of the page before as it was returned, or begin with the first page.

    Args:
        reason: what is wrong with it, as the end of a sentence.
    """

    code = "bad-cursor"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"The cursor of a page {reason}",
            "Give the cursor unchanged, or begin with the first page",
        )


class BadSearch(QueryError):
    """An argument of a search is not valid, or exceeds its limit.

    Changed: nothing; the query was not sent.
    Fix: correct the argument that the message names.

    Args:
        argument: the name of the argument.
        reason: what is wrong with it, as the end of a sentence.
        next_step: what is valid; no full stop at its end.
    """

    code = "bad-search"

    def __init__(self, argument: str, reason: str, next_step: str) -> None:
        self.argument, self.reason = argument, reason
        super().__init__(f"The {argument} of a search {reason}", next_step)
