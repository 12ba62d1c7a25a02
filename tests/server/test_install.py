"""What to install is said in the words of the system at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dbschema.server.install import how_to_install, this_system

if TYPE_CHECKING:
    from pathlib import Path

    from dbschema.server.install import System


@pytest.mark.parametrize(
    ("os_release", "system"),
    [
        ("ID=debian\nVERSION_ID=12\n", "debian"),
        ('NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n', "debian"),
        ("ID=linuxmint\nID_LIKE='ubuntu debian'\n", "debian"),
        ("ID=fedora\n", "fedora"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "fedora"),
        ("ID=arch\n", "other"),
        ("", "other"),
    ],
)
def test_the_family_of_a_linux_system_is_read_from_its_own_words(
    folder: Path, os_release: str, system: System
) -> None:
    (folder / "os-release").write_text(os_release)

    assert this_system(folder / "os-release", "linux") == system


def test_other_systems_are_known_without_such_a_file(folder: Path) -> None:
    assert this_system(folder / "none", "darwin") == "macos"
    assert this_system(folder / "none", "linux") == "other"


@pytest.mark.parametrize(
    ("major", "system", "words"),
    [
        (None, "debian", "apt-get install postgresql postgresql-postgis"),
        (15, "debian", "apt-get install postgresql-15 postgresql-15-postgis-3"),
        (None, "fedora", "dnf install postgresql-server"),
        (17, "fedora", "postgresql17-server"),
        (None, "macos", "brew install postgresql@"),
        (16, "macos", "brew install postgresql@16 postgis"),
    ],
)
def test_the_packages_are_named(major: int | None, system: System, words: str) -> None:
    text = how_to_install(major, system)

    assert words in text
    assert "\n" not in text
    assert not text.endswith(".")


def test_an_unknown_system_gets_the_words_of_all() -> None:
    text = how_to_install(16, "other")

    assert all(word in text for word in ("apt-get", "dnf", "brew"))
