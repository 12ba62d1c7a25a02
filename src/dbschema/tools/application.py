"""What an application names for the programs of this package: its models, which hold those of this package too."""

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
    """What `VARIABLE` says; None where it says nothing."""
    return (os.environ if environ is None else environ).get(VARIABLE, "").strip() or None


def load_models(models: str | None) -> MetaData:
    """The MetaData that `models` names; its module is looked for in the current folder too. None: that of this package.

    Raises:
        BadSetting: there is no such module, or nothing in it that would be a MetaData.
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
    except Exception as error:  # whatever the application's module raises
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise BadSetting(
            VARIABLE,
            f"cannot be imported ({reason})",
            f"Give --models or {VARIABLE} a module that Python finds from here, such as shop.models",
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
    """The files that decide what the models of this package want."""
    package = Path(__file__).parents[1]
    return [
        path
        for name in _SOURCES
        for path in ((package / name).rglob("*.py") if (package / name).is_dir() else [package / name])
    ]


def is_known_to_hold(connection: psycopg.Connection) -> bool:
    """Whether a database has all that the models of this package want; False where only a comparison can tell."""
    from dbschema.catalog import snapshot  # noqa: PLC0415  needed after an upgrade that did something
    from dbschema.migrations import compiled  # noqa: PLC0415  as above
    from dbschema.migrations.location import script_location  # noqa: PLC0415  as above

    stored = compiled.read_snapshot(script_location())
    if stored is None or stored.sources != snapshot.digest_of_files(sources()):
        return False
    found = stored.load()
    return found is not None and snapshot.differences(connection, found) == ()


def load_snapshot(scripts: Path | None, metadata: MetaData) -> Snapshot | None:
    """The snapshot beside the revisions, if it is that of `metadata`.

    Args:
        scripts: as `dbschema.migrations.scripts.application` returns it; None: those of this package.
        metadata: the models.
    """
    from dbschema.catalog import snapshot  # noqa: PLC0415  imports SQLAlchemy here
    from dbschema.migrations import compiled  # noqa: PLC0415  as above
    from dbschema.migrations.location import script_location  # noqa: PLC0415  as above

    stored = compiled.read_snapshot(script_location() if scripts is None else scripts)
    if stored is None or stored.models != snapshot.digest_of_models(metadata):
        return None
    return stored.load()
