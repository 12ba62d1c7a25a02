"""An attacker: somebody who may run any SQL as a login of the application, and acts for one tenant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from pytest_postgresql.janitor import DatabaseJanitor
from sqlalchemy import make_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_postgresql.executors import NoopExecutor
    from sqlalchemy import URL
    from tests.conftest import TestServer

SECRET = "the other tenant's secret"


@dataclass
class Attack:
    """A session of the attacker, and the victim that it is after.

    Args:
        connection: in autocommit, with `app.tenant_id` of `mine`.
        admin: of the superuser, in autocommit.
        notices: what the server said beside its answers.
    """

    connection: psycopg.Connection
    admin: psycopg.Connection
    mine: UUID
    theirs: UUID
    notices: list[str]

    def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement, values or None).fetchall()  # type: ignore[arg-type]  # SQL of a test

    def run(self, *statements: str) -> None:
        for statement in statements:
            self.connection.execute(statement)  # type: ignore[arg-type]  # as above

    def refused(self, statement: str, *values: object) -> psycopg.Error:
        """The error of a statement that must have one; it must not tell the secret."""
        with pytest.raises(psycopg.Error) as caught:
            self.connection.execute(statement, values or None)  # type: ignore[arg-type]  # as above
        diagnosis = caught.value.diag
        told = " ".join(
            str(part)
            for part in (
                caught.value,
                diagnosis.message_detail,
                diagnosis.message_hint,
                diagnosis.context,
                diagnosis.internal_query,
            )
        )
        assert SECRET not in told
        return caught.value

    def their_rows(self) -> list[tuple[Any, ...]]:
        """The victim's rows as they are, for a look before and after."""
        return [
            row
            for table in ("users", "incidents", "orders", "audit_logs", "tenants")
            for row in self.admin.execute(
                sql.SQL("SELECT t::text FROM {} AS t WHERE {} = %s ORDER BY 1").format(
                    sql.Identifier(table), sql.Identifier("id" if table == "tenants" else "tenant_id")
                ),
                (self.theirs,),
            ).fetchall()
        ]


def populate(admin: psycopg.Connection, tenant: UUID, text: str) -> None:
    """A row in each of the tables that are attacked."""
    word = tenant.hex
    admin.execute(
        "INSERT INTO tenants (id, tenant_name, slug) VALUES (%s, %s, %s)", (tenant, text, f"t-{word}")
    )
    admin.execute(
        "INSERT INTO users (tenant_id, id, username, email, display_name) VALUES (%s, %s, %s, %s, %s)",
        (tenant, tenant, f"u-{word}", f"{word}@example.com", text),
    )
    admin.execute(
        "INSERT INTO incidents (tenant_id, id, domain_id, title, structured_data, location, created_by)"
        " VALUES (%s, %s, 'roads', %s, jsonb_build_object('note', %s::text), 'SRID=4326;POINT(7 47)', %s)",
        (tenant, tenant, text, text, tenant),
    )
    admin.execute(
        "INSERT INTO orders (tenant_id, id, order_number, customer_email, total_amount) VALUES (%s, %s, %s, 'c@example.com', 10)",
        (tenant, tenant, text),
    )
    admin.execute(
        "INSERT INTO audit_logs (tenant_id, action, resource_type, details) VALUES (%s, 'read', %s, '{}')",
        (tenant, text),
    )


@pytest.fixture(scope="session")
def attacked(server: TestServer, migrated: NoopExecutor) -> Iterator[tuple[URL, str]]:
    """A migrated database for all attacks of a worker, and a login of the application there."""
    login = f"attacker_{uuid4().hex[:12]}"
    janitor = DatabaseJanitor(
        user=server.user,
        password=server.password,
        host=server.host,
        port=server.port,
        dbname=f"attacked_{login}",
        template_dbname=migrated.template_dbname,
    )
    with psycopg.connect(server.url("postgres", driver=""), autocommit=True) as admin:
        name = sql.Identifier(login)
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'plain' IN ROLE dbschema_app").format(name))
        with janitor:
            yield make_url(server.url(janitor.dbname, driver="")), login
        admin.execute(sql.SQL("DROP ROLE {}").format(name))


@pytest.fixture
def attack(attacked: tuple[URL, str]) -> Iterator[Attack]:
    """Two new tenants with a row each in some tables, and a session of the attacker for the first."""
    url, login = attacked
    mine, theirs = uuid4(), uuid4()
    notices: list[str] = []
    address = url.set(username=login, password="plain").render_as_string(hide_password=False)
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as admin:
        populate(admin, mine, "my own value")
        populate(admin, theirs, SECRET)
        with psycopg.connect(address, autocommit=True) as connection:
            connection.add_notice_handler(lambda notice: notices.append(str(notice.message_primary)))
            connection.execute(sql.SQL("SET app.tenant_id = {}").format(sql.Literal(str(mine))))
            attack = Attack(connection, admin, mine, theirs, notices)
            before = attack.their_rows()
            yield attack
            assert attack.their_rows() == before, "the victim's rows were changed"
