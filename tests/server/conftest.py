"""Private servers for the tests of the private server: each in a folder of its own that goes with the test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import psycopg
import pytest

from dbschema.errors import ServerError
from dbschema.tools.server import PrivateServer, directory, find_binaries, process
from dbschema.tools.server.os_user import default_os_user

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dbschema.tools.server import Address

FAST = {"fsync": "off", "synchronous_commit": "off", "shared_buffers": "16MB"}


class MakeServer(Protocol):
    """Gives the private server of a home: the kept one, moved there until the end of the test, or with `fresh` a new one."""

    def __call__(
        self, home: Path | None = None, *, fresh: bool = False, options: dict[str, str] | None = None
    ) -> PrivateServer: ...


def make_folder() -> Path:
    """A temporary folder that the server's user can enter; pytest's own is closed to all but root when root runs it."""
    folder = Path(tempfile.mkdtemp(prefix="dbschema-test-"))
    folder.chmod(0o755)
    return folder


def clear(server: PrivateServer) -> None:
    """Destroy a server, also one that its test has left in a state in which `destroy` refuses."""
    try:
        server.destroy()
    except ServerError:
        account = default_os_user()
        for data in server.home.glob("postgres/*"):
            for pid in process.left_behind(data, account):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = make_folder()
    yield folder
    subprocess.run(["chmod", "-R", "u+rwX", folder], check=False)
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where stores go that cannot stand in their home: never this machine's real place."""
    base = folder / "elsewhere"
    monkeypatch.setattr(directory, "ELSEWHERE", (base,))
    return base


@pytest.fixture(scope="session")
def kept_server() -> Iterator[PrivateServer]:
    """One server for all the tests that leave it as it was, but for running or not: each initdb takes a second."""
    folder = make_folder()
    server = PrivateServer(folder / "home", options=FAST)
    yield server
    clear(server)
    shutil.rmtree(folder)


@pytest.fixture
def stopped(kept_server: PrivateServer) -> PrivateServer:
    """A server with a cluster that does not run; a test that breaks it takes `make_server` with `fresh`."""
    try:
        kept_server.stop()
    except ServerError:
        clear(kept_server)
    if not (kept_server.home / "postgres").exists():
        kept_server.start()
        kept_server.stop()
    return kept_server


@pytest.fixture
def make_server(folder: Path, request: pytest.FixtureRequest) -> Iterator[MakeServer]:
    fresh_servers: list[PrivateServer] = []
    moved: list[PrivateServer] = []

    def make(
        home: Path | None = None, *, fresh: bool = False, options: dict[str, str] | None = None
    ) -> PrivateServer:
        server = PrivateServer(home or folder / "home", options=FAST if options is None else options)
        if fresh:
            fresh_servers.append(server)
        else:
            server.home.parent.mkdir(parents=True, exist_ok=True)
            request.getfixturevalue("stopped").home.rename(server.home)
            moved.append(server)
        return server

    yield make
    for server in fresh_servers:
        clear(server)
    for server in moved:
        server.stop(mode="immediate")
        server.home.rename(request.getfixturevalue("kept_server").home)


@pytest.fixture
def running(stopped: PrivateServer) -> PrivateServer:
    """A server that runs."""
    stopped.start()
    return stopped


@pytest.fixture
def write_program() -> Callable[[Path, str], None]:
    """Writes a shell script that can be run."""

    def write(path: Path, script: str) -> None:
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return write


@pytest.fixture
def programs(folder: Path, write_program: Callable[[Path, str], None]) -> Path:
    """A folder with the programs of the real server as scripts, of which a test replaces one."""
    real = find_binaries().bin_dir
    made = folder / "bin"
    made.mkdir()
    for name in ("initdb", "postgres", "pg_config"):
        write_program(made / name, f'exec "{real}/{name}" "$@"')
    return made


@pytest.fixture
def ask() -> Callable[..., object]:
    """Gives the first value of a statement's answer, over the address that every client uses."""

    def first_value(address: Address, statement: str) -> object:
        with psycopg.connect(address.url(), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            row = cursor.fetchone() if cursor.description else None
            return None if row is None else row[0]

    return first_value
