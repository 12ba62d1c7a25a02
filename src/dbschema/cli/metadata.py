"""The models that a database is compared with: those of this package, or an application's, which hold these too."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final

from dbschema.cli.ending import CallRefused

if TYPE_CHECKING:
    from sqlalchemy import MetaData

VARIABLE: Final = "DBSCHEMA_MODELS"
"""Names an application's."""


def load(models: str | None) -> MetaData:
    """The MetaData that `--models` names; its module is looked for in the current folder too.

    Raises:
        CallRefused: there is no such module, or nothing in it that would be a MetaData.
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
        raise CallRefused(
            f"The models {models!r} cannot be imported ({reason})",
            "Give --models a module that Python finds from here, such as shop.models",
        ) from error
    for candidate in (name,) if name else ("metadata", "Base"):
        found = getattr(module, candidate, None)
        found = getattr(found, "metadata", found)
        if isinstance(found, MetaData):
            return found
    what = f"{name!r} in {module_name}" if name else f"'metadata' or 'Base' in {module_name}"
    raise CallRefused(
        f"There is no MetaData and no base class of models under the name {what}",
        "Name it, as in --models shop.models:Base",
    )
