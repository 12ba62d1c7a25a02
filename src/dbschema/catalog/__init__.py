"""What a database really has, compared with what the models say: catalog with catalog, never text with text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dbschema.catalog.model import KINDS, Attributes, Catalog, Difference, Value, compare
from dbschema.catalog.session import VERSION_TABLE, entered, locate, scratch

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, MetaData

    from dbschema.sql import Identity

__all__ = ["KINDS", "Attributes", "Catalog", "Difference", "Value", "actual", "check", "compare", "expected"]


def check(
    connection: Connection,
    metadata: MetaData,
    *,
    version_table: str = VERSION_TABLE,
    ignore: Callable[[Identity], bool] | None = None,
) -> tuple[Difference, ...]:
    """What the database behind `connection` has otherwise than `metadata` says; empty where nothing differs.

    Looked at are the default schema (the first of search_path) and each schema that the models name, with everything in
    them that no extension brought; the declared extensions and roles. Nothing is changed, and nothing stays locked.

    Args:
        connection: in any transaction state; left as it was. Its role needs CREATE on the database.
        metadata: the models, with what is declared for them.
        version_table: the table that Alembic keeps its revision in; left out.
        ignore: says of an identity that its differences are not to be told.

    Raises:
        CatalogError: the comparison cannot be made; the error says what is missing.
    """
    from dbschema.catalog import desired, introspect  # noqa: PLC0415  imports SQLAlchemy, which `snapshot` does without

    with entered(connection) as cursor:
        place = locate(cursor, version_table)
        desired_state = desired.DesiredState(connection, metadata, place)
        with scratch(connection) as reading:
            actual_catalog = introspect.read_at(
                reading, place, **names_to_read(metadata), meanwhile=desired_state.prepare
            )
        return compare(desired_state.build(cursor), actual_catalog, ignore=ignore)


def actual(
    connection: Connection,
    metadata: MetaData,
    *,
    version_table: str = VERSION_TABLE,
    positions: bool = False,
) -> Catalog:
    """What the database has of that which `metadata` speaks about. Raises as `check`."""
    from dbschema.catalog import introspect  # noqa: PLC0415  as above

    with entered(connection) as cursor:
        place = locate(cursor, version_table)
        return introspect.read_at(cursor, place, **names_to_read(metadata), positions=positions)


def expected(
    connection: Connection,
    metadata: MetaData,
    *,
    version_table: str = VERSION_TABLE,
    positions: bool = False,
) -> Catalog:
    """What `metadata` says that the database should have, as its server prints it. Raises as `check`."""
    from dbschema.catalog import desired  # noqa: PLC0415  as above

    return desired.build(connection, metadata, version_table=version_table, positions=positions)


def names_to_read(metadata: MetaData) -> dict[str, Any]:
    """What to read of a database, to compare it with `metadata`: the arguments of `fingerprint.read_at`."""
    from dbschema.catalog import desired  # noqa: PLC0415  as above
    from dbschema.ddl.extensions import Extension  # noqa: PLC0415  as above
    from dbschema.ddl.roles import Role  # noqa: PLC0415  as above

    return {
        "schemas": {**{name: name for name in desired.named_schemas(metadata)}, None: None},
        "extensions": desired.names(metadata, Extension),
        "roles": desired.names(metadata, Role),
    }
