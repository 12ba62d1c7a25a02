"""Where the differences between models and database come from: catalog with catalog, or by names, types and flags.

To learn what the models mean, the server builds them in a throw-away schema, which takes the right to create one. A
session without it compares what can be told without building: names, types and flags.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from dbschema import catalog
from dbschema.errors import DbSchemaError
from dbschema.verify import unbuilt
from dbschema.verify.recording import execute, one_line, savepoint

if TYPE_CHECKING:
    from sqlalchemy import Connection, MetaData

    from dbschema.catalog import Difference


@dataclass(frozen=True)
class Comparison:
    """What a database has otherwise than the models say, and how that was found out, in one line."""

    differences: tuple[Difference, ...]
    method: str


def compare(connection: Connection, metadata: MetaData) -> Comparison:
    """Compare as exactly as the session may; the connection is left as it was."""
    role, database, may_create = execute(
        connection,
        "SELECT current_user, current_database(), has_database_privilege(current_database(), 'CREATE')",
    ).one()
    if not may_create:
        reason = f"role {role} may not CREATE in database {database}"
        return Comparison(unbuilt.compare(connection, metadata), f"names, types and flags alone: {reason}")
    try:
        with savepoint(connection):
            found = catalog.check(connection, metadata)
    except (DBAPIError, DbSchemaError) as error:
        if connection.invalidated:
            raise
        reason = f"the models could not be built beside it: {one_line(error)}"
        return Comparison(unbuilt.compare(connection, metadata), f"names, types and flags alone: {reason}")
    return Comparison(found, "catalog with catalog, the models built in a throw-away schema")
