"""Whether an error is one of the database, and its code; what it means is told by `translation`, which few runs need."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbschema.connect.settings import Settings


@contextmanager
def translating(settings: Settings) -> Iterator[None]:
    """Turn errors of psycopg and SQLAlchemy that leave this block into children of `ConnectError`, with their cause."""
    try:
        yield
    except Exception as error:
        if is_of_the_database(error):
            from dbschema.connect.translation import translate  # noqa: PLC0415  for an error only

            raise translate(error, settings) from error
        raise


def is_of_the_database(error: BaseException) -> bool:
    """Whether `error` is psycopg's, or SQLAlchemy's around it; where SQLAlchemy is not imported, nothing is its."""
    alchemy = sys.modules.get("sqlalchemy.exc")
    return isinstance(error, psycopg.Error) or (alchemy is not None and isinstance(error, alchemy.DBAPIError))


def behind(error: Exception) -> Exception:
    """The error of the database that `error` follows from, where SQLAlchemy only says that the connection is of no use any more.

    As at the end of Alembic's `autocommit_block`, which would commit although the statement in it has failed.
    """
    alchemy = sys.modules.get("sqlalchemy.exc")
    before: BaseException | None = error
    while alchemy is not None and isinstance(before, alchemy.PendingRollbackError):
        before = before.__context__
    return before if isinstance(before, Exception) and is_of_the_database(before) else error


def sqlstate(error: BaseException) -> str | None:
    """PostgreSQL's code in an error of psycopg or SQLAlchemy; None where it has none."""
    original = getattr(error, "orig", None) or error
    return original.sqlstate if isinstance(original, psycopg.Error) else None
