"""Revisions that Alembic runs work in the session that has the limits and the lock, however its address was found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from dbschema import connect
from dbschema.migrations import alembic_executor


@pytest.mark.parametrize("rule", [{"wake_seconds": 60.0}, {"failover_seconds": 5.0}])
def test_alembic_works_in_the_session_that_is_given_also_where_rules_open_sessions(
    fresh_database: str, rule: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for a server that sleeps, or looks for the one that writes, must not put its session in the place of this."""
    # No cluster stands here: a session that the rule of failover is asked for is one like the others.
    monkeypatch.setattr("dbschema.connect.failover.connect", lambda _settings, make, given: make(given))
    settings = replace(connect.resolve(fresh_database), **rule)
    address = settings.libpq_url()

    with (
        psycopg.connect(address, autocommit=True) as work,
        alembic_executor.wrap(work, settings) as connection,
    ):
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
        with connection.engine.connect() as another:
            other = another.scalar(text("SELECT pg_backend_pid()"))

        assert pid == work.info.backend_pid
        assert other != pid
