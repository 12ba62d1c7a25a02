"""Sessions of roles that row-level security binds, and the rows of a whole database as one value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, NullPool, create_engine, make_url, text

from dbschema.models import metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OWNER = "GRANT CREATE ON SCHEMA public TO {role}; " + "; ".join(
    f"ALTER TABLE {table} OWNER TO {{role}}" for table in metadata.tables
)
MEMBERSHIP = {
    "owner": OWNER,
    "member": "GRANT dbschema_app TO {role}",
    "reader": "GRANT dbschema_readonly TO {role}",
}


@pytest.fixture
def connect() -> Iterator[Callable[[str], Connection]]:
    """Opens connections that are closed afterwards."""
    opened: list[Connection] = []

    def connect(url: str, **options: Any) -> Connection:
        opened.append(create_engine(url, poolclass=NullPool, **options).connect())
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def connection(database: str, connect: Callable[[str], Connection]) -> Connection:
    """A connection of the superuser to a migrated database of the test's own, where it may commit."""
    return connect(database)


@pytest.fixture
def session_of(database: str, connect: Callable[[str], Connection]) -> Callable[[str], Connection]:
    """Opens a session of a new login role without powers: 'owner' of the tables, 'member' of the application's role or
    'reader'; 'superuser' is the server's own."""

    def session_of(kind: str) -> Connection:
        if kind == "superuser":
            return connect(database)
        role = f"{kind}_{uuid4().hex[:12]}"
        admin = connect(database)
        admin.execute(text(f"CREATE ROLE {role} LOGIN PASSWORD 'plain'"))
        for statement in MEMBERSHIP[kind].format(role=role).split("; "):
            admin.execute(text(statement))
        admin.commit()
        url = make_url(database).set(username=role, password="plain")
        return connect(url.render_as_string(hide_password=False))

    return session_of


def contents(connection: Connection, *, with_xmin: bool = False) -> dict[str, list[str]]:
    """All rows of all tables as JSON text, in the order of their keys; with the transaction that wrote each."""
    extra = ", t.xmin" if with_xmin else ""
    found = {
        table.name: [
            str(tuple(row))
            for row in connection.execute(
                text(f"SELECT to_jsonb(t)::text{extra} FROM {table.name} t ORDER BY to_jsonb(t)::text")
            )
        ]
        for table in metadata.sorted_tables
    }
    connection.rollback()
    return found


@pytest.fixture
def rows_of() -> Callable[..., dict[str, list[str]]]:
    return contents
