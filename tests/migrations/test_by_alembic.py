"""Revisions that Alembic runs work in the session that has the limits and the lock, however its address was found."""

from __future__ import annotations

from dataclasses import replace

import psycopg
from sqlalchemy import text

from dbschema import connect
from dbschema.migrations import by_alembic


def test_alembic_works_in_the_session_that_is_given_also_where_a_server_may_sleep(
    fresh_database: str,
) -> None:
    """An address from AWS is waited for: what opens its sessions must not put another one in the place of this."""
    settings = replace(connect.resolve(fresh_database), wake_seconds=60.0)
    address = settings.libpq_url()

    with (
        psycopg.connect(address, autocommit=True) as work,
        by_alembic.around(work, settings) as connection,
    ):
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
        with connection.engine.connect() as another:
            other = another.scalar(text("SELECT pg_backend_pid()"))

        assert pid == work.info.backend_pid
        assert other != pid
