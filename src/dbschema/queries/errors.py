"""What can be wrong with the question, told before the database is asked."""

from __future__ import annotations

from dbschema.errors import DbSchemaError


class QueryError(DbSchemaError):
    """A query cannot be asked like that."""


class BadCursor(QueryError):
    """A text is no cursor, was cut or changed, or belongs to pages in another order."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"The cursor of a page {reason}",
            "Give the cursor as it was handed out, or begin with the first page",
        )


class BadSearch(QueryError):
    """An argument of a search has no meaning, or goes beyond its bound."""

    def __init__(self, argument: str, reason: str, next_step: str) -> None:
        self.argument, self.reason = argument, reason
        super().__init__(f"The {argument} of a search {reason}", next_step)
