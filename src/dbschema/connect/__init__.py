"""Find the database, connect to it, and translate its errors.

Each name is imported on first use. Only `create_engine` imports SQLAlchemy; boto3 is imported only if AWS is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbschema.connect.address import Address
    from dbschema.connect.connection import OLDEST_SERVER, attach, open, opener, password  # noqa: A004  see its definition
    from dbschema.connect.data_api import DataApi
    from dbschema.connect.engine import create_engine
    from dbschema.connect.settings import ENVIRONMENT, FLAG, PRIVATE, Settings
    from dbschema.connect.sources import VARIABLES, behind_data_api, resolve, variable
    from dbschema.connect.translation import translate, translating

_HOMES = {
    "Address": "address",
    "DataApi": "data_api",
    "create_engine": "engine",
    **dict.fromkeys(("OLDEST_SERVER", "attach", "open", "opener", "password"), "connection"),
    **dict.fromkeys(("ENVIRONMENT", "FLAG", "PRIVATE", "Settings"), "settings"),
    **dict.fromkeys(("VARIABLES", "behind_data_api", "resolve", "variable"), "sources"),
    "translate": "translation",
    "translating": "translation",
}

__all__ = [
    "ENVIRONMENT",
    "FLAG",
    "OLDEST_SERVER",
    "PRIVATE",
    "VARIABLES",
    "Address",
    "DataApi",
    "Settings",
    "attach",
    "behind_data_api",
    "create_engine",
    "open",
    "opener",
    "password",
    "resolve",
    "translate",
    "translating",
    "variable",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
