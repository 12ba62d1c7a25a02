"""What to install is said in the words of the system at hand."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING

import pytest

from dbschema.tools.server.binaries import how_to_install, this_system

if TYPE_CHECKING:
    from pathlib import Path

    from dbschema.tools.server.binaries import System


def read_from(monkeypatch: pytest.MonkeyPatch, *files: Path) -> None:
    """Let the standard library read one of these files, whatever the system."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "_os_release_candidates", tuple(map(str, files)))
    monkeypatch.setattr(platform, "_os_release_cache", None)


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
def test_the_family_of_a_linux_system_is_read_from_its_release_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, os_release: str, system: System
) -> None:
    (folder / "os-release").write_text(os_release)
    read_from(monkeypatch, folder / "none", folder / "os-release")

    assert this_system() == system


def test_other_systems_need_no_release_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_from(monkeypatch, folder / "none")
    assert this_system() == "other"

    monkeypatch.setattr(sys, "platform", "darwin")
    assert this_system() == "macos"


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
