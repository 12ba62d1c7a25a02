"""The databases of a run go with it, whatever the server does with them and whoever may do little."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import make_url

from dbschema.testing import place
from dbschema.testing.databases import Databases
from dbschema.tools.server import PrivateServer

if TYPE_CHECKING:
    from collections.abc import Iterator

# A worker comes at once, and takes minutes for a table of some megabytes.
BUSY = {
    "fsync": "off",
    "autovacuum_naptime": "1s",
    "autovacuum_analyze_threshold": "10",
    "autovacuum_vacuum_insert_threshold": "10",
    "autovacuum_vacuum_cost_delay": "100ms",
    "autovacuum_vacuum_cost_limit": "1",
}


@pytest.fixture
def busy_server() -> Iterator[str]:
    """The address of a server whose autovacuum is always at work, as its superuser."""
    with tempfile.TemporaryDirectory(prefix="dbschema-test-", dir=place.folder()) as name:
        folder = Path(name)
        folder.chmod(0o755)  # started by root, the server runs as another user
        server = PrivateServer(folder / "server", options=BUSY)
        yield server.start().url(driver="")
        server.destroy()


def test_a_role_without_powers_removes_a_database_that_autovacuum_works_in(
    busy_server: str, tmp_path: Path
) -> None:
    """Only a superuser may end a worker of autovacuum, as DROP DATABASE … WITH (FORCE) would."""
    with psycopg.connect(busy_server, autocommit=True) as admin:
        admin.execute("CREATE ROLE poor LOGIN PASSWORD 'secret' CREATEDB")
        url = make_url(busy_server).set(username="poor", password="secret")
        databases = Databases("run", tmp_path / "run", url.render_as_string(hide_password=False))
        address = databases.create("one").replace("+psycopg", "")
        with psycopg.connect(address) as connection:
            connection.execute("CREATE TABLE t AS SELECT repeat('x', 500) FROM generate_series(1, 60000)")
        left_open = psycopg.connect(address)
        until = time.monotonic() + 60
        while (
            admin.execute(
                "SELECT FROM pg_stat_activity WHERE datname = 'dbschema_test_run_one' AND query LIKE 'autovacuum: VACUUM%public.t'"
            ).fetchone()
            is None
        ):
            assert time.monotonic() < until, "no worker came"

        databases.drop("one")

        found = admin.execute("SELECT FROM pg_database WHERE starts_with(datname, %s)", (databases.prefix,))
        assert found.fetchone() is None
    left_open.close()
