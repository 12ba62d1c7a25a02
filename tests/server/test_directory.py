"""The store stands in the home, or where the server's user can enter, and is found again after moves."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dbschema.tools.server import directory as stores
from dbschema.tools.server.directory import (
    MARKER,
    ClusterDirectory,
    find_cluster_directory,
    make_cluster_directory,
)
from dbschema.tools.server.errors import BadHome
from dbschema.tools.server.os_user import OsUser, default_os_user

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dbschema.tools.server import Address, PrivateServer

    Ask = Callable[[Address, str], object]
    MakeServer = Callable[..., PrivateServer]


@pytest.fixture
def closed_home(folder: Path) -> Path:
    """A home below a folder that is closed to all but its owner, as /root is."""
    home = folder / "closed" / "project" / ".dbschema"
    home.mkdir(parents=True)
    (folder / "closed").chmod(0o700)
    return home


@pytest.fixture
def made_elsewhere(elsewhere: Path) -> Callable[[Path], ClusterDirectory]:
    """Makes the store of a home elsewhere, as `make_cluster_directory` does when root calls."""

    def make(home: Path) -> ClusterDirectory:
        elsewhere.mkdir(exist_ok=True)
        home.mkdir(parents=True, exist_ok=True)
        return stores._make(elsewhere / stores._name_elsewhere(home), home, default_os_user())

    return make


def test_a_store_stands_in_its_home(folder: Path) -> None:
    assert find_cluster_directory(folder, None) is None

    made = make_cluster_directory(folder)

    facts = made.folder.stat()
    assert made == ClusterDirectory(folder / "postgres", default_os_user())
    assert find_cluster_directory(folder, None) == made
    assert (facts.st_mode & 0o777, facts.st_uid) == (0o700, default_os_user().uid)
    assert [path.name for path in made.folder.iterdir()] == [MARKER]


def test_the_store_of_roots_server_stands_elsewhere_where_its_user_cannot_enter_the_home(
    closed_home: Path, elsewhere: Path
) -> None:
    before = closed_home.stat()

    made = make_cluster_directory(closed_home)

    if default_os_user().switch:
        assert made.folder.parent == elsewhere
        assert made.folder.name.startswith("project-")
        assert list(closed_home.iterdir()) == []
        assert elsewhere.stat().st_mode & 0o777 == 0o755
    else:
        assert made.folder == closed_home / "postgres"
    assert find_cluster_directory(closed_home, None) == made
    assert (closed_home.stat().st_mode, closed_home.stat().st_uid) == (before.st_mode, before.st_uid)


def test_a_server_in_a_closed_home_runs_and_goes_with_all_that_it_made(
    closed_home: Path, elsewhere: Path, make_server: MakeServer, ask: Ask
) -> None:
    server = make_server(closed_home, fresh=True)

    address = server.start()

    assert ask(address, "SELECT 1") == 1
    assert server.stop()
    assert server.start() == address
    assert server.destroy()
    assert not closed_home.exists()
    assert not elsewhere.exists()


def test_a_store_elsewhere_is_found_though_the_note_of_its_place_is_lost(
    folder: Path, made_elsewhere: Callable[[Path], ClusterDirectory]
) -> None:
    made = made_elsewhere(folder / "home")

    assert find_cluster_directory(folder / "home", None) == made


def test_a_store_elsewhere_follows_a_project_that_moves(
    folder: Path, made_elsewhere: Callable[[Path], ClusterDirectory]
) -> None:
    made = made_elsewhere(folder / "home")
    moved = (folder / "home").rename(folder / "moved")

    assert find_cluster_directory(moved, None) is None
    assert find_cluster_directory(moved, str(made.folder)) == made

    assert (made.folder / MARKER).read_bytes() == os.fsencode(moved) + b"\n"


def test_a_copy_of_a_project_does_not_take_the_originals_store(
    folder: Path, made_elsewhere: Callable[[Path], ClusterDirectory]
) -> None:
    made = made_elsewhere(folder / "home")
    copied = folder / "copied"
    shutil.copytree(folder / "home", copied)

    assert find_cluster_directory(copied, str(made.folder)) is None
    other = made_elsewhere(copied)

    assert other.folder != made.folder
    assert find_cluster_directory(copied, str(made.folder)) == other
    assert find_cluster_directory(folder / "home", str(made.folder)) == made


def test_a_note_that_names_any_other_place_is_not_believed(folder: Path) -> None:
    (folder / "other").mkdir()
    other = make_cluster_directory(folder / "other")

    assert find_cluster_directory(folder / "home", str(other.folder)) is None
    assert find_cluster_directory(folder / "home", "/etc") is None


def test_when_there_is_no_place_at_all_the_reason_is_told(
    folder: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere.write_text("a file")
    account = replace(default_os_user(), switch=True)
    monkeypatch.setattr(stores, "default_os_user", lambda: account)
    monkeypatch.setattr(OsUser, "can_enter", lambda self, folder: False)

    with pytest.raises(BadHome, match=r"cannot write in .*cannot enter") as caught:
        make_cluster_directory(folder)

    assert caught.value.path == folder


def test_a_place_elsewhere_that_others_could_exchange_is_not_used(elsewhere: Path) -> None:
    elsewhere.mkdir()
    elsewhere.chmod(0o777)

    with pytest.raises(PermissionError):
        stores._make_base(elsewhere)


def test_a_store_that_cannot_be_finished_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: OsUser, path: Path, content: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(OsUser, "write", refuse)

    with pytest.raises(KeyboardInterrupt):
        make_cluster_directory(folder)

    assert list(folder.iterdir()) == []
