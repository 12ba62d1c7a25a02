"""Sessions to verify with: of the superuser in a transaction that is rolled back, and of login roles without powers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, NullPool, create_engine, make_url, text

from dbschema.ddl import Function, declared
from dbschema.models import metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OWNED = "; ".join(
    [
        *(f"ALTER TABLE {table} OWNER TO {{role}}" for table in metadata.tables),
        *(
            f"ALTER FUNCTION {item.signature} OWNER TO {{role}}"
            for item in declared(metadata)
            if isinstance(item, Function) and item.owner is None
        ),
    ]
)
KINDS = {
    "owner of the database": "ALTER DATABASE {database} OWNER TO {role}; " + OWNED,
    "owner of the tables": "GRANT CREATE ON SCHEMA public TO {role}; " + OWNED,
    "migrator": "GRANT CREATE ON SCHEMA public TO {role}; GRANT dbschema_app TO {role}; " + OWNED,
    "member": "GRANT dbschema_app TO {role}",
    "reader": "GRANT dbschema_readonly TO {role}",
    "bypassing": "ALTER ROLE {role} BYPASSRLS",
}


@pytest.fixture
def connect() -> Iterator[Callable[..., Connection]]:
    """Opens connections that are closed afterwards."""
    opened: list[Connection] = []

    def connect(url: str, **options: Any) -> Connection:
        opened.append(create_engine(url, poolclass=NullPool, **options).connect())
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def session_of(database: str, connect: Callable[..., Connection]) -> Callable[[str], Connection]:
    """Opens a session of a new login role in the test's own database; the kinds are those of `KINDS`."""

    def session_of(kind: str) -> Connection:
        role = f"role_{uuid4().hex[:12]}"
        url = make_url(database)
        with connect(database) as admin:
            admin.execute(text(f"CREATE ROLE {role} LOGIN PASSWORD 'plain'"))
            for statement in KINDS[kind].format(role=role, database=url.database).split("; "):
                admin.execute(text(statement))
            admin.commit()
        return connect(url.set(username=role, password="plain").render_as_string(hide_password=False))

    return session_of
