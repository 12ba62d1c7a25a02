"""Where the revision scripts of this package are: at the top of a checkout, or inside an installed wheel."""

from __future__ import annotations

from pathlib import Path

from dbschema.errors import MigrationError

_HERE = Path(__file__).resolve().parent


def script_location() -> Path:
    """The folder with `env.py` and `versions/`, as Alembic's `script_location`.

    Raises:
        MigrationError: neither place has it.
    """
    installed = _HERE / "_alembic"
    checkout = _HERE.parents[2] / "alembic"
    for folder in (installed, checkout):
        if (folder / "env.py").is_file():
            return folder
    raise MigrationError(
        f"The revision scripts of dbschema are neither in {installed} nor in {checkout}",
        "Install the package from its wheel, or work in a complete checkout",
    )
