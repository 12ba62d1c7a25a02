"""The private server as its callers see it: started, stopped, removed, and who gets in."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import psycopg
import pytest

from dbschema.errors import BadSetting, ServerError
from dbschema.tools.server import PrivateServer, process
from dbschema.tools.server.errors import BadHome, NoConnection, NotOurs, NotRunning, OtherMajor, StartFailed
from dbschema.tools.server.os_user import default_os_user

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dbschema.tools.server import Address

    Ask = Callable[[Address, str], object]
    MakeServer = Callable[..., PrivateServer]

START = "import sys; from pathlib import Path; from dbschema.tools.server import PrivateServer; print(PrivateServer(Path(sys.argv[1]), options={'fsync': 'off'}).start().port)"


def test_a_first_start_makes_a_database_that_any_client_reaches(make_server: MakeServer, ask: Ask) -> None:
    server = make_server(fresh=True, options={})

    address = server.start()

    assert ask(address, "SELECT current_user || ' ' || current_database()") == "dbschema dbschema"
    assert (address.host, address.user, address.database) == ("127.0.0.1", "dbschema", "dbschema")
    assert ask(address, "SHOW server_encoding") == "UTF8"
    assert ask(address, "SELECT bool_and(x) FROM (VALUES ('B' < 'a'), ('a' < 'ä')) AS v(x)") is True
    assert ask(address, "SHOW fsync") == "on"
    assert ask(address, "SHOW data_checksums") == "on"
    assert ask(address, "SHOW timezone") == "UTC"


def test_psql_connects_with_the_url_from_any_folder(running: PrivateServer) -> None:
    done = subprocess.run(
        ["psql", running.address().url(), "-Atc", "SELECT current_user"],
        capture_output=True,
        text=True,
        cwd="/",
        check=True,
    )

    assert done.stdout.strip() == "dbschema"


def test_a_second_start_finds_the_server_and_leaves_it(running: PrivateServer) -> None:
    before = running.status()

    address = PrivateServer(running.home).start()

    assert address == before.address
    assert running.status() == before


def test_data_and_port_survive_a_stop_and_a_start(running: PrivateServer, ask: Ask) -> None:
    before = running.address()
    ask(before, "CREATE TABLE kept AS SELECT 42 AS answer")

    assert running.stop()
    after = running.start()

    assert after == before
    assert ask(after, "SELECT answer FROM kept") == 42


def test_a_dropped_database_is_there_again_after_a_start(running: PrivateServer, ask: Ask) -> None:
    address = running.address()
    with psycopg.connect(address.url("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE dbschema")

    running.start()

    assert ask(address, "SELECT current_database()") == "dbschema"


def test_a_start_waits_while_the_server_repairs_itself(running: PrivateServer, ask: Ask) -> None:
    """After one of its processes was killed it refuses all connections for a moment, and its pid file says 'ready'."""
    connection = psycopg.connect(running.address().url())
    os.kill(connection.info.backend_pid, signal.SIGKILL)

    address = running.start()
    connection.close()

    assert ask(address, "SELECT 1") == 1


def test_stop_tells_whether_the_server_ran(running: PrivateServer) -> None:
    assert running.stop(mode="immediate") is True
    assert running.stop() is False
    assert PrivateServer(running.home / "nothing").stop() is False


def test_stop_ends_sessions_that_are_open(running: PrivateServer) -> None:
    with psycopg.connect(running.address().url()) as connection:
        connection.execute("CREATE TABLE half_done ()")

        assert running.stop() is True

        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_status_tells_where_the_server_stands(make_server: MakeServer) -> None:
    server = make_server(fresh=True)
    before = server.status()
    address = server.start()
    during = server.status()
    assert during.pid is not None
    assert process.is_alive(during.pid)
    server.stop()
    after = server.status()

    assert (before.running, before.pid, before.port, before.version, before.address) == (
        False,
        None,
        None,
        None,
        None,
    )
    assert not before.home.exists() or before.home == server.home
    assert during.running
    assert (during.port, during.home, during.address) == (address.port, server.home, address)
    assert during.version is not None
    assert int(during.version.split(".")[0]) >= 15
    assert during.bin_dir is not None
    assert (during.bin_dir / "postgres").exists()
    assert (after.running, after.pid, after.address) == (False, None, None)
    assert (after.port, after.version, after.bin_dir) == (during.port, during.version, during.bin_dir)


def test_a_status_makes_nothing(folder: Path) -> None:
    server = PrivateServer(folder / "none")

    server.status()

    assert not server.home.exists()


def test_the_address_of_a_stopped_server_is_refused(stopped: PrivateServer) -> None:
    with pytest.raises(NotRunning, match="dbschema up") as caught:
        stopped.address()

    assert caught.value.home == stopped.home


def test_settings_are_given_for_a_start(make_server: MakeServer, ask: Ask) -> None:
    server = make_server(options={"fsync": "off", "work_mem": "7MB"})

    address = server.start()

    assert ask(address, "SHOW work_mem") == "7MB"


def test_a_setting_that_postgresql_refuses_is_named(make_server: MakeServer) -> None:
    server = make_server(options={"shared_buffers": "banana"})

    with pytest.raises(StartFailed, match='"shared_buffers": "banana"') as caught:
        server.start()

    assert caught.value.log.exists()
    assert not server.status().running


@pytest.mark.parametrize(
    "name", ["port", "Listen_Addresses", "unix_socket_directories", "hba_file", "x; y", "-D"]
)
def test_what_the_server_decides_itself_is_no_setting_of_the_callers(folder: Path, name: str) -> None:
    with pytest.raises(BadSetting, match=f"setting {name!r} cannot be given") as caught:
        PrivateServer(folder / "home", options={name: "1"})

    assert caught.value.name == name


class TestWhoGetsIn:
    def test_nobody_without_a_password_nor_with_a_wrong_one(self, running: PrivateServer) -> None:
        address = running.address()

        for wrong in ("", "wrong"):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(
                    host=address.host,
                    port=address.port,
                    user=address.user,
                    password=wrong,
                    dbname=address.database,
                    passfile="/dev/null",
                )

    def test_the_user_of_this_machine_who_owns_the_server_through_the_socket(
        self, running: PrivateServer
    ) -> None:
        address = running.address()

        with psycopg.connect(
            host=str(address.socket_dir), port=address.port, user=address.user, dbname=address.database
        ) as connection:
            row = connection.execute("SELECT current_user, inet_server_addr() IS NULL").fetchone()

        assert row == ("dbschema", True)

    def test_no_rule_trusts_and_every_rule_is_ours(self, running: PrivateServer) -> None:
        with psycopg.connect(running.address().url()) as connection:
            rules = connection.execute(
                "SELECT type, user_name, address, auth_method, error FROM pg_hba_file_rules ORDER BY line_number"
            ).fetchall()

        assert rules == [
            ("local", ["dbschema"], None, "peer", None),
            ("local", ["all"], None, "scram-sha-256", None),
            ("host", ["all"], "127.0.0.1", "scram-sha-256", None),
        ]

    def test_the_socket_is_closed_to_other_users_and_so_is_the_password(self, running: PrivateServer) -> None:
        socket_dir = running.address().socket_dir.stat()
        password = (running.home / "server.password").stat()
        log = (running.home / "server.log").stat()

        assert socket_dir.st_mode & 0o777 == 0o700
        assert socket_dir.st_uid == default_os_user().uid
        assert (password.st_mode & 0o777, password.st_uid) == (0o600, os.geteuid())
        assert log.st_mode & 0o777 == 0o600

    def test_not_even_alter_system_opens_the_server_to_other_machines(
        self, make_server: MakeServer, ask: Ask
    ) -> None:
        running = make_server()
        running.start()
        ask(running.address(), "ALTER SYSTEM SET listen_addresses = '*'")

        running.stop()
        address = running.start()

        assert ask(address, "SHOW listen_addresses") == "127.0.0.1"
        ask(address, "ALTER SYSTEM RESET ALL")

    def test_neither_log_nor_files_of_the_store_hold_the_password(
        self, running: PrivateServer, ask: Ask
    ) -> None:
        password = running.address().password
        (running.home / "server.password").unlink()

        new = running.start().password

        for secret in (password, new):
            files = [
                path for path in running.home.rglob("*") if path.is_file() and path.name != "server.password"
            ]
            assert len(files) > 100
            assert not [path for path in files if secret.encode() in path.read_bytes()]

    def test_the_environment_of_the_caller_does_not_lead_us_elsewhere(
        self, make_server: MakeServer, ask: Ask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in {
            "PGHOSTADDR": "192.0.2.1",
            "PGPORT": "1",
            "PGDATA": "/nowhere",
            "PGOPTIONS": "-c no_such_setting=1",
            "PGSSLMODE": "require",
            "PGUSER": "somebody",
            "PGDATABASE": "something",
            "LC_ALL": "de_DE.UTF-8",
        }.items():
            monkeypatch.setenv(name, value)

        address = make_server(fresh=True).start()

        monkeypatch.undo()
        assert ask(address, "SELECT current_user") == "dbschema"


class TestPassword:
    def test_a_lost_password_is_replaced_at_the_next_start(self, running: PrivateServer, ask: Ask) -> None:
        before = running.address()
        (running.home / "server.password").unlink()

        with pytest.raises(ServerError, match=r"password .* is not in .*server\.password"):
            running.address()
        assert running.status().running
        after = running.start()

        assert after.password != before.password
        assert ask(after, "SELECT 1") == 1

    def test_a_changed_password_is_told_with_its_remedy(self, running: PrivateServer, ask: Ask) -> None:
        ask(running.address(), "ALTER ROLE dbschema PASSWORD 'changed'")

        with pytest.raises(NoConnection, match=r"remove .*server\.password") as caught:
            running.start()
        caught.value.password_file.unlink()

        assert ask(running.start(), "SELECT 1") == 1


class TestPlaces:
    def test_a_path_with_spaces_quotes_and_letters_of_other_alphabets(
        self, make_server: MakeServer, folder: Path, ask: Ask
    ) -> None:
        server = make_server(folder / "a b'c\"d$e;f \\ ü日" / ".dbschema", fresh=True)

        address = server.start()

        assert ask(address, "SELECT 1") == 1
        assert server.stop()
        assert server.start() == address
        with psycopg.connect(
            host=str(address.socket_dir), port=address.port, user=address.user, dbname=address.database
        ) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)

    @pytest.mark.parametrize("name", ["x" * 120, "a,b"])
    def test_a_path_that_no_socket_can_have_gets_a_short_folder_of_its_own(
        self, make_server: MakeServer, folder: Path, name: str
    ) -> None:
        server = make_server(folder / name / "home")

        address = server.start()

        facts = address.socket_dir.lstat()
        assert len(os.fsencode(address.socket_dir / f".s.PGSQL.{address.port}")) < 104
        assert (facts.st_mode & 0o777, facts.st_uid) == (0o700, default_os_user().uid)
        with psycopg.connect(
            host=str(address.socket_dir), port=address.port, user=address.user, dbname=address.database
        ) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        server.stop()
        assert not address.socket_dir.exists()

    def test_a_folder_that_another_user_put_in_the_sockets_place_is_not_used(
        self, make_server: MakeServer, folder: Path
    ) -> None:
        server = make_server(folder / ("x" * 120) / "home")
        taken = server.start().socket_dir
        server.stop()
        taken.mkdir()
        taken.chmod(0o777)

        try:
            used = server.start().socket_dir

            assert used != taken
            assert used.lstat().st_mode & 0o777 == 0o700
            server.stop()
            assert not used.exists()
        finally:
            taken.rmdir()

    def test_a_line_break_in_the_path_is_refused(self, folder: Path) -> None:
        with pytest.raises(BadHome, match="line break"):
            PrivateServer(folder / "a\nb")

    def test_a_home_that_is_a_file_is_refused(self, folder: Path) -> None:
        (folder / "home").write_text("")

        with pytest.raises(BadHome, match="home"):
            PrivateServer(folder / "home").start()

    def test_the_project_does_not_see_the_home_in_its_history(self, make_server: MakeServer) -> None:
        running = make_server()
        running.start()

        patterns = (running.home / ".gitignore").read_text().splitlines()

        assert [pattern for pattern in patterns if not pattern.startswith("#")] == ["*"]


class TestOtherPeoplesFolders:
    def test_a_folder_in_the_place_of_the_data_is_left_alone(self, folder: Path) -> None:
        theirs = folder / "home" / "postgres"
        theirs.mkdir(parents=True)
        (theirs / "precious").write_text("data")
        server = PrivateServer(folder / "home")

        for act in (server.start, server.stop, server.destroy, server.status):
            with pytest.raises(NotOurs) as caught:
                act()
            assert caught.value.path == theirs

        assert (theirs / "precious").read_text() == "data"
        assert [path.name for path in (folder / "home").iterdir()] == ["postgres"]

    def test_a_link_in_the_place_of_the_data_is_not_followed(
        self, make_server: MakeServer, folder: Path
    ) -> None:
        other = make_server(folder / "other")
        (folder / "home").mkdir()
        (folder / "home" / "postgres").symlink_to(other.home / "postgres")

        with pytest.raises(NotOurs):
            PrivateServer(folder / "home").destroy()

        assert (other.home / "postgres").is_dir()

    def test_the_server_of_another_user_is_left_alone(
        self, running: PrivateServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pid = running.status().pid
        owner = pwd.getpwuid(default_os_user().uid).pw_name
        monkeypatch.setattr(os, "geteuid", lambda: 12345)

        for act in (running.start, running.stop, running.destroy, running.status):
            with pytest.raises(NotOurs) as caught:
                act()
            assert caught.value.owner == owner

        monkeypatch.undo()
        assert running.status().pid == pid

    def test_data_of_another_major_version_are_named_and_kept(self, make_server: MakeServer) -> None:
        stopped = make_server()
        (data,) = (path for path in (stopped.home / "postgres").iterdir() if path.name.isdigit())
        version = (data / "PG_VERSION").read_text()
        (data / "PG_VERSION").write_text("11\n")

        with pytest.raises(OtherMajor, match=r"PostgreSQL 11.*--destroy") as caught:
            stopped.start()

        assert (caught.value.data, caught.value.major) == (data, 11)
        assert int(data.name) in caught.value.installed
        (data / "PG_VERSION").write_text(version)
        assert stopped.start()


class TestDestroy:
    def test_everything_goes_even_while_it_runs(self, make_server: MakeServer, folder: Path) -> None:
        server = make_server(folder / ("y" * 120) / "home", fresh=True)
        address = server.start()
        pid = server.status().pid

        assert server.destroy() is True

        assert pid is not None
        assert not process.is_alive(pid)
        assert not server.home.exists()
        assert not address.socket_dir.exists()
        assert server.destroy() is False

    def test_what_the_user_keeps_in_the_home_stays_and_data_made_read_only_go(
        self, make_server: MakeServer
    ) -> None:
        server = make_server(fresh=True)
        server.start()
        server.stop()
        for path in (server.home / "postgres").glob("*/base"):
            path.chmod(0o500)
        (server.home / "notes").write_text("mine")

        assert server.destroy() is True

        assert [path.name for path in server.home.iterdir()] == ["notes"]

    def test_a_folder_without_a_server_is_left_alone(self, folder: Path) -> None:
        (folder / "server.log").write_text("of another program")

        assert PrivateServer(folder).destroy() is False

        assert (folder / "server.log").read_text() == "of another program"


class TestProcess:
    def test_the_caller_can_wait_for_the_output_of_the_program_that_starts_the_server(
        self, stopped: PrivateServer
    ) -> None:
        """Else ``url=$(dbschema url)`` would wait until the server ends."""
        done = subprocess.run(
            [sys.executable, "-c", START, stopped.home],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )

        assert int(done.stdout) == stopped.address().port

    def test_the_server_outlives_the_group_and_the_session_of_its_starter(
        self, stopped: PrivateServer
    ) -> None:
        """Ctrl-C, the end of a terminal and the end of a make recipe all come as signals to the starter's group."""
        script = START + "; sys.stdout.flush(); import time; time.sleep(60)"
        starter = subprocess.Popen(
            [sys.executable, "-c", script, stopped.home], stdout=subprocess.PIPE, start_new_session=True
        )
        assert starter.stdout is not None
        with starter, starter.stdout:
            assert starter.stdout.readline()
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGKILL):
                os.killpg(starter.pid, number)
            starter.wait(60)

            status = stopped.status()

            assert status.running
            assert status.pid is not None
            assert os.getsid(status.pid) not in (starter.pid, os.getsid(0))
            assert stopped.start() == status.address

    def test_two_callers_at_once_get_the_same_server(self, make_server: MakeServer, folder: Path) -> None:
        server = make_server(fresh=True)
        callers = [
            subprocess.Popen(
                [sys.executable, "-c", START, server.home], stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            for _ in range(3)
        ]

        outputs = [caller.communicate(timeout=60) for caller in callers]

        assert [caller.returncode for caller in callers] == [0, 0, 0], outputs
        assert {int(out) for out, _ in outputs} == {server.address().port}

    def test_starts_and_stops_at_once_end_in_order(self, stopped: PrivateServer) -> None:
        stop = START.replace(".start().port", ".stop()")
        callers = [
            subprocess.Popen(
                [sys.executable, "-c", script, stopped.home],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            for script in (START, stop, START, stop)
        ]

        errors = [caller.communicate(timeout=60)[1].decode() for caller in callers]

        assert errors == [""] * 4
        assert stopped.start()


class TestPort:
    def test_a_port_that_another_program_took_is_exchanged_for_good(
        self, stopped: PrivateServer, ask: Ask
    ) -> None:
        first = stopped.start().port
        stopped.stop()

        with socket.create_server(("127.0.0.1", first)):
            second = stopped.start()
            assert second.port != first
            assert ask(second, "SHOW port") == str(second.port)
            stopped.stop()
        third = stopped.start()

        assert third.port == second.port

    def test_a_port_that_is_taken_at_the_last_moment_is_given_up(
        self, stopped: PrivateServer, ask: Ask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = stopped.start().port
        stopped.stop()
        monkeypatch.setattr("dbschema.tools.server.address.is_free", lambda port: True)

        with socket.create_server(("127.0.0.1", first)):
            second = stopped.start()

            assert second.port != first
            assert ask(second, "SELECT 1") == 1
