"""The server after crashes: what it left behind, and process ids that have come to others."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg
import pytest

from dbschema.errors import ServerError
from dbschema.tools.server.os_user import default_os_user
from dbschema.tools.server.process import PID_FILE, PidFile, is_alive, read_pid_file, stop, wait_for_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dbschema.tools.server import Address, PrivateServer

    Ask = Callable[[Address, str], object]


def data_of(server: PrivateServer) -> Path:
    (data,) = (path for path in (server.home / "postgres").iterdir() if path.name.isdigit())
    return data


def kill(server: PrivateServer) -> int:
    """Kill the postmaster with -9 and wait until it is dead; its children are left to themselves."""
    pid = server.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return pid


@pytest.fixture
def stranger() -> Iterator[int]:
    """The process id of a program of the server's user that has nothing to do with it."""
    account = default_os_user()
    user = account.uid if account.switch else None
    with subprocess.Popen(["sleep", "600"], cwd="/", user=user) as process:
        yield process.pid
        process.kill()


def test_a_server_that_was_killed_is_started_again_with_all_that_was_committed(
    running: PrivateServer, ask: Ask
) -> None:
    address = running.address()
    ask(address, "SET synchronous_commit = on; CREATE TABLE survivor AS SELECT 42 AS answer")
    killed = kill(running)

    assert not running.status().running
    again = running.start()

    assert again == address
    assert running.status().pid != killed
    assert ask(again, "SELECT answer FROM survivor") == 42
    ask(again, "DROP TABLE survivor")


def test_a_backend_that_outlives_a_killed_server_is_ended(running: PrivateServer, ask: Ask) -> None:
    """It computes, so it does not notice; and no server starts beside it, because both would write the same files."""
    connection = psycopg.connect(running.address().url())
    busy = threading.Thread(target=compute, args=[connection])
    busy.start()
    backend = connection.info.backend_pid
    while ask(running.address(), f"SELECT state FROM pg_stat_activity WHERE pid = {backend}") != "active":
        time.sleep(0.01)
    kill(running)
    assert is_alive(backend)

    address = running.start()

    assert not is_alive(backend)
    assert ask(address, "SELECT 1") == 1
    busy.join()
    connection.close()


def compute(connection: psycopg.Connection) -> None:
    with suppress(psycopg.OperationalError):
        connection.execute("SELECT count(*) FROM generate_series(1, 1000000000000)")


def test_a_stale_pid_file_whose_number_is_another_programs_now(
    running: PrivateServer, ask: Ask, stranger: int
) -> None:
    kill(running)
    pid_file = data_of(running) / PID_FILE
    lines = pid_file.read_text().splitlines(keepends=True)
    pid_file.write_text("".join([f"{stranger}\n", *lines[1:]]))

    assert not running.status().running
    assert running.stop() is False
    address = running.start()

    assert ask(address, "SELECT 1") == 1
    assert is_alive(stranger)
    assert running.status().pid != stranger


@pytest.mark.parametrize("rest", ["", "nonsense\n", "\n\n\n"])
def test_a_pid_file_that_a_crash_left_unreadable(running: PrivateServer, ask: Ask, rest: str) -> None:
    kill(running)
    (data_of(running) / PID_FILE).write_text(rest)

    address = running.start()

    assert ask(address, "SELECT 1") == 1


def test_a_server_that_is_still_starting_is_waited_for(stopped: PrivateServer, ask: Ask) -> None:
    """As when the caller who started it was killed before it was ready."""
    stopped.start()
    pid = stopped.status().pid
    assert pid is not None
    pid_file = data_of(stopped) / PID_FILE
    lines = pid_file.read_text().splitlines(keepends=True)
    pid_file.write_text("".join([*lines[:7], "starting\n"]))

    def finish() -> None:
        time.sleep(0.3)
        pid_file.write_text("".join(lines))

    later = threading.Thread(target=finish)
    later.start()
    address = stopped.start()

    later.join()
    assert stopped.status().pid == pid
    assert ask(address, "SELECT 1") == 1


def test_a_server_that_does_not_end_in_time_is_told(running: PrivateServer) -> None:
    data, account = data_of(running), default_os_user()
    pid = running.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)

    try:
        with pytest.raises(ServerError, match=rf"\(process {pid}\) .*immediate"):
            stop(data, account, running.home / "server.log", "fast", seconds=0.2)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_dead_process_that_nobody_has_buried_is_not_alive() -> None:
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

        assert is_alive(child.pid) is False


def test_what_a_postmaster_notes_is_read_while_it_is_still_writing(folder: Path) -> None:
    assert read_pid_file(folder) is None

    (folder / PID_FILE).write_text("123\n/data\n1700000000\n")
    assert read_pid_file(folder) == PidFile(123, None, None, "")

    (folder / PID_FILE).write_text("123\n/data\n1700000000\n5\n/s\n127.0.0.1\n  1  2\nready   \n")
    noted = read_pid_file(folder)
    assert noted is not None
    assert (noted.port, str(noted.socket_dir), noted.state) == (5, "/s", "ready")


def test_the_wait_for_a_server_ends_when_it_is_gone_or_late(folder: Path, stranger: int) -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait()

        assert wait_for_state(folder, child.pid, seconds=10) == "gone"

    assert wait_for_state(folder, stranger, seconds=0.05) == "late"
