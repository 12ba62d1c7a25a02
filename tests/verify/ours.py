"""`verify.run` with the models of this package and their snapshot, as `dbschema verify` calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dbschema import verify
from dbschema.models import metadata
from dbschema.tools.application import load_snapshot

if TYPE_CHECKING:
    from sqlalchemy import Connection


def run(connection: Connection, **options: Any) -> verify.Report:
    return verify.run(connection, metadata=metadata, snapshot=load_snapshot(None, metadata), **options)
