"""The archive of the migration function: that it is there and whole, which revision it brings, and its hash."""

from __future__ import annotations

import hashlib
import re
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dbschema_infra.errors import BadArchive
from dbschema_infra.revisions import head_of, head_of_folder

if TYPE_CHECKING:
    from pathlib import Path

ENTRY: Final = "lambda_entry.py"
"""The module at the top of the archive, with the functions `handler` and `is_complete`."""

_VERSIONS: Final = re.compile(r"(?:.*/)?_?alembic/versions/([^/]+\.py)")
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
            scripts: the folder in it with the revisions of an application (DBSCHEMA_SCRIPT_LOCATION); None: dbschema's own.

        Raises:
            BadArchive: it is not there, no zip file, not ours, or has no such folder.
            BadRevisions: its revisions have no head, or several.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BadArchive(f"The archive {path} cannot be read: {error.strerror}", _BUILD) from error
        versions = _VERSIONS
        if scripts is not None:
            versions = re.compile(rf"{re.escape(scripts.strip('/'))}/versions/([^/]+\.py)")
        try:
            with zipfile.ZipFile(path) as file:
                names = file.namelist()
                sources = {
                    found[1]: file.read(name).decode("utf-8")
                    for name in names
                    if (found := versions.fullmatch(name))
                }
        except zipfile.BadZipFile as error:
            raise BadArchive(f"{path} is no archive: {error}", _BUILD) from error
        if ENTRY not in names:
            raise BadArchive(f"The archive {path} has no {ENTRY}", _BUILD)
        if not sources:
            folder, step = "…/alembic", _BUILD
            if scripts is not None:
                folder, step = scripts, "Pack them, or correct DBSCHEMA_SCRIPT_LOCATION"
            raise BadArchive(f"The archive {path} has no revisions in {folder}/versions", step)
        return cls(path, head_of(sources), hashlib.sha256(content).hexdigest())

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
