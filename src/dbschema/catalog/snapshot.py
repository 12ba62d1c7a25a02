"""The catalog that models want, stored in a file: a database is compared with it without building the models.

`dbschema compile` writes it. Two kinds of readers use it: an upgrade, which need not import the models if the database has
exactly what the snapshot has, and a role without CREATE, which cannot build the models.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from dbschema.catalog import introspect
from dbschema.catalog.introspect import parents_of
from dbschema.catalog.model import Catalog, compare
from dbschema.catalog.session import ask, entered, locate
from dbschema.sql import Identity, sql_string

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import psycopg
    from sqlalchemy import Connection, MetaData

    from dbschema.catalog.model import Attributes, Difference, Value

FORMAT: Final = 2
"""Raised when a catalog is read or written in another way; older files are not used any more."""

SERVER: Final = "SELECT current_setting('server_version_num')::int / 10000"


@dataclass(frozen=True)
class Snapshot:
    """The catalog that models want, and where it comes from.

    Args:
        server: major version of the PostgreSQL server that printed it.
        models: digest of the models, as `digest_of_models` computes it.
        schemas, extensions, roles: what to read of a database beside its default schema.
        wanted: the catalog.
    """

    server: int
    models: str
    schemas: tuple[str, ...]
    extensions: tuple[str, ...]
    roles: tuple[str, ...]
    expected: Catalog

    def to_json(self) -> str:
        """The text of a file, with an object of the catalog a line."""
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
    """Have the server behind `connection` print what `metadata` wants; nothing stays in the database.

    Raises:
        CatalogError: as `dbschema.catalog.wanted`; the role needs CREATE on the database.
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
    """The snapshot in the text of a file; None if it is none, or has another format."""
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
    """Compare the database behind `connection` with a snapshot; needs no right but to connect.

    Args:
        connection: in any transaction state; left as it was.
        snapshot: of the models that the database should hold.

    Raises:
        CatalogError: the catalog of the database cannot be read.
    """
    with entered(connection) as cursor:
        place = locate(cursor)
        names = ", ".join(sql_string(name) for name in snapshot.roles) or "NULL"
        declared = {oid for (oid,) in ask(cursor, f"SELECT oid FROM pg_roles WHERE rolname IN ({names})")}  # noqa: S608  quoted above
        # A declared role may own a function only if the models say so, even if this session acts as that role.
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
        """Whether it is the session's own right on a schema, which a migrating role needs and no model declares."""
        return (
            identity.kind == "grant"
            and identity.name.startswith("SCHEMA ")
            and identity.name.endswith(own)
            and place.user not in snapshot.roles
            and identity not in snapshot.expected
        )

    return compare(snapshot.expected, actual, ignore=is_implied)


def server(connection: psycopg.Connection | Connection) -> int:
    """Major version of the server behind `connection`."""
    with entered(connection) as cursor:
        ((version,),) = ask(cursor, SERVER)
    return int(version)


def digest_of_models(metadata: MetaData) -> str:
    """SHA-256 of the DDL that builds `metadata`, and of the extensions and roles that it declares."""
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
    """The SHA-256 of files, with their names, in the order of these."""
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
