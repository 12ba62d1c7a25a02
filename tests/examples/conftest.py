"""Examples are imported from where they lie, and work in a database of the test's own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import make_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def load() -> Iterator[Callable[[str], Any]]:
    """Imports a file of an example, by its path below `examples`."""
    names = []

    def load(path: str) -> Any:
        name = f"example_{path.replace('/', '_').removesuffix('.py')}"
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        names.append(name)
        spec.loader.exec_module(module)
        return module

    yield load
    for name in names:
        del sys.modules[name]


@pytest.fixture
def application_url(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a login that is a member of the application's role, in DATABASE_URL."""
    admin = make_url(database).set(drivername="postgresql")
    login = f"example_{uuid4().hex[:8]}"
    with psycopg.connect(admin.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {login} LOGIN NOINHERIT PASSWORD 'secret' IN ROLE dbschema_app")
        url = admin.set(username=login, password="secret").render_as_string(hide_password=False)
        monkeypatch.setenv("DATABASE_URL", url)
        yield url
        connection.execute(f"DROP ROLE {login}")


@pytest.fixture
def tenants(database: str, application_url: str) -> tuple[UUID, UUID]:
    """Two customers."""
    made = uuid4(), uuid4()
    admin = make_url(database).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(admin) as connection:
        for tenant_id in made:
            connection.execute(
                "INSERT INTO tenants (id, tenant_name, slug) VALUES (%s, 'A customer', %s)",
                (tenant_id, f"c{tenant_id.hex}"),
            )
    return made
