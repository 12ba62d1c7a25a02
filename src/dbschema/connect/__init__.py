"""Where the database is, how it is reached, and what its refusals mean."""

from __future__ import annotations

from dbschema.connect.engine import OLDEST_SERVER, create_engine
from dbschema.connect.settings import ENVIRONMENT, FLAG, PRIVATE, Settings, resolve
from dbschema.connect.translate import translate, translating

__all__ = [
    "ENVIRONMENT",
    "FLAG",
    "OLDEST_SERVER",
    "PRIVATE",
    "Settings",
    "create_engine",
    "resolve",
    "translate",
    "translating",
]
