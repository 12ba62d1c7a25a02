"""Where the differences between models and database come from: a fresh build of the models, or their stored snapshot.

To learn what the models want, the server builds them in a throw-away schema, which takes the right CREATE. Without that
right, the catalog of the database is compared with the snapshot that `dbschema compile` has written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from dbschema import catalog
from dbschema.catalog import snapshot as snapshots
from dbschema.errors import DbSchemaError
from dbschema.verify.errors import Unmet
from dbschema.verify.recording import execute, one_line, savepoint

if TYPE_CHECKING:
    from sqlalchemy import Connection, MetaData

    from dbschema.catalog import Difference
    from dbschema.catalog.snapshot import Snapshot


@dataclass(frozen=True)
class Comparison:
    """How a database differs from the models, and in one line how that was found out."""

    differences: tuple[Difference, ...]
    method: str


def compare(connection: Connection, metadata: MetaData, snapshot: Snapshot | None) -> Comparison:
    """Compare with the models that the server builds, else with their snapshot; the connection is left as it was.

    Args:
        connection: to the database.
        metadata: the models.
        snapshot: of `metadata`; None if there is none.

    Raises:
        Unmet: the models cannot be built, and there is no snapshot.
        CatalogError: the catalog of the database cannot be read.
    """
    role, database, may_create = execute(
        connection,
        "SELECT current_user, current_database(), has_database_privilege(current_database(), 'CREATE')",
    ).one()
    if not may_create:
        return _with_snapshot(connection, snapshot, f"role {role} may not CREATE in database {database}")
    try:
        with savepoint(connection):
            found = catalog.check(connection, metadata)
    except (DBAPIError, DbSchemaError) as error:
        if connection.invalidated:
            raise
        return _with_snapshot(connection, snapshot, f"the models could not be built: {one_line(error)}")
    return Comparison(found, "catalog with catalog, the models built in a throw-away schema")


def _with_snapshot(connection: Connection, snapshot: Snapshot | None, reason: str) -> Comparison:
    if snapshot is None:
        raise Unmet(
            f"{reason}, and there is no snapshot of these models; run dbschema compile, or verify as a role with CREATE"
        )
    found = snapshots.differences(connection, snapshot)
    method = f"catalog with the snapshot made on PostgreSQL {snapshot.server}: {reason}"
    server = snapshots.server(connection)
    if found and server != snapshot.server:
        method += (
            f"; this server is PostgreSQL {server}, which may print the same objects otherwise: "
            "a role with CREATE compares exactly"
        )
    return Comparison(found, method)
