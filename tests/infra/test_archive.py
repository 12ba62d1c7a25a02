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


INI = """[alembic]
script_location = %(here)s/migrations
version_locations =
    dbschema.migrations:_alembic/versions
    %(here)s/migrations/versions
path_separator = newline
file_template = %%(slug)s
"""


def with_two_lines(path: Path, ini: str = INI) -> Path:
    write_archive(path, LINE)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("shop/alembic.ini", ini)
        archive.writestr(
            "shop/migrations/versions/1.py",
            "revision = 'theirs'\ndown_revision = None\ndepends_on = 'second'\n",
        )
    return path


def test_the_heads_of_an_application_are_those_of_all_folders_that_its_ini_file_names(tmp_path: Path) -> None:
    archive = Archive.open(with_two_lines(tmp_path / "lambda.zip"), "shop/alembic.ini")

    assert archive.head_revision == "second, theirs"


@pytest.mark.parametrize(
    ("ini", "head"),
    [
        ("[alembic]\nscript_location = %(here)s/migrations\npath_separator = os\n", "theirs"),
        ("[alembic]\nversion_locations = shop/migrations/versions\npath_separator = os\n", "theirs"),
        (
            "[alembic]\nversion_locations = shop/migrations/versions:dbschema/migrations/_alembic/versions\npath_separator = os\n",
            "second, theirs",
        ),
        (
            "[alembic]\nversion_locations = %(here)s/./migrations/versions, dbschema.migrations:_alembic/versions\npath_separator = comma\n",
            "second, theirs",
        ),
    ],
)
def test_an_ini_file_is_read_as_alembic_does(tmp_path: Path, ini: str, head: str) -> None:
    assert (
        Archive.open(with_two_lines(tmp_path / "lambda.zip", ini), "shop/alembic.ini").head_revision == head
    )


@pytest.mark.parametrize(
    ("scripts", "ini", "said"),
    [
        ("elsewhere/alembic.ini", INI, "has no elsewhere/alembic.ini"),
        ("shop/alembic.ini", INI.replace("path_separator = newline\n", ""), "path_separator"),
        ("shop/alembic.ini", INI.replace("migrations/versions", "other"), "has no revisions in shop/other"),
    ],
)
def test_an_ini_file_that_leads_nowhere_is_told(tmp_path: Path, scripts: str, ini: str, said: str) -> None:
    path = with_two_lines(tmp_path / "lambda.zip", ini)

    with pytest.raises(BadArchive, match=said):
        Archive.open(path, scripts)


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
