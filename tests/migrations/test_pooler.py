"""Through PgBouncer: in transaction mode a run is refused and leaves nothing in the pool, in session mode it works."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import make_url, text

from dbschema.migrations import errors, runner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Engine

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
LOCKS = text(
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database ="
    " (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def pooled(fresh_database: str, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts PgBouncer before the fresh database, and gives the address through it."""
    assert PROGRAM is not None, "pgbouncer is not installed (Debian and Ubuntu: apt-get install pgbouncer)"
    started: list[subprocess.Popen[bytes]] = []
    url = make_url(fresh_database)

    def start(mode: str, *more: str) -> str:
        port = free_port()
        settings = [
            "[databases]",
            f"{url.database} = host={url.host} port={url.port} user={url.username} password={url.password}",
            "[pgbouncer]",
            "listen_addr = 127.0.0.1",
            f"listen_port = {port}",
            "unix_socket_dir =",
            "auth_type = any",
            f"pool_mode = {mode}",
            *more,
        ]
        folder = tmp_path / "pooler"
        folder.mkdir()
        (folder / "pgbouncer.ini").write_text("\n".join(settings) + "\n")
        account = ["-u", "nobody"] if os.getuid() == 0 else []
        if account:  # it refuses to run as root
            for path in (folder, *list(folder.parents)[:4]):
                path.chmod(path.stat().st_mode | 0o011)
            os.chown(folder / "pgbouncer.ini", pwd.getpwnam("nobody").pw_uid, -1)
        started.append(
            subprocess.Popen(
                [PROGRAM, "-q", *account, str(folder / "pgbouncer.ini")],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        through = url.set(port=port, query={"sslmode": "disable", "gssencmode": "disable"})
        end = time.monotonic() + 10
        while True:
            try:
                plain = through.set(drivername="postgresql")
                psycopg.connect(plain.render_as_string(hide_password=False)).close()
            except psycopg.OperationalError:
                assert time.monotonic() < end, "PgBouncer did not start"
                time.sleep(0.05)
            else:
                return through.render_as_string(hide_password=False)

    yield start
    for process in started:
        process.terminate()
        process.wait()


def warm_up(url: str, connections: int) -> None:
    """Let the pool have so many sessions."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    opened = [psycopg.connect(plain) for _ in range(connections)]
    for one in opened:
        one.execute("SELECT 1")
    for one in opened:
        one.close()


@pytest.mark.parametrize("sessions", [1, 2, 3, 5])
@pytest.mark.parametrize("order", ["server_round_robin = 0", "server_round_robin = 1"])
def test_a_pool_that_shares_its_sessions_is_refused_and_left_clean(
    pooled: Callable[..., str],
    plain_engine: Engine,
    write_history: Callable[..., Path],
    sessions: int,
    order: str,
) -> None:
    """A lock taken there would stay with a session of the pool, for nobody's run and against everybody's."""
    url = pooled("transaction", order)
    warm_up(url, sessions)

    with pytest.raises(errors.PooledConnection):
        runner.upgrade(url, location=write_history(one='op.execute("CREATE TABLE t ()")'))

    with plain_engine.connect() as connection:
        assert connection.scalar(text("SELECT to_regclass('t')")) is None
        assert connection.scalar(LOCKS) == 0


def test_a_pool_in_session_mode_serves(
    pooled: Callable[..., str], plain_engine: Engine, write_history: Callable[..., Path]
) -> None:
    url = pooled("session")
    warm_up(url, 3)

    run = runner.upgrade(url, location=write_history(one='op.execute("CREATE TABLE t ()")'))

    assert run.after == "one"
