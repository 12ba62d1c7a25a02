"""The command line, in this process where that is enough and as a program where it matters."""

from __future__ import annotations

import io
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import make_url

from dbschema.testing import place
from dbschema.tools.cli import app
from dbschema.tools.server import PrivateServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SNAPSHOT = """
SELECT 'relation', n.nspname, c.relname || ' ' || c.relkind::text, c.oid::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname NOT LIKE 'pg_%' AND n.nspname <> 'information_schema'
UNION ALL SELECT 'schema', nspname, '', oid::text FROM pg_namespace WHERE nspname NOT LIKE 'pg_temp%'
UNION ALL SELECT 'function', '', proname, oid::text FROM pg_proc
UNION ALL SELECT 'type', '', typname, oid::text FROM pg_type WHERE typname NOT LIKE 'pg_temp%'
UNION ALL SELECT 'extension', '', extname, extversion FROM pg_extension
"""


def libpq(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Calls the command line in this process, without a terminal and without an address in the environment."""

    def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
        with monkeypatch.context() as patch:
            patch.delenv("DATABASE_URL", raising=False)
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.setattr("sys.stdin", io.StringIO())
            patch.setattr("sys.stdout", out)
            patch.setattr("sys.stderr", err)
            code = app.run(arguments)
        for stream in (out, err):
            stream.seek(0)
        return subprocess.CompletedProcess(arguments, code, out.read(), err.read())

    return call


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of a program that must not reach the developer's own private server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "DATABASE_"))}
    return {**kept, "DBSCHEMA_HOME": str(tmp_path / "no home")}


@pytest.fixture
def program(tmp_path: Path, environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `python -m dbschema` in an empty folder, as an installed program is run."""

    def call(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "dbschema", *arguments],
            cwd=tmp_path,
            env={**environment, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return call


@pytest.fixture
def snapshot() -> Callable[[str], list[tuple[str, ...]]]:
    """Reads everything that a database holds, with the numbers that the server gave it."""

    def read(url: str) -> list[tuple[str, ...]]:
        with psycopg.connect(libpq(url)) as connection:
            return sorted(connection.execute(SNAPSHOT).fetchall())

    return read


@pytest.fixture
def home(environment: dict[str, str]) -> Iterator[Path]:
    """The home of a private server of this test's own, named in the environment of the program."""
    with tempfile.TemporaryDirectory(prefix="dbschema-test-", dir=place.folder()) as folder:
        Path(folder).chmod(0o755)  # started by root, the server runs as another user, who has to get there
        home = Path(folder, "a home")
        environment["DBSCHEMA_HOME"] = str(home)
        yield home
        PrivateServer(home).destroy()


@pytest.fixture
def lonely_server(home: Path) -> PrivateServer:
    """A cluster in which no database was ever migrated, so that the group roles are not there."""
    server = PrivateServer(home, options={"fsync": "off"})
    server.start()
    return server


@pytest.fixture
def old_server() -> Iterator[int]:
    """The port of a stand-in that speaks the beginning of PostgreSQL's protocol and says that it is version 14.9."""

    def message(kind: bytes, body: bytes) -> bytes:
        return kind + struct.pack("!i", len(body) + 4) + body

    greeting = (
        message(b"R", struct.pack("!i", 0))
        + message(b"S", b"server_version\x0014.9\x00")
        + message(b"S", b"client_encoding\x00UTF8\x00")
        + message(b"K", struct.pack("!ii", 1, 1))
        + message(b"Z", b"I")
    )

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                while packet := client.recv(8192):
                    if packet[:1] == b"X":
                        break
                    code = struct.unpack("!i", packet[4:8])[0]
                    # Requests for TLS and GSS encryption are declined; the next packet starts the session.
                    client.sendall(b"N" if code in {80877103, 80877104} else greeting)

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)
