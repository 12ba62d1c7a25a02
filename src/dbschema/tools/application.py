"""Load the models of an application, which include those of this package, and the snapshot beside its revisions."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dbschema.environment import Variable
from dbschema.errors import BadSetting

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg
    from sqlalchemy import MetaData

    from dbschema.catalog.snapshot import Snapshot

VARIABLE: Final = Variable(
    "DBSCHEMA_MODELS",
    "The models of an application: a module, or the MetaData or base class in it after a colon.",
    reader="runs",
    default="those of dbschema",
    example="shop.models:Base",
)

_SOURCES: Final = ("models", "ddl", "orm", "sql.py", "_sqlalchemy.py")


def named_models(environ: Mapping[str, str] | None = None) -> str | None:
    """Return the value of `VARIABLE`; None if it is unset or blank."""
    return (os.environ if environ is None else environ).get(VARIABLE, "").strip() or None


def load_models(models: str | None) -> MetaData:
    """Return the MetaData that `models` names.

    Args:
        models: a module, which can be in the current folder, with an optional name in it after a colon;
            None: the models of this package.

    Raises:
        BadSetting: the module cannot be imported, or it has no MetaData under the name.
    """
    if models is None:
        from dbschema.models import metadata  # noqa: PLC0415  imports SQLAlchemy

        return metadata
    from sqlalchemy import MetaData  # noqa: PLC0415  as above

    module_name, _, name = models.partition(":")
    if (here := os.getcwd()) not in sys.path:  # noqa: PTH109  an entry of sys.path is text
        sys.path.insert(0, here)
    try:
        module = import_module(module_name)
    except Exception as error:  # the application's module can raise anything
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise BadSetting(
            VARIABLE,
            f"cannot be imported ({reason})",
            f"Set --models or {VARIABLE} to a module that Python can import from here, such as shop.models",
            subject=f"The models {models!r}",
        ) from error
    for candidate in (name,) if name else ("metadata", "Base"):
        found = getattr(module, candidate, None)
        found = getattr(found, "metadata", found)
        if isinstance(found, MetaData):
            return found
    where = f"{name!r} in {module_name}" if name else f"'metadata' or 'Base' in {module_name}"
    raise BadSetting(
        VARIABLE,
        f"under the name {where}",
        f"Name it, as in --models or {VARIABLE} shop.models:Base",
        subject="There is no MetaData and no base class of models",
    )


def sources() -> list[Path]:
    """Return the source files that determine the expected catalog of this package's models."""
    package = Path(__file__).parents[1]
    return [
        path
        for name in _SOURCES
        for path in ((package / name).rglob("*.py") if (package / name).is_dir() else [package / name])
    ]


def is_known_to_hold(connection: psycopg.Connection) -> bool:
    """Return whether a database equals the stored snapshot of this package's models.

    False is no proof of a difference: the snapshot can be missing or outdated. Then only a comparison shows it.
    """
    from dbschema.catalog import snapshot  # noqa: PLC0415  used only after an upgrade with steps
    from dbschema.migrations import compiled  # noqa: PLC0415  as above
    from dbschema.migrations.location import script_location  # noqa: PLC0415  as above

    stored = compiled.read_snapshot(script_location())
    if stored is None or stored.sources != snapshot.digest_of_files(sources()):
        return False
    found = stored.load()
    return found is not None and snapshot.differences(connection, found) == ()


def load_snapshot(scripts: Path | None, metadata: MetaData) -> Snapshot | None:
    """Return the snapshot beside the revisions if it belongs to `metadata`, else None.

    Args:
        scripts: the location from `dbschema.migrations.location.application`; None: the revisions of this package.
        metadata: the models.
    """
    from dbschema.catalog import snapshot  # noqa: PLC0415  imports SQLAlchemy here
    from dbschema.migrations import compiled  # noqa: PLC0415  as above
    from dbschema.migrations.location import script_location  # noqa: PLC0415  as above

    stored = compiled.read_snapshot(script_location() if scripts is None else scripts)
    if stored is None or stored.models != snapshot.digest_of_models(metadata):
        return None
    return stored.load()
