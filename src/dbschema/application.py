"""What an application names for the programs of this package: its models, which hold those of this package too."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dbschema.environment import Variable
from dbschema.errors import BadModels

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg
    from sqlalchemy import MetaData

VARIABLE: Final = Variable(
    "DBSCHEMA_MODELS",
    "The models of an application: a module, or the MetaData or base class in it after a colon.",
    reader="runs",
    default="those of dbschema",
    example="shop.models:Base",
)

KNOWN: Final = Path(__file__).with_name("models") / "catalog.json"
"""What the models of this package want of a database; written by `scripts/known_catalog.py`."""
_SOURCES: Final = ("models", "ddl", "identity", "types", "geography", "base", "naming", "mixins", "relations")


def named_models(environ: Mapping[str, str] | None = None) -> str | None:
    """What `VARIABLE` says; None where it says nothing."""
    return (os.environ if environ is None else environ).get(VARIABLE, "").strip() or None


def load_models(models: str | None) -> MetaData:
    """The MetaData that `models` names; its module is looked for in the current folder too. None: that of this package.

    Raises:
        BadModels: there is no such module, or nothing in it that would be a MetaData.
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
        raise BadModels(
            f"The models {models!r} cannot be imported ({reason})",
            f"Give --models or {VARIABLE} a module that Python finds from here, such as shop.models",
        ) from error
    for candidate in (name,) if name else ("metadata", "Base"):
        found = getattr(module, candidate, None)
        found = getattr(found, "metadata", found)
        if isinstance(found, MetaData):
            return found
    what = f"{name!r} in {module_name}" if name else f"'metadata' or 'Base' in {module_name}"
    raise BadModels(
        f"There is no MetaData and no base class of models under the name {what}",
        f"Name it, as in --models or {VARIABLE} shop.models:Base",
    )


def sources() -> list[Path]:
    """The files that decide what the models of this package want."""
    package = Path(__file__).parent
    return [
        path
        for name in _SOURCES
        for path in (
            (package / name).rglob("*.py") if (package / name).is_dir() else [package / f"{name}.py"]
        )
    ]


def is_known_to_hold(connection: psycopg.Connection) -> bool:
    """Whether a database has all that the models of this package want; False where only a comparison can tell."""
    from dbschema.catalog import known  # noqa: PLC0415  needed after an upgrade that did something

    return known.holds(connection, KNOWN, sources())
