"""A cluster is made whole or not at all, also where initdb is killed, refused or without room."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from dbschema.errors import BadSetting
from dbschema.tools.server import cluster
from dbschema.tools.server.errors import BadHome, StartFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dbschema.tools.server import Address, PrivateServer

    Ask = Callable[[Address, str], object]
    MakeServer = Callable[..., PrivateServer]
    WriteProgram = Callable[[Path, str], None]

START = "import sys; from pathlib import Path; from dbschema.tools.server import PrivateServer; PrivateServer(Path(sys.argv[1])).start()"


def test_a_caller_killed_during_initdb_leaves_nothing_that_the_next_one_takes_for_a_cluster(
    make_server: MakeServer,
    programs: Path,
    write_program: WriteProgram,
    monkeypatch: pytest.MonkeyPatch,
    ask: Ask,
) -> None:
    server = make_server(fresh=True)
    write_program(
        programs / "initdb",
        'while [ "$1" != --pgdata ]; do shift; done; mkdir "$2"; echo 15 >"$2/PG_VERSION"; while [ -e "$2" ]; do sleep 0.1; done',
    )
    monkeypatch.setenv("DBSCHEMA_PG_BIN", str(programs))
    with subprocess.Popen([sys.executable, "-c", START, server.home]) as caller:
        half_made = wait_for(server.home / "postgres", "initdb-*/PG_VERSION").parent
        caller.kill()
    monkeypatch.delenv("DBSCHEMA_PG_BIN")

    assert half_made.exists()
    assert not server.status().running
    address = server.start()

    assert ask(address, "SELECT 1") == 1
    assert not half_made.exists()
    assert not list((server.home / "postgres").glob("initdb-*"))


def test_a_disk_without_room_for_a_cluster_is_told_before(
    folder: Path, make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "NEEDED_BYTES", 1 << 62)
    server = make_server(fresh=True)

    with pytest.raises(BadHome, match=r"not enough room .*MB are free") as caught:
        server.start()

    assert caught.value.path == server.home / "postgres"
    assert [path.name for path in caught.value.path.iterdir()] == [".dbschema-home"]


@pytest.mark.parametrize("program", ["initdb", "postgres"])
def test_a_disk_that_fills_up_is_told_by_its_name(
    make_server: MakeServer,
    programs: Path,
    write_program: WriteProgram,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
) -> None:
    """The program here writes to the device that is always full, so the reason is the system's own."""
    monkeypatch.setenv("DBSCHEMA_PG_BIN", str(programs))
    server = make_server(fresh=program == "initdb")
    real = (programs / program).read_text()
    write_program(programs / program, f'[ "$1" = --version ] && {real.splitlines()[1]}\ncat "$0" >/dev/full')

    with pytest.raises(BadHome, match=r"not enough room .*No space left on device"):
        server.start()

    write_program(programs / program, real.splitlines()[1])
    assert server.start()


def test_an_initdb_that_fails_is_quoted_and_cleared_away(
    make_server: MakeServer, programs: Path, write_program: WriteProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_program(programs / "initdb", "echo 'initdb: error: the moon is wrong' >&2; exit 1")
    monkeypatch.setenv("DBSCHEMA_PG_BIN", str(programs))
    server = make_server(fresh=True)

    with pytest.raises(StartFailed, match="initdb says: the moon is wrong") as caught:
        server.start()

    assert caught.value.what.endswith(": the moon is wrong")
    assert [path.name for path in (server.home / "postgres").iterdir()] == [".dbschema-home"]


def test_a_data_folder_made_read_only_is_named_and_serves_again_when_it_is_writable(
    stopped: PrivateServer, ask: Ask
) -> None:
    (data,) = (path for path in (stopped.home / "postgres").iterdir() if path.name.isdigit())
    data.chmod(0o500)

    try:
        with pytest.raises(BadHome, match=r"cannot write in .*postmaster\.pid") as caught:
            stopped.start()
    finally:
        data.chmod(0o700)

    assert caught.value.path == data
    assert ask(stopped.start(), "SELECT 1") == 1


def test_a_data_folder_without_its_version_is_left_alone(stopped: PrivateServer) -> None:
    (data,) = (path for path in (stopped.home / "postgres").iterdir() if path.name.isdigit())
    (data / "PG_VERSION").rename(data / "PG_VERSION.kept")

    with pytest.raises(StartFailed, match="move it away"):
        stopped.start()

    (data / "PG_VERSION.kept").rename(data / "PG_VERSION")
    assert stopped.start()


def test_settings_that_were_changed_by_hand_are_written_anew(stopped: PrivateServer, ask: Ask) -> None:
    (data,) = (path for path in (stopped.home / "postgres").iterdir() if path.name.isdigit())
    (data / "pg_hba.conf").write_text("host all all all trust\n")
    (data / "dbschema.conf").write_text("max_connections = 7\n")

    address = stopped.start()

    assert ask(address, "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'trust'") == 0
    assert ask(address, "SHOW max_connections") == "100"


def test_a_setting_of_the_users_own_is_kept(stopped: PrivateServer, ask: Ask) -> None:
    ask(stopped.start(), "ALTER SYSTEM SET max_connections = 55")
    stopped.stop()

    address = stopped.start()

    assert ask(address, "SHOW max_connections") == "55"
    ask(address, "ALTER SYSTEM RESET ALL")


def test_durability_is_nothing_that_the_settings_touch() -> None:
    assert not {"fsync", "synchronous_commit", "full_page_writes", "wal_level"} & set(cluster.SETTINGS)


def test_options_are_copied_and_checked() -> None:
    given = {"work_mem": "1MB", "my.setting": "x"}

    assert cluster.check_options(given) == given
    assert cluster.check_options(given) is not given
    for name in cluster.DECIDED:
        with pytest.raises(BadSetting, match=f"setting '{name.upper()}' .*decides it"):
            cluster.check_options({name.upper(): "x"})


def wait_for(folder: Path, pattern: str) -> Path:
    deadline = time.monotonic() + 60
    while not (found := list(folder.glob(pattern)) if folder.exists() else []):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found[0]
