"""Store the expected catalog in a file, and compare a database with it without building the models.

`dbschema compile` writes the file. An upgrade reads it, and imports the models only if the database differs. A role
without CREATE reads it, because it cannot build the models.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from dbschema.catalog import introspect
from dbschema.catalog.differences import compare
from dbschema.catalog.introspect import parents_of
from dbschema.catalog.model import Catalog
from dbschema.catalog.session import ask, entered, locate
from dbschema.sql import Identity, sql_string

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import psycopg
    from sqlalchemy import Connection, MetaData

    from dbschema.catalog.differences import Difference
    from dbschema.catalog.model import Attributes, Value

FORMAT: Final = 2
"""Version of the file format; increased when it changes. Files of an older version are ignored."""

SERVER: Final = "SELECT current_setting('server_version_num')::int / 10000"


@dataclass(frozen=True)
class Snapshot:
    """The expected catalog and its origin.

    Args:
        server: major version of the PostgreSQL server that printed the catalog.
        models: digest of the models, from `digest_of_models`.
        schemas, extensions, roles: names to read in a database, in addition to its default schema.
        expected: the catalog.
    """

    server: int
    models: str
    schemas: tuple[str, ...]
    extensions: tuple[str, ...]
    roles: tuple[str, ...]
    expected: Catalog

    def to_json(self) -> str:
        """Return the text of the file: JSON, one catalog object a line."""
        head = {
            "format": FORMAT,
            "server": self.server,
            "models": self.models,
            "schemas": self.schemas,
            "extensions": self.extensions,
            "roles": self.roles,
        }
        ordered = sorted(
            self.expected.entries.items(),
            key=lambda item: tuple("" if part is None else part for part in item[0]),
        )
        entries = [
            json.dumps([*identity, dict(attributes)], ensure_ascii=False) for identity, attributes in ordered
        ]
        lines = ",\n".join(entries)
        return f'{json.dumps(head)[:-1]}, "entries": [\n{lines}\n]}}\n'


def take(connection: Connection, metadata: MetaData) -> Snapshot:
    """Build `metadata` on the server behind `connection`, and return the snapshot. Nothing stays in the database.

    The role needs CREATE on the database. Raises as `dbschema.catalog.check`.
    """
    from dbschema import catalog  # noqa: PLC0415  imports SQLAlchemy when it is called

    expected, names = catalog.expected(connection, metadata), catalog.names_to_read(metadata)
    return Snapshot(
        server(connection),
        digest_of_models(metadata),
        tuple(sorted(name for name in names["schemas"] if name is not None)),
        tuple(sorted(names["extensions"])),
        tuple(sorted(names["roles"])),
        expected,
    )


def parse(text: str) -> Snapshot | None:
    """Parse the text of a file; None if it is not a snapshot, or has another format version."""
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            return None
        entries = {Identity(*entry[:4]): _attributes(entry[4]) for entry in content["entries"]}
        return Snapshot(
            int(content["server"]),
            str(content["models"]),
            tuple(content["schemas"]),
            tuple(content["extensions"]),
            tuple(content["roles"]),
            Catalog(entries, parents_of(entries)),
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def differences(connection: psycopg.Connection | Connection, snapshot: Snapshot) -> tuple[Difference, ...]:
    """Compare the database behind `connection` with a snapshot. The role needs no privilege except CONNECT.

    Args:
        connection: in any transaction state, which is preserved.
        snapshot: the expected catalog.

    Raises:
        CatalogError: the catalog of the database cannot be read.
    """
    with entered(connection) as cursor:
        place = locate(cursor)
        names = ", ".join(sql_string(name) for name in snapshot.roles) or "NULL"
        declared = {oid for (oid,) in ask(cursor, f"SELECT oid FROM pg_roles WHERE rolname IN ({names})")}  # noqa: S608  quoted above
        # Ownership by a declared role is compared, even if the session uses that role: the models must declare it.
        place = replace(place, owners=tuple(oid for oid in place.owners if oid not in declared))
        actual = introspect.read_at(
            cursor,
            place,
            {**{name: name for name in snapshot.schemas}, None: None},
            extensions=snapshot.extensions,
            roles=snapshot.roles,
        )
    own = f" TO {place.user}"

    def is_implied(identity: Identity) -> bool:
        """Whether it is the session's own privilege on a schema, which a migrating role needs and no model declares."""
        return (
            identity.kind == "grant"
            and identity.name.startswith("SCHEMA ")
            and identity.name.endswith(own)
            and place.user not in snapshot.roles
            and identity not in snapshot.expected
        )

    return compare(snapshot.expected, actual, ignore=is_implied)


def server(connection: psycopg.Connection | Connection) -> int:
    """Return the major version of the server behind `connection`."""
    with entered(connection) as cursor:
        ((version,),) = ask(cursor, SERVER)
    return int(version)


def digest_of_models(metadata: MetaData) -> str:
    """Return the SHA-256 of the DDL that builds `metadata`, its extensions and its roles."""
    from sqlalchemy import make_url  # noqa: PLC0415  as above

    from dbschema.catalog import desired, offline  # noqa: PLC0415  as above
    from dbschema.catalog.predicted import NothingPredicted  # noqa: PLC0415  as above
    from dbschema.ddl.registry import declared  # noqa: PLC0415  as above

    schemas: dict[str | None, str] = {name: name for name in desired.named_schemas(metadata)}
    schemas[None] = "models"
    dialect = make_url("postgresql+psycopg://").get_dialect()()
    statements = offline.statements(metadata, dialect, schemas, NothingPredicted())
    for item in declared(metadata):
        if item.kind in offline.NOT_IN_A_SCHEMA:
            statements.extend(item.create())
    return sha256("\n;\n".join(sorted(statements)).encode()).hexdigest()


def digest_of_files(paths: Iterable[Path]) -> str:
    """Return the SHA-256 of the names and contents of files, in the order of their paths."""
    total = sha256()
    for path in sorted(paths):
        content = path.read_bytes()
        total.update(f"{path.name} {len(content)}\n".encode() + content)
    return total.hexdigest()


def _attributes(values: dict[str, Any]) -> Attributes:
    attributes: dict[str, Value] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return attributes
