"""The archive: that it is there, whole, new enough, and what its hash stands for."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest
from dbschema_infra.archive import Archive
from dbschema_infra.errors import BadArchive
from synthesis import HANDLER, write_archive

if TYPE_CHECKING:
    from pathlib import Path

LINE = {"first": None, "second": "first"}


def test_the_head_is_that_of_the_revisions_inside(tmp_path: Path) -> None:
    archive = Archive.open(write_archive(tmp_path / "lambda.zip", LINE))

    assert archive.head_revision == "second"


def test_the_head_of_an_application_is_that_of_the_folder_that_its_function_is_told(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "lambda.zip", LINE)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("shop/migrations/versions/1.py", "revision = 'theirs'\ndown_revision = None\n")

    assert Archive.open(path, "shop/migrations/").head_revision == "theirs"
    assert Archive.open(path).head_revision == "second"
    with pytest.raises(
        BadArchive, match=r"no revisions in shop/elsewhere/versions\. .*DBSCHEMA_SCRIPT_LOCATION"
    ):
        Archive.open(path, "shop/elsewhere")


def test_the_hash_is_the_same_for_the_same_code_and_another_one_for_other_code(tmp_path: Path) -> None:
    one = Archive.open(write_archive(tmp_path / "one.zip", LINE))
    same = Archive.open(write_archive(tmp_path / "same.zip", LINE))
    other = Archive.open(write_archive(tmp_path / "other.zip", LINE, code=HANDLER + "\n"))

    assert one.code_hash == same.code_hash
    assert one.code_hash != other.code_hash
    assert one.head_revision == other.head_revision


def test_a_missing_archive_says_how_to_build_it(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match=r"lambda\.zip cannot be read: No such file .* make lambda\.$"):
        Archive.open(tmp_path / "lambda.zip")


def test_a_file_that_is_no_archive_says_how_to_build_one(tmp_path: Path) -> None:
    path = tmp_path / "lambda.zip"
    path.write_text("half a download")

    with pytest.raises(BadArchive, match=r"is no archive: .* make lambda\.$"):
        Archive.open(path)


@pytest.mark.parametrize(
    ("names", "missing"),
    [(["alembic/versions/1.py"], "has no lambda_entry.py"), (["lambda_entry.py"], "has no revisions")],
)
def test_an_archive_without_what_the_function_needs_is_refused(
    names: list[str], missing: str, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "lambda.zip", "w") as archive:
        for name in names:
            archive.writestr(name, "revision = 'a'\ndown_revision = None\n")

    with pytest.raises(BadArchive, match=missing):
        Archive.open(tmp_path / "lambda.zip")


def test_an_archive_that_is_older_than_the_revisions_is_refused(tmp_path: Path) -> None:
    """Else a release would be deployed, and report success, without the revision that it needs."""
    archive = Archive.open(write_archive(tmp_path / "lambda.zip", LINE))
    versions = tmp_path / "versions"
    versions.mkdir()
    (versions / "1.py").write_text("revision = 'third'\ndown_revision = None\n")

    with pytest.raises(BadArchive, match=r"ends at revision second, but .*versions at third"):
        archive.check_against(versions)


def test_an_archive_of_the_same_revisions_passes(tmp_path: Path) -> None:
    archive = Archive.open(write_archive(tmp_path / "lambda.zip", LINE))
    versions = tmp_path / "versions"
    versions.mkdir()
    (versions / "1.py").write_text("revision = 'second'\ndown_revision = None\n")

    archive.check_against(versions)

    assert archive.head_revision == "second"
