"""Where the revision scripts are: an application's where it says so, else those of this package.

Those are inside of it, in a checkout through a link to the top of the repository."""

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
    """The scripts that `VARIABLE` names; None where it is empty.

    Args:
        environ: the variables; None: those of the process.
        root: where a relative path begins; empty: the working directory.

    Raises:
        BrokenScripts: as `application`.
    """
    text = (os.environ if environ is None else environ).get(VARIABLE, "").strip()
    return application(Path(root, text)) if text else None


def application(location: Path) -> Path:
    """`location`, which is an application's `alembic.ini`, or a folder with `env.py` and `versions/`.

    Raises:
        BrokenScripts: it is neither.
    """
    if location.suffix == ".ini" and location.is_file():
        return location
    if (location / "env.py").is_file():
        return location
    raise BrokenScripts(location, "that is neither an alembic.ini nor a folder with env.py and versions/")


def script_folder(location: Path) -> Path | None:
    """The folder with `env.py` of `location`, which `alembic.ini` names as `script_location`; None if it names none."""
    if not location.is_file():
        return location
    from configparser import ConfigParser, Error  # noqa: PLC0415  an upgrade by a folder does without

    parser = ConfigParser({"here": str(location.resolve().parent)})
    try:
        parser.read(location, encoding="utf-8")
        written = parser.get("alembic", "script_location")
    except Error:
        return None
    if ":" in written:  # a folder inside of an installed package, which is not the application's to write
        return None
    return Path.cwd() / written


def script_location() -> Path:
    """The folder with `env.py` and `versions/`, as Alembic's `script_location`.

    Raises:
        MigrationError: it is not there.
    """
    folder = (_HERE / "_alembic").resolve()
    if not (folder / "env.py").is_file():
        raise MigrationError(
            f"The revision scripts of dbschema are not in {folder}",
            "Install the package from its wheel, or work in a complete checkout",
        )
    return folder
