"""Where the database is, how it is reached, and what its refusals mean."""

from __future__ import annotations

from dbschema.connect.engine import OLDEST_SERVER, create_engine
from dbschema.connect.opening import attach, password
from dbschema.connect.settings import ENVIRONMENT, FLAG, PRIVATE, Settings
from dbschema.connect.sources import VARIABLES, resolve, variable
from dbschema.connect.translate import translate, translating

__all__ = [
    "ENVIRONMENT",
    "FLAG",
    "OLDEST_SERVER",
    "PRIVATE",
    "VARIABLES",
    "Settings",
    "attach",
    "create_engine",
    "password",
    "resolve",
    "translate",
    "translating",
    "variable",
]
