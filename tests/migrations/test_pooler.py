"""Through a pooler: in transaction mode a run is refused and leaves nothing in the pool, in session mode it works."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import struct
import subprocess
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import make_url, text

from dbschema import connect
from dbschema.migrations import errors, runner
from dbschema.tools.server.address import choose_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Engine

# The real one where it is installed, beside a stand-in that shares its sessions in the same way.
PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
POOLERS = ["stand-in", "pgbouncer"] if PROGRAM else ["stand-in"]
LOCKS = text(
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database ="
    " (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class StandIn:
    """Gives each transaction, or each client, the session that was given back last, or with `rotate` the one before all.

    Its clients need no password, and get a process id of its own, as from PgBouncer.
    """

    def __init__(self, conninfo: str, mode: str, *, rotate: bool) -> None:
        self._conninfo, self._by_transaction, self._rotate = conninfo, mode == "transaction", rotate
        self._idle: list[psycopg.Connection] = []
        self._all: list[psycopg.Connection] = []
        self._free = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # which ends the thread that accepts
        self._listener.close()
        for session in self._all:
            session.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _take(self) -> psycopg.Connection:
        with self._free:
            if self._idle:
                return self._idle.pop(0 if self._rotate else -1)
            session = psycopg.connect(self._conninfo, autocommit=True)
            self._all.append(session)
            return session

    def _serve(self, client: socket.socket) -> None:
        session: psycopg.Connection | None = None
        with client, contextlib.suppress(OSError, psycopg.Error):
            exactly(client, struct.unpack("!I", exactly(client, 4))[0] - 4)
            client.sendall(
                message(b"R", struct.pack("!I", 0))
                + b"".join(message(b"S", pair) for pair in PARAMETERS)
                + message(b"K", struct.pack("!II", 4_000_000 + self.port, 1))
                + message(b"Z", b"I")
            )
            while (kind := exactly(client, 1)) != b"X":
                size = exactly(client, 4)
                body = exactly(client, struct.unpack("!I", size)[0] - 4)
                session = session or self._take()
                server = socket.socket(fileno=os.dup(session.fileno()))
                server.setblocking(True)
                with server:
                    server.sendall(kind + size + body)
                    state = b"T" if kind not in {b"Q", b"S"} else relay(server, client)
                if self._by_transaction and state == b"I":
                    self._idle.append(session)
                    session = None
        if session is not None:
            with contextlib.suppress(psycopg.Error):  # the test is over, and closes them
                session.execute("ROLLBACK")
                session.execute("DISCARD ALL")
                self._idle.append(session)


PARAMETERS = [
    b"server_version\x0015.0\x00",
    b"client_encoding\x00UTF8\x00",
    b"standard_conforming_strings\x00on\x00",
]


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def exactly(source: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = source.recv(size - len(found))
        if not part:
            raise ConnectionError
        found += part
    return found


def relay(server: socket.socket, client: socket.socket) -> bytes:
    """Hand on the server's answer to its end; the state of the transaction then."""
    while True:
        kind, size = exactly(server, 1), exactly(server, 4)
        body = exactly(server, struct.unpack("!I", size)[0] - 4)
        client.sendall(kind + size + body)
        if kind == b"Z":
            return body


@pytest.fixture
def pooled(fresh_database: str, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts a pooler before the fresh database, and gives the address through it."""
    started: list[subprocess.Popen[bytes]] = []
    stand_ins: list[StandIn] = []
    url = make_url(fresh_database)

    def start(pooler: str, mode: str, *, rotate: bool = False) -> str:
        if pooler == "stand-in":
            plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
            stand_ins.append(StandIn(plain, mode, rotate=rotate))
            through = url.set(port=stand_ins[-1].port, query={"sslmode": "disable", "gssencmode": "disable"})
            return through.render_as_string(hide_password=False)
        assert PROGRAM is not None
        port = choose_port(tmp_path)  # none that the system gives to a connection before PgBouncer takes it
        settings = [
            "[databases]",
            f"{url.database} = host={url.host} port={url.port} user={url.username} password={url.password}",
            "[pgbouncer]",
            "listen_addr = 127.0.0.1",
            f"listen_port = {port}",
            "unix_socket_dir =",
            "auth_type = any",
            f"pool_mode = {mode}",
            f"server_round_robin = {int(rotate)}",
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
        end = time.monotonic() + 60
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
    for stand_in in stand_ins:
        stand_in.close()


def warm_up(url: str, connections: int) -> None:
    """Let the pool have so many sessions."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    opened = [psycopg.connect(plain) for _ in range(connections)]
    for one in opened:
        one.execute("SELECT 1")
    for one in opened:
        one.close()


@pytest.mark.parametrize("sessions", [1, 2, 3, 5])
@pytest.mark.parametrize("rotate", [False, True], ids=["last", "round robin"])
@pytest.mark.parametrize("pooler", POOLERS)
def test_a_pool_that_shares_its_sessions_is_refused_and_left_clean(
    pooled: Callable[..., str],
    plain_engine: Engine,
    write_history: Callable[..., Path],
    sessions: int,
    *,
    pooler: str,
    rotate: bool,
) -> None:
    """A lock taken there would stay with a session of the pool, for nobody's run and against everybody's."""
    url = pooled(pooler, "transaction", rotate=rotate)
    warm_up(url, sessions)

    with pytest.raises(errors.PooledConnection, match="pooler in transaction mode"):
        runner.upgrade(url, location=write_history(one='op.execute("CREATE TABLE t ()")'))

    with plain_engine.connect() as connection:
        assert connection.scalar(text("SELECT to_regclass('t')")) is None
        assert connection.scalar(LOCKS) == 0


@pytest.mark.parametrize("pooler", POOLERS)
def test_a_pool_in_session_mode_serves(
    pooled: Callable[..., str], write_history: Callable[..., Path], pooler: str
) -> None:
    url = pooled(pooler, "session")
    warm_up(url, 3)

    run = runner.upgrade(url, location=write_history(one='op.execute("CREATE TABLE t ()")'))

    assert run.after == "one"


def test_behind_rds_proxy_a_run_with_work_is_refused_by_name(fresh_database: str) -> None:
    """The proxy keeps a session as soon as one is changed, so whether it is one pooler is not seen in time."""
    direct = connect.resolve(fresh_database)
    behind = replace(direct, proxy=True)

    with pytest.raises(errors.PooledConnection, match=r"RDS Proxy.*writer endpoint.*DB_HOST"):
        runner.upgrade(behind)
    before = runner.status(behind)
    runner.upgrade(direct)

    assert before.current == ()
    assert runner.upgrade(behind).steps == ()
    with pytest.raises(errors.PooledConnection, match="RDS Proxy"):
        runner.downgrade(behind, "base")
    assert runner.status(behind).up_to_date
