"""What a comparison with the models has found, as a call tells it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from dbschema.tools.application import load_models

if TYPE_CHECKING:
    from collections.abc import Sequence

log: Final = logging.getLogger("dbschema.tools.deploy")


def after_upgrade(models: str | None, connection: Any) -> Sequence[Any]:
    """Compare with the models. The upgrade is done by now: what goes wrong here must not make it look failed."""
    from dbschema import catalog  # noqa: PLC0415  needed after an upgrade that did something

    try:
        found = catalog.check(connection, load_models(models))
    except Exception as error:
        log.warning("The database was not compared with the models: %s", type(error).__name__)
        return ()
    for difference in found:
        log.warning("The database differs from the models: %s", difference)
    return found


def difference(difference: Any) -> dict[str, Any]:
    """A difference for programs, without its values, which may be long."""
    identity = difference.identity
    return {
        "kind": identity.kind,
        "table": identity.table or None,
        "name": identity.name,
        "change": difference.change,
        "attribute": difference.attribute,
    }
