"""A session of the application's role, bound by row-level security, with a tenant of its own and another one beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

MINE = UUID("018f0000-0000-7000-8000-00000000000a")
THEIRS = UUID("018f0000-0000-7000-8000-00000000000b")


def make_tenants(connection: Connection) -> None:
    for tenant, slug in ((MINE, "mine"), (THEIRS, "theirs")):
        connection.execute(
            text("INSERT INTO tenants (id, tenant_name, slug) VALUES (:id, :slug, :slug)"),
            {"id": tenant, "slug": slug},
        )


def act(connection: Connection, tenant: UUID | None, role: str = "dbschema_app") -> None:
    """Be `role`, for `tenant`, until the transaction ends."""
    connection.execute(text(f"SET LOCAL ROLE {role}"))
    connection.execute(text(f"SET LOCAL app.tenant_id = '{tenant or ''}'"))


@pytest.fixture
def mine() -> UUID:
    return MINE


@pytest.fixture
def theirs() -> UUID:
    return THEIRS


@pytest.fixture
def acting(connection: Connection) -> Callable[..., None]:
    """Changes whom the session's transaction acts for: `acting(tenant, role)`."""

    def acting(tenant: UUID | None, role: str = "dbschema_app") -> None:
        connection.execute(text("RESET ROLE"))
        act(connection, tenant, role)

    return acting


@pytest.fixture
def session(connection: Connection) -> Iterator[Session]:
    """A session of the application's role for its own tenant; all is rolled back."""
    make_tenants(connection)
    act(connection, MINE)
    with Session(connection, join_transaction_mode="create_savepoint") as session:
        yield session
