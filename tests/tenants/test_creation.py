"""A tenant is created with what it needs, all or nothing, by whoever may."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from dbschema import create_tenant
from dbschema.errors import NoTransaction, TenantExists
from dbschema.models import TenantStatus
from dbschema.sessions import tenant_session
from dbschema.sessions.errors import ForeignTenant
from dbschema.tools.tenants.errors import TenantsError

if TYPE_CHECKING:
    from collections.abc import Callable

REFERENCE = ("role_metric_visibility", "agent_definitions", "domain_configurations")


def counted(engine: Engine, tenant: UUID) -> list[int]:
    with engine.connect() as connection:
        return [
            connection.execute(
                text(f"SELECT count(*) FROM {table} WHERE tenant_id = '{tenant}'")
            ).scalar_one()
            for table in REFERENCE
        ]


@pytest.mark.parametrize("kind", ["superuser", "member", "heirless", "owner"])
def test_a_tenant_comes_with_its_reference_data(
    a_database: Callable[..., Engine], acting_as: Callable[[Engine, str], Engine], kind: str
) -> None:
    admin = a_database()
    engine = admin if kind == "superuser" else acting_as(admin, kind)

    with engine.connect() as connection:
        tenant = create_tenant(connection, "Corner Bakery", "corner-bakery")

    assert (tenant.tenant_name, tenant.slug, tenant.status) == (
        "Corner Bakery",
        "corner-bakery",
        TenantStatus.ACTIVE,
    )
    assert tenant.id.version == 7
    assert all(counted(admin, tenant.id))


def test_a_session_holds_the_tenant_and_decides_on_the_transaction(
    a_database: Callable[..., Engine], acting_as: Callable[[Engine, str], Engine]
) -> None:
    admin = a_database()
    with Session(acting_as(admin, "member")) as session:
        kept = create_tenant(session, "Kept", "kept").id
        session.commit()
        gone = create_tenant(session, "Gone", "gone")
        held = gone in session
        session.rollback()

    with admin.connect() as connection:
        assert connection.scalars(text("SELECT slug FROM tenants")).all() == ["kept"]
    assert held
    assert all(counted(admin, kept))


def test_a_session_of_a_tenant_creates_that_tenant_and_no_other(
    a_database: Callable[..., Engine], acting_as: Callable[[Engine, str], Engine]
) -> None:
    admin = a_database()
    engine = acting_as(admin, "member")
    with tenant_session(engine, uuid4()) as session, session.begin():
        with pytest.raises(ForeignTenant):
            create_tenant(session, "Another", "another", tenant_id=uuid4())
        own = create_tenant(session, "Own", "own")

        assert own.id == session.tenant_id
        assert own in session

    with admin.connect() as connection:
        assert connection.scalars(text("SELECT slug FROM tenants")).all() == ["own"]


def test_the_tenant_that_was_set_is_set_afterwards(a_database: Callable[..., Engine]) -> None:
    with a_database().begin() as connection:
        before = uuid4()
        connection.execute(text(f"SET LOCAL app.tenant_id = '{before}'"))

        create_tenant(connection, "Corner Bakery", "corner-bakery")

        assert connection.scalar(text("SELECT current_setting('app.tenant_id')")) == str(before)


@pytest.mark.parametrize("kind", ["superuser", "member", "heirless"])
def test_a_slug_is_given_once_and_the_transaction_goes_on(
    a_database: Callable[..., Engine], acting_as: Callable[[Engine, str], Engine], kind: str
) -> None:
    admin = a_database()
    engine = admin if kind == "superuser" else acting_as(admin, kind)
    with engine.begin() as connection:
        create_tenant(connection, "One", "one")

        with pytest.raises(TenantExists, match="slug 'one' exists already"):
            create_tenant(connection, "Another", "one")
        create_tenant(connection, "Two", "two")

    with admin.connect() as connection:
        assert connection.scalars(text("SELECT slug FROM tenants ORDER BY 1")).all() == ["one", "two"]


def test_a_call_with_an_id_can_be_repeated_and_completes_what_is_missing(
    a_database: Callable[..., Engine],
) -> None:
    engine, key = a_database(), uuid4()
    with engine.begin() as connection:
        create_tenant(connection, "One", "one", tenant_id=key)
        connection.execute(text("DELETE FROM agent_definitions WHERE agent_id = 'dispatcher'"))
    before = counted(engine, key)

    with engine.begin() as connection:
        again = create_tenant(connection, "Renamed", "one", tenant_id=key)

    assert (again.id, again.tenant_name) == (key, "One")
    assert [now - then for now, then in zip(counted(engine, key), before, strict=True)] == [0, 1, 0]


def test_an_id_that_another_slug_has_is_refused(a_database: Callable[..., Engine]) -> None:
    key = uuid4()
    with a_database().begin() as connection:
        create_tenant(connection, "One", "one", tenant_id=key)

        with pytest.raises(TenantExists, match=f"id '{key}' exists already"):
            create_tenant(connection, "Two", "two", tenant_id=key)


@pytest.mark.parametrize("slug", ["", "Upper", "-x", "a b", "x" * 64, "a\nb"])
def test_what_is_no_slug_is_refused_and_nothing_stays(a_database: Callable[..., Engine], slug: str) -> None:
    engine = a_database()

    with engine.connect() as connection, pytest.raises(TenantsError, match=r"^The tenant is rejected: "):
        create_tenant(connection, "Corner Bakery", slug)

    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM tenants")) == 0


def test_a_connection_that_commits_each_statement_is_refused(a_database: Callable[..., Engine]) -> None:
    engine = a_database().execution_options(isolation_level="AUTOCOMMIT")

    with engine.connect() as connection, pytest.raises(NoTransaction):
        create_tenant(connection, "Corner Bakery", "corner-bakery")
