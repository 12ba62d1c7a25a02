"""Compare the catalog of a database (actual) with the catalog that models ask for (expected)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dbschema.catalog.differences import Difference, compare
from dbschema.catalog.model import KINDS, Attributes, Catalog, Value
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
    """Return the differences between the database behind `connection` and `metadata`; empty if there are none.

    Compares the default schema (the first of search_path) and each schema that the models name: every object in them
    except members of extensions. Compares the declared extensions and roles as well. Changes nothing, and leaves no lock.

    Args:
        connection: in any transaction state, which is preserved. Its role needs CREATE on the database.
        metadata: the models and their declared objects.
        version_table: Alembic's version table; not compared.
        ignore: returns True for an identity whose differences are left out.

    Raises:
        CatalogError: the server does not answer, lacks an extension, or has no room for the locks.
        MissingPrivilege: the role may not create a schema, or a missing role.
        NotWritable: the transaction is read-only.
        DeclarationError: the server rejects a statement of the models.
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
    """Return the catalog of the database, limited to the schemas, extensions and roles of `metadata`. Raises as `check`."""
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
    """Return the catalog that `metadata` asks for, as the server prints it. Raises as `check`."""
    from dbschema.catalog import desired  # noqa: PLC0415  as above

    return desired.build(connection, metadata, version_table=version_table, positions=positions)


def names_to_read(metadata: MetaData) -> dict[str, Any]:
    """Return the schemas, extensions and roles to read for a comparison with `metadata`: arguments of `introspect.read_at`."""
    from dbschema.catalog import desired  # noqa: PLC0415  as above
    from dbschema.ddl.extensions import Extension  # noqa: PLC0415  as above
    from dbschema.ddl.roles import Role  # noqa: PLC0415  as above

    return {
        "schemas": {**{name: name for name in desired.named_schemas(metadata)}, None: None},
        "extensions": desired.names(metadata, Extension),
        "roles": desired.names(metadata, Role),
    }
