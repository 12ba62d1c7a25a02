"""The user under whom PostgreSQL runs, and how its files are written."""

from __future__ import annotations

import os
import pwd
import re
from typing import TYPE_CHECKING

import pytest

from dbschema.errors import ServerError
from dbschema.tools.server import os_user as accounts
from dbschema.tools.server.errors import BadHome
from dbschema.tools.server.os_user import default_os_user, os_user_of, server_environment

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def own_folder(folder: Path) -> Path:
    """A folder of the server's user."""
    own = folder / "own"
    own.mkdir(mode=0o700)
    os.chown(own, default_os_user().uid, default_os_user().gid)
    return own


def test_root_becomes_another_user_and_nobody_else_does(own_folder: Path) -> None:
    account = default_os_user()

    account.run(["touch", own_folder / "made"])

    facts = (own_folder / "made").stat()
    assert account.uid != 0
    assert account.switch is (os.geteuid() == 0)
    assert (facts.st_uid, facts.st_gid) == (account.uid, account.gid)


def test_a_program_sees_neither_roots_groups_nor_our_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("PGDATA", "/elsewhere")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    account = default_os_user()

    shown = account.run(["env"]).stdout.decode()
    status = account.run(["cat", "/proc/self/status"]).stdout.decode()

    assert "hush" not in shown
    assert "PGDATA" not in shown
    assert "LC_ALL=C\n" in shown
    assert os.geteuid() != 0 or re.search(r"^Groups:\s*$", status, re.MULTILINE)


def test_what_the_libraries_need_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROJ_DATA", "/proj")

    assert server_environment({"MORE": "1"}).items() >= {"PROJ_DATA": "/proj", "MORE": "1"}.items()


def test_a_user_without_a_name_is_refused_as_postgresql_would() -> None:
    free = next(uid for uid in range(70_000, 80_000) if not has_name(uid))

    with pytest.raises(ServerError, match=str(free)):
        os_user_of(free)


def test_without_any_stand_in_root_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(accounts, "UNPRIVILEGED_USERS", ("no-such-user", "nor-this-one"))

    with pytest.raises(ServerError, match="no-such-user, nor-this-one"):
        default_os_user()


def test_a_file_is_written_whole_and_for_its_owner_only(own_folder: Path) -> None:
    path = own_folder / "a 'b' \"c\" $d"

    default_os_user().write(path, "first\n")
    default_os_user().write(path, b"\xff second")

    assert path.read_bytes() == b"\xff second"
    assert (path.stat().st_mode & 0o777, path.stat().st_uid) == (0o600, default_os_user().uid)
    assert [entry.name for entry in own_folder.iterdir()] == [path.name]


def test_a_write_that_is_refused_is_told(own_folder: Path) -> None:
    own_folder.chmod(0o500)

    with pytest.raises(BadHome, match="cannot write in") as caught:
        default_os_user().write(own_folder / "x", "text")

    assert caught.value.path == own_folder / "x"


def test_a_write_into_a_full_disk_is_told(own_folder: Path) -> None:
    (own_folder / "x.new").symlink_to("/dev/full")

    with pytest.raises(BadHome, match=r"not enough room .*No space left"):
        default_os_user().write(own_folder / "x", "text" * 10_000)


def test_a_rename_does_not_replace(own_folder: Path) -> None:
    account = default_os_user()
    account.make_folder(own_folder / "old")
    account.make_folder(own_folder / "new")

    with pytest.raises(ServerError):
        account.rename(own_folder / "old", own_folder / "new")

    assert sorted(path.name for path in own_folder.iterdir()) == ["new", "old"]


def test_a_tree_goes_also_when_it_is_read_only_and_a_missing_one_is_no_matter(own_folder: Path) -> None:
    account = default_os_user()
    account.make_folder(own_folder / "tree" / "below")
    (own_folder / "tree").chmod(0o500)

    account.remove_tree(own_folder / "tree")
    account.remove_tree(own_folder / "tree")

    assert list(own_folder.iterdir()) == []


def test_removing_a_link_leaves_what_it_names(own_folder: Path) -> None:
    (own_folder / "kept").mkdir()
    (own_folder / "link").symlink_to(own_folder / "kept")

    default_os_user().remove_tree(own_folder / "link")

    assert [path.name for path in own_folder.iterdir()] == ["kept"]


def test_a_program_that_does_not_end_is_told() -> None:
    with pytest.raises(ServerError, match=r"sleep did not end within 0 s"):
        default_os_user().run(["sleep", "10"], timeout=0.1)


def has_name(uid: int) -> bool:
    try:
        return bool(pwd.getpwuid(uid))
    except KeyError:
        return False
