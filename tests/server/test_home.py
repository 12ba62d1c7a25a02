"""The home: which folder it is, and what is kept in it, for whom."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from dbschema.tools.server import PrivateServer, default_home
from dbschema.tools.server.errors import BadHome, NotOurs
from dbschema.tools.server.home import Home, State, new_password
from dbschema.tools.server.os_user import default_os_user

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBSCHEMA_HOME", raising=False)


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Let the system refuse what it refuses to a user, also where root runs the tests."""
    account, user, group = default_os_user(), os.geteuid(), os.getegid()
    if account.switch:
        os.setegid(account.gid)
        os.seteuid(account.uid)
    yield
    if account.switch:
        os.seteuid(user)
        os.setegid(group)


class TestDefault:
    @pytest.mark.parametrize("mark", ["alembic.ini", "pyproject.toml", ".git"])
    def test_it_stands_in_the_nearest_project_above(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, mark: str
    ) -> None:
        for project in (folder, folder / "outer" / "inner"):
            project.mkdir(parents=True, exist_ok=True)
            (project / mark).touch()
        below = folder / "outer" / "inner" / "src" / "deep"
        below.mkdir(parents=True)
        monkeypatch.chdir(below)

        assert default_home() == folder / "outer" / "inner" / ".dbschema"

    def test_the_setting_comes_first(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder)
        monkeypatch.setenv("HOME", str(folder / "user"))

        monkeypatch.setenv("DBSCHEMA_HOME", "relative/place")
        assert default_home() == folder / "relative" / "place"

        monkeypatch.setenv("DBSCHEMA_HOME", "~/place")
        assert default_home() == folder / "user" / "place"

        monkeypatch.setenv("DBSCHEMA_HOME", "")
        (folder / ".git").touch()
        assert default_home() == folder / ".dbschema"

    def test_without_a_project_it_stands_in_the_current_folder(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(folder)
        monkeypatch.setattr("dbschema.tools.server.home._PROJECT_MARKS", ("no such file anywhere",))

        assert default_home() == folder / ".dbschema"

    def test_a_current_folder_that_was_removed_is_told(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gone = folder / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()

        with pytest.raises(BadHome, match="does not exist any more"):
            default_home()


class TestReadOnly:
    def test_a_home_in_a_folder_that_cannot_be_written_is_told(
        self, folder: Path, unprivileged: None
    ) -> None:
        """The folder is read-only to the user who calls; where root runs the tests, that is the server's user."""
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(0o555)
        server = PrivateServer(folder / "home")

        with pytest.raises(BadHome, match=r"cannot write in .*DBSCHEMA_HOME") as caught:
            server.start()

        assert caught.value.path == folder / "home"
        assert not server.status().running
        assert not server.home.exists()

    def test_a_running_server_is_found_in_a_home_that_has_become_read_only(
        self, running: PrivateServer
    ) -> None:
        address = running.address()
        running.home.chmod(0o500)

        try:
            assert running.start() == address
            assert running.status().address == address
        finally:
            running.home.chmod(0o755)


class TestState:
    def test_what_is_written_is_read(self, folder: Path) -> None:
        state = State(20001, "/store", "/bin", "15.1")

        Home(folder).write_state(state)

        assert Home(folder).read_state() == state

    @pytest.mark.parametrize(
        "text",
        ["", "{", "[]", '"x"', '{"port": "x", "store": 3}', '{"port": 70000}', "\udcff", '{"port": true}'],
    )
    def test_a_damaged_file_is_as_good_as_none(self, folder: Path, text: str) -> None:
        Home(folder).state_file.write_text(text, errors="surrogateescape")

        assert Home(folder).read_state() == State()

    def test_a_damaged_file_does_not_keep_the_server_from_its_work(self, stopped: PrivateServer) -> None:
        first = stopped.start()
        (stopped.home / "server.json").write_text("{")

        assert stopped.start() == first
        assert stopped.stop()
        assert stopped.start() == first


class TestPassword:
    def test_a_password_needs_no_escape_and_is_never_the_same(self) -> None:
        passwords = {new_password() for _ in range(100)}

        assert len(passwords) == 100
        assert all(password.replace("-", "").replace("_", "").isalnum() for password in passwords)
        assert min(map(len, passwords)) == 32

    def test_it_is_kept_for_nobody_but_the_caller(self, folder: Path) -> None:
        home = Home(folder)

        home.write_password("first")
        home.password_file.chmod(0o644)
        home.write_password("second")

        assert home.read_password() == "second"
        assert home.password_file.stat().st_mode & 0o777 == 0o600
        assert [path.name for path in folder.iterdir()] == ["server.password"]

    def test_the_password_of_another_user_is_told(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*args: object, **settings: object) -> str:
            raise PermissionError

        home = Home(folder)
        home.write_password("first")
        monkeypatch.setattr("pathlib.Path.read_text", refuse)

        with pytest.raises(NotOurs, match="belongs to the user"):
            home.read_password()


class TestLog:
    def test_a_log_that_has_grown_long_is_put_aside_once(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("dbschema.tools.server.home._LOG_BYTES", 10)
        home = Home(folder)

        for number in range(3):
            descriptor = home.open_log()
            os.write(descriptor, f"the long line number {number}".encode())
            os.close(descriptor)

        assert home.log.read_text() == "the long line number 2"
        assert (folder / "server.log.1").read_text() == "the long line number 1"

    def test_a_short_log_grows_on(self, folder: Path) -> None:
        home = Home(folder)

        for text in (b"one ", b"two"):
            descriptor = home.open_log()
            os.write(descriptor, text)
            os.close(descriptor)

        assert home.log.read_bytes() == b"one two"
