"""The example with tables of its own: one `alembic upgrade heads` makes all, and `check` and `verify` look after all."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import make_url
from tests.examples.conftest import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = EXAMPLES / "own_tables"


@pytest.fixture
def call(new_database: Callable[..., str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a module of Python in the folder of the example, for an empty database; SQL is run beside it."""
    url = make_url(new_database(migrated=False)).set(drivername="postgresql")
    address = url.render_as_string(hide_password=False)

    def run(*arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
        if before:
            with psycopg.connect(address) as connection:
                connection.execute(before)
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=FOLDER,
            env={**os.environ, "DATABASE_URL": address, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


DAMAGE = (
    "ALTER TABLE invoices DISABLE ROW LEVEL SECURITY",
    "DROP TRIGGER update_invoices_updated_at ON invoices",
    "ALTER TABLE invoice_lines DROP CONSTRAINT ck_invoice_lines_amount",
)


def test_check_and_verify_cover_the_tables_of_the_application(
    call: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    made = call("alembic", "upgrade", "heads")
    whole = [call("dbschema", question, "--models", "shop.models") for question in ("check", "verify")]
    checked = call("dbschema", "check", "--models", "shop.models", before="; ".join(DAMAGE))
    verified = call("dbschema", "verify", "--models", "shop.models")

    assert [done.returncode for done in (made, *whole)] == [0, 0, 0], [
        done.stdout + done.stderr for done in (made, *whole)
    ]
    assert (checked.returncode, verified.returncode) == (1, 1)
    for name in ("update_invoices_updated_at", "ck_invoice_lines_amount", "row"):
        assert name in checked.stdout
    assert "invoices" in verified.stdout
