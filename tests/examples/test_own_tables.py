"""The example with tables of its own: one `alembic upgrade heads` makes all, and `check` and `verify` look after all."""

from __future__ import annotations

import json
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

    def run(*arguments: str, before: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        if before:
            with psycopg.connect(address) as connection:
                connection.execute(before)
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=FOLDER,
            env={**os.environ, "DATABASE_URL": address, "PYTHONDONTWRITEBYTECODE": "1", **variables},
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


def test_the_command_line_runs_both_lines_and_compares_all_tables(
    call: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    both = {"DBSCHEMA_SCRIPT_LOCATION": "alembic.ini", "DBSCHEMA_MODELS": "shop.models"}

    pending = call("dbschema", "status", "--json", **both)
    made = call("dbschema", "upgrade", "--json", **both)
    again = call("dbschema", "upgrade", "--scripts", "alembic.ini")
    by_alembic = call("alembic", "upgrade", "heads")
    status = call("dbschema", "status", "--scripts", "alembic.ini", "--json")
    ours_alone = call("dbschema", "upgrade")
    back = call("dbschema", "downgrade", "shop@base", "--json", **both)
    left = call("dbschema", "status", "--json")

    run = json.loads(made.stdout)
    assert pending.returncode == 1
    assert [step["id"] for step in run["steps"]] == [
        one["id"] for one in json.loads(pending.stdout)["pending"]
    ]
    assert (made.returncode, run["differences"], run["left"]) == (0, [], []), made.stderr
    assert again.returncode == by_alembic.returncode == status.returncode == 0, (
        again.stderr + by_alembic.stderr
    )
    assert json.loads(status.stdout)["up_to_date"] is True
    assert "DBSCHEMA_SCRIPT_LOCATION" in ours_alone.stderr
    assert [step["id"] for step in json.loads(back.stdout)["steps"]] == [run["steps"][-1]["id"]]
    assert left.returncode == 0, "ours is whole again, and alone"


def test_a_run_of_both_lines_says_where_no_models_were_named(
    call: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    made = call("dbschema", "upgrade", "--scripts", "alembic.ini")

    assert made.returncode == 0, made.stderr
    assert "DBSCHEMA_MODELS" in made.stdout + made.stderr


@pytest.mark.parametrize("wrong", ["nothing.ini", "shop", "pyproject.toml"])
def test_scripts_that_are_none_are_refused_before_anything_is_done(
    call: Callable[..., subprocess.CompletedProcess[str]], wrong: str
) -> None:
    done = call("dbschema", "upgrade", "--scripts", wrong)

    (line,) = done.stderr.splitlines()
    assert done.returncode != 0
    assert wrong in line
    assert "alembic.ini" in line
