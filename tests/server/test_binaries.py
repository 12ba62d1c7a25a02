"""Which PostgreSQL serves, and what is said where none will do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dbschema.tools.server import Binaries, binaries, find_binaries
from dbschema.tools.server.binaries import candidate_folders, choose, inspect
from dbschema.tools.server.errors import OtherMajor, PostgresMissing

if TYPE_CHECKING:
    from collections.abc import Callable

    WriteProgram = Callable[[Path, str], None]
    MakeFake = Callable[..., Path]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBSCHEMA_PG_BIN", raising=False)


@pytest.fixture
def make_fake(folder: Path, write_program: WriteProgram) -> MakeFake:
    """Makes the folder of a server of any version, with or without PostGIS, with or without its pg_config."""

    def make(name: str, version: str, *, postgis: bool = True, config: bool = True) -> Path:
        bin_dir = folder / name / "bin"
        share = folder / name / ("share-of-its-own" if config else "share")
        bin_dir.mkdir(parents=True)
        write_program(bin_dir / "initdb", "exit 0")
        write_program(bin_dir / "postgres", f'echo "postgres (PostgreSQL) {version} (Fake {version}-1)"')
        if config:
            write_program(
                bin_dir / "pg_config", f'[ "$1" = --sharedir ] && echo "{share}" || echo "{bin_dir}"'
            )
        (share / "extension").mkdir(parents=True)
        if postgis:
            (share / "extension" / "postgis.control").touch()
        return bin_dir

    return make


def one(version: str, *, postgis: bool = True) -> Binaries:
    major, _, minor = version.partition(".")
    return Binaries(Path(f"/pg/{version}"), version, int(major), int(minor or 0), postgis)


class TestChoice:
    def test_the_newest_with_postgis_serves(self) -> None:
        found = [one("16.4"), one("15.20"), one("17.9"), one("17.10"), one("18.1", postgis=False)]

        assert choose(found) == one("17.10")

    def test_of_equals_the_first_found_serves(self) -> None:
        first, second = one("17.1"), Binaries(Path("/other"), "17.1", 17, 1, True)

        assert choose([first, second]) == first
        assert choose([second, first]) == second

    def test_data_get_the_version_that_wrote_them(self) -> None:
        assert choose([one("17.1"), one("15.2")], major=15) == one("15.2")

    def test_data_of_a_version_that_is_not_installed_are_named(self) -> None:
        with pytest.raises(OtherMajor, match=r"/data belong to PostgreSQL 14.*of version 15, 17") as caught:
            choose([one("17.1"), one("15.2"), one("15.3")], major=14, data=Path("/data"))

        assert (caught.value.major, caught.value.installed) == (14, (15, 17))

    def test_nothing_at_all_is_told_with_what_to_install(self) -> None:
        with pytest.raises(PostgresMissing, match=r"No PostgreSQL server was found.*DBSCHEMA_PG_BIN"):
            choose([])

    def test_what_is_too_old_is_told_with_the_newest_there_is(self) -> None:
        with pytest.raises(PostgresMissing, match=r"14\.9 .*older than 15") as caught:
            choose([one("13.1"), one("14.9")])

        assert caught.value.bin_dir == one("14.9").bin_dir

    def test_a_missing_postgis_is_told_for_the_newest_that_would_do(self) -> None:
        with pytest.raises(PostgresMissing, match=r"17\.1 in /pg/17\.1 has no PostGIS") as caught:
            choose([one("15.1", postgis=False), one("17.1", postgis=False), one("14.1")])

        assert caught.value.bin_dir == one("17.1").bin_dir


class TestInspection:
    @pytest.mark.parametrize("config", [True, False])
    @pytest.mark.parametrize("postgis", [True, False])
    def test_version_and_postgis_are_read_with_and_without_pg_config(
        self, make_fake: MakeFake, postgis: bool, config: bool
    ) -> None:
        # Without pg_config the folder of the distribution is asked too: this version has none on any machine.
        bin_dir = make_fake("pg", "97.3", postgis=postgis, config=config)

        assert inspect(bin_dir) == Binaries(bin_dir, "97.3", 97, 3, postgis)

    @pytest.mark.parametrize(("text", "major"), [("18devel", 18), ("19beta2", 19), ("18rc1", 18)])
    def test_unreleased_versions_have_a_major_number_too(
        self, make_fake: MakeFake, text: str, major: int
    ) -> None:
        found = inspect(make_fake("pg", text))

        assert found is not None
        assert (found.version, found.major, found.minor) == (text, major, 0)

    def test_a_folder_without_a_server_is_no_candidate(self, make_fake: MakeFake, folder: Path) -> None:
        client_only = make_fake("client", "17.1")
        (client_only / "initdb").unlink()

        assert inspect(client_only) is None
        assert inspect(folder / "nowhere") is None

    def test_a_program_that_fails_or_says_nonsense_is_no_candidate(
        self, make_fake: MakeFake, write_program: WriteProgram
    ) -> None:
        bin_dir = make_fake("pg", "17.1")

        for script in ("exit 1", "echo hello", "kill -9 $$"):
            write_program(bin_dir / "postgres", script)
            assert inspect(bin_dir) is None

    def test_a_program_that_hangs_is_no_candidate(
        self, make_fake: MakeFake, write_program: WriteProgram, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(binaries, "_SECONDS", 0.1)
        bin_dir = make_fake("pg", "17.1")
        write_program(bin_dir / "postgres", "exec sleep 5")

        assert inspect(bin_dir) is None


class TestSearch:
    def test_this_machine_has_one_that_serves(self) -> None:
        found = find_binaries()

        assert found.major >= 15
        assert found.postgis
        assert (found.bin_dir / "postgres").exists()

    def test_pg_config_and_the_search_path_are_asked(
        self, make_fake: MakeFake, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked, listed = make_fake("asked", "17.1"), make_fake("listed", "16.1")
        links = folder / "links"
        links.mkdir()
        (links / "pg_config").symlink_to(asked / "pg_config")
        (links / "initdb").symlink_to(listed / "initdb")
        monkeypatch.setenv("PATH", f"{links}:{os.environ['PATH']}")

        candidates = candidate_folders()

        assert candidates[:2] == [asked, listed]
        assert len(candidates) == len(set(candidates))

    def test_a_search_path_with_folders_closed_to_us_does_not_matter(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "file").touch()
        monkeypatch.setenv("PATH", f"{folder / 'file'}:{folder / 'none'}::relative:{os.environ['PATH']}")

        assert find_binaries().postgis

    def test_the_places_of_the_distributions_are_searched(
        self, make_fake: MakeFake, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        newest, other = make_fake("pgsql-98", "98.1"), make_fake("pgsql-97", "97.1")
        monkeypatch.setattr(
            binaries, "_USUAL_PLACES", ((str(folder), "pgsql-*/bin"), ("/no/such/place", "*/bin"))
        )

        assert {newest, other} <= set(candidate_folders())
        assert find_binaries().bin_dir == newest


class TestSetting:
    def test_it_comes_before_everything_that_is_newer(
        self, make_fake: MakeFake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bin_dir = make_fake("chosen", "15.0")
        monkeypatch.setenv("DBSCHEMA_PG_BIN", str(bin_dir))

        assert find_binaries() == Binaries(bin_dir, "15.0", 15, 0, True)

    @pytest.mark.parametrize(
        ("break_it", "reason"),
        [
            (lambda bin_dir: bin_dir.rename(bin_dir.with_name("gone")), "there is no folder"),
            (lambda bin_dir: (bin_dir / "initdb").unlink(), "'initdb'"),
            (lambda bin_dir: (bin_dir / "postgres").unlink(), "'postgres'"),
            (lambda bin_dir: (bin_dir / "postgres").write_text("#!/bin/sh\n"), "prints no version"),
        ],
    )
    def test_a_folder_without_a_server_is_told(
        self,
        make_fake: MakeFake,
        monkeypatch: pytest.MonkeyPatch,
        break_it: Callable[[Path], object],
        reason: str,
    ) -> None:
        bin_dir = make_fake("chosen", "17.0")
        break_it(bin_dir)
        monkeypatch.setenv("DBSCHEMA_PG_BIN", str(bin_dir))

        with pytest.raises(PostgresMissing, match=reason) as caught:
            find_binaries()

        assert caught.value.bin_dir == bin_dir

    def test_a_server_that_will_not_do_is_told_and_no_other_taken(
        self, make_fake: MakeFake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DBSCHEMA_PG_BIN", str(make_fake("old", "14.1")))
        with pytest.raises(PostgresMissing, match="is older than"):
            find_binaries()

        monkeypatch.setenv("DBSCHEMA_PG_BIN", str(make_fake("bare", "17.1", postgis=False)))
        with pytest.raises(PostgresMissing, match="has no PostGIS"):
            find_binaries()

        monkeypatch.setenv("DBSCHEMA_PG_BIN", str(make_fake("newer", "17.1")))
        with pytest.raises(OtherMajor):
            find_binaries(major=15, data=Path("/data"))
