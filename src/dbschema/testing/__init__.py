"""Test support for applications that import the models: a migrated database in milliseconds, tenants, factories, assertions.

pytest loads the fixtures automatically from the plugin `dbschema.testing.plugin`. The revision tests are imported:
`from dbschema.testing.tests import *`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbschema.testing.factory import Factory
    from dbschema.testing.isolation import assert_isolated
    from dbschema.testing.plans import assert_uses_index

_HOMES = {"Factory": "factory", "assert_isolated": "isolation", "assert_uses_index": "plans"}

__all__ = ["Factory", "assert_isolated", "assert_uses_index"]


def __getattr__(name: str) -> object:
    # pytest imports the plugin, and so this package, in every run; a slow module is imported on first use.
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'dbschema.testing' has no attribute {name!r}")
    value: object = getattr(import_module(f"dbschema.testing.{home}"), name)
    return value
