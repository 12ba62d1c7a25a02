"""Locate the revision scripts: those of an application if configured, otherwise those of this package.

The scripts of this package are inside the package; in a checkout, through a link to the top of the repository.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dbschema.environment import Variable
from dbschema.errors import MigrationError
from dbschema.migrations.errors import BrokenScripts

if TYPE_CHECKING:
    from collections.abc import Mapping


VARIABLE: Final = Variable(
    "DBSCHEMA_SCRIPT_LOCATION",
    "The revisions of an application: its `alembic.ini`, or a folder with `env.py` and `versions/`; in the function, in the archive.",
    reader="runs",
    default="those of dbschema",
    example="alembic.ini",
)


_HERE: Final = Path(__file__).resolve().parent


def from_environment(environ: Mapping[str, str] | None = None, *, root: str = "") -> Path | None:
    """Return the location that `VARIABLE` names; None if it is not set.

    Args:
        environ: the environment variables; None: those of the process.
        root: the base of a relative path; empty: the working directory.

    Raises:
        BrokenScripts: see `application`.
    """
    text = (os.environ if environ is None else environ).get(VARIABLE, "").strip()
    return application(Path(root, text)) if text else None


def application(location: Path) -> Path:
    """Check that `location` is an application's `alembic.ini` or a folder with `env.py`, and return it.

    Raises:
        BrokenScripts: it is neither.
    """
    if location.suffix == ".ini" and location.is_file():
        return location
    if (location / "env.py").is_file():
        return location
    raise BrokenScripts(location, "that is neither an alembic.ini nor a folder with env.py and versions/")


def script_folder(location: Path) -> Path | None:
    """Return the folder with `env.py`: `location` itself, or `script_location` of its ini file; None if not a plain path."""
    if not location.is_file():
        return location
    from configparser import ConfigParser, Error  # noqa: PLC0415  not needed for a folder

    parser = ConfigParser({"here": str(location.resolve().parent)})
    try:
        parser.read(location, encoding="utf-8")
        written = parser.get("alembic", "script_location")
    except Error:
        return None
    if ":" in written:  # a folder in an installed package, which the application must not write to
        return None
    return Path.cwd() / written


def script_location() -> Path:
    """Return the folder with `env.py` and `versions/` of this package.

    Raises:
        MigrationError: the folder does not exist.
    """
    folder = (_HERE / "_alembic").resolve()
    if not (folder / "env.py").is_file():
        raise MigrationError(
            f"The revision scripts of dbschema are not in {folder}",
            "Install the package from its wheel, or work in a complete checkout",
        )
    return folder
