"""Revisions that can be followed, and questions to the database behind a function."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from lambda_runtime import Pending

COUNTED = (
    "op.execute('CREATE TABLE IF NOT EXISTS runs (id text)'); op.execute(\"INSERT INTO runs VALUES ('{0}')\")"
)
GATED = """
op.execute("CREATE TABLE gated (id int)")
while not Path({gate!r}).exists():
    op.execute("SELECT pg_sleep(0.1)")
"""


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def tables(url: str) -> set[object]:
    query = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    return {name for (name,) in rows(url, query)}


def wait_for(pending: Pending, word: str) -> None:
    """Until the function has written `word` into its log."""
    while word not in pending.log:
        assert not pending.invocation.answered.wait(0.02), pending.log
