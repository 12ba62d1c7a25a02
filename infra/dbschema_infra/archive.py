"""The archive of the migration function: that it is there and whole, which revision it brings, and its hash."""

from __future__ import annotations

import configparser
import hashlib
import posixpath
import re
import zipfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from dbschema_infra.errors import BadArchive
from dbschema_infra.revisions import head_of, head_of_folder

if TYPE_CHECKING:
    from pathlib import Path

ENTRY: Final = "lambda_entry.py"
"""The module at the top of the archive, with the functions `handler` and `is_complete`."""

_VERSIONS: Final = re.compile(r"(?:.*/)?_?alembic/versions/([^/]+\.py)")
_SEPARATORS: Final = {"newline": r"\n", "os": ":", "space": r"\s+", "comma": ","}
_PACK: Final = "Pack them, or correct DBSCHEMA_SCRIPT_LOCATION"
_BUILD: Final = "Build it with: make lambda"


@dataclass(frozen=True)
class Archive:
    """What the function will run.

    Args:
        path: the zip file.
        head_revision: the last revision in it, where a migration ends.
        code_hash: SHA-256 of the file, in hexadecimal. The build is repeatable byte for byte, so it changes exactly
            when the code does.
    """

    path: Path
    head_revision: str
    code_hash: str

    @classmethod
    def open(cls, path: Path, scripts: str | None = None) -> Archive:
        """Read an archive, without unpacking it.

        Args:
            path: the zip file.
            scripts: the folder in it with the revisions of an application, or that application's alembic.ini, which may name
                several (DBSCHEMA_SCRIPT_LOCATION); None: dbschema's own.

        Raises:
            BadArchive: it is not there, no zip file, not ours, or has no such folder.
            BadRevisions: the revisions of a folder have no head, or several.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BadArchive(f"The archive {path} cannot be read: {error.strerror}", _BUILD) from error
        try:
            with zipfile.ZipFile(path) as file:
                names = file.namelist()
                if ENTRY not in names:
                    raise BadArchive(f"The archive {path} has no {ENTRY}", _BUILD)
                heads = [head_of(_sources(file, path, *folder)) for folder in _folders(file, path, scripts)]
        except zipfile.BadZipFile as error:
            raise BadArchive(f"{path} is no archive: {error}", _BUILD) from error
        return cls(path, ", ".join(sorted(heads)), hashlib.sha256(content).hexdigest())

    def check_against(self, versions: Path) -> None:
        """Refuse an archive that was built before the last revision was written, or from another checkout.

        Args:
            versions: the folder of revisions beside which the app stands. One that does not exist is not asked.

        Raises:
            BadArchive: the heads differ.
        """
        if versions.is_dir() and (head := head_of_folder(versions)) != self.head_revision:
            raise BadArchive(
                f"The archive {self.path} ends at revision {self.head_revision}, but {versions} at {head}",
                _BUILD,
            )


def _folders(
    file: zipfile.ZipFile, path: Path, scripts: str | None
) -> list[tuple[str, re.Pattern[str], str]]:
    """The folders of revisions: in words, as a pattern of the files in it, and what to do where there are none."""
    if scripts is None:
        return [("…/alembic/versions", _VERSIONS, _BUILD)]
    name = scripts.strip("/")
    folders = [f"{name}/versions"]
    if name.endswith(".ini"):
        if name not in file.namelist():
            raise BadArchive(f"The archive {path} has no {name}", _PACK)
        folders = _version_locations(name, file.read(name).decode("utf-8"))
    return [(folder, re.compile(rf"{re.escape(folder)}/([^/]+\.py)"), _PACK) for folder in folders]


def _version_locations(name: str, text: str) -> list[str]:
    """The folders that an alembic.ini names, as they stand in the archive."""
    ini = configparser.ConfigParser({"here": str(PurePosixPath(name).parent)})
    ini.read_string(text, name)
    options = ini["alembic"] if ini.has_section("alembic") else {}
    separator = _SEPARATORS.get(options.get("path_separator", "").strip())
    locations = options.get("version_locations")
    if locations is None:
        locations = f"{options.get('script_location', '')}/versions"
    if separator is None:
        raise BadArchive(
            f"{name} does not say how its paths are separated",
            "Set path_separator = newline, os, space or comma",
        )
    parts = re.split(separator, locations.strip())
    return [_in_archive(part.strip()) for part in parts if part.strip()]


def _in_archive(location: str) -> str:
    """`package:folder` as the folder of that package."""
    package, colon, folder = location.partition(":")
    whole = f"{package.replace('.', '/')}/{folder}" if colon else location
    return posixpath.normpath(whole)


def _sources(
    file: zipfile.ZipFile, path: Path, folder: str, pattern: re.Pattern[str], step: str
) -> dict[str, str]:
    found = {
        match[1]: file.read(name).decode("utf-8")
        for name in file.namelist()
        if (match := pattern.fullmatch(name))
    }
    if not found:
        raise BadArchive(f"The archive {path} has no revisions in {folder}", step)
    return found
