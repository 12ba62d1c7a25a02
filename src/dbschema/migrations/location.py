"""Where the revision scripts of this package are: inside it, in a checkout through a link to the top of the repository."""

from __future__ import annotations

from pathlib import Path

from dbschema.errors import MigrationError

_HERE = Path(__file__).resolve().parent


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
