"""The page about queries shows code that runs, and names every query and its index."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Table, insert, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session

from dbschema.ddl import declared
from dbschema.models import Incident, Tenant, metadata
from dbschema.orm.mixins import Created, TenantScoped
from dbschema.orm.types import json_object, uuid7
from dbschema.queries import audit, conversations, documents, incidents

if TYPE_CHECKING:
    from sqlalchemy import Connection

PAGE = (Path(__file__).parents[2] / "docs" / "queries.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_first_example_runs(connection: Connection) -> None:
    tenant = uuid7()
    connection.execute(insert(Tenant).values(id=tenant, tenant_name="x", slug="x"))
    connection.execute(
        insert(Incident),
        [
            {"tenant_id": tenant, "domain_id": "d", "severity": number, "location": (7.4474, 46.948)}
            for number in (3, 4, 5)
        ],
    )
    connection.execute(text(f"SET LOCAL ROLE dbschema_app; SET LOCAL app.tenant_id = '{tenant}'"))
    scope: dict[str, Any] = {"session": Session(connection)}

    exec(BLOCKS[0], scope)

    assert [(item.severity, metres) for item, metres in scope["rows"]] in ([(4, 0), (5, 0)], [(5, 0), (4, 0)])
    assert len(scope["page"]) == 3
    assert scope["older"] == []


def test_an_application_declares_a_search_as_the_page_shows(connection: Connection) -> None:
    class Base(DeclarativeBase):
        """Of an application."""

    class Invoice(TenantScoped, Created, Base):
        __tablename__ = "invoices"
        details: Mapped[dict[str, Any]] = json_object()

    Table("tenants", Base.metadata, *[column._copy() for column in metadata.tables["tenants"].columns])
    exec(BLOCKS[1], {"Base": Base})
    Base.metadata.create_all(connection)
    mine, theirs = uuid7(), uuid7()
    for tenant in (mine, theirs):
        connection.execute(insert(Tenant).values(id=tenant, tenant_name="x", slug=tenant.hex))
        connection.execute(insert(Invoice).values(tenant_id=tenant, details={"a": 1}))
    connection.execute(text(f"SET LOCAL ROLE dbschema_app; SET LOCAL app.tenant_id = '{mine}'"))

    found = connection.execute(text("SELECT tenant_id FROM search_invoices('{\"a\": 1}')")).scalars().all()

    assert found == [mine]
    assert any(item.identity.name.startswith("search_invoices") for item in declared(Base.metadata))


@pytest.mark.parametrize(
    "module", [incidents, documents, conversations, audit], ids=lambda module: module.__name__
)
def test_every_query_is_on_the_page_with_its_index(module: Any) -> None:
    short = module.__name__.rpartition(".")[2]
    queries = [
        item
        for name, item in vars(module).items()
        if not name.startswith("_")
        and getattr(item, "__module__", None) == module.__name__
        and callable(item)
    ]

    assert queries
    for query in queries:
        (line,) = [
            line
            for line in PAGE.splitlines()
            if f"`{short}.{query.__name__}(" in line and line.startswith("|")
        ]
        index = re.search(r"Index: (\w+)", query.__doc__ or "")
        assert index, query
        assert index[1] in line
