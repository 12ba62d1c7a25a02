"""The same settings serve the command line, psql, and the application that the documentation shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.connect.conftest import Aws, Role

LOST = "rotated-s3cr3t-that-no-server-has"
PAGE = Path(__file__).parents[2] / "docs" / "connecting.md"


def program(folder: Path, variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "DB", "AWS"))}
    return subprocess.run(
        [sys.executable, *(arguments if "-c" in arguments[:1] else ("-m", "dbschema", *arguments))],
        cwd=folder,
        env={**kept, "DBSCHEMA_HOME": str(folder / "no home"), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def bastion(aws: Aws, role: Role, credentials: dict[str, str]) -> dict[str, str]:
    """The environment of a machine that knows of the database by its secret only."""
    return {**credentials, "DB_SECRET_ARN": aws.secret(**role.secret())}


def test_the_command_line_takes_its_address_from_the_secret(
    bastion: dict[str, str], role: Role, tmp_path: Path
) -> None:
    done = program(tmp_path, bastion, "status", "--json")

    assert done.returncode == 1, done.stderr  # nothing was ever applied
    found = json.loads(done.stdout)
    assert found["source"] == "DB_SECRET_ARN"
    assert found["database"] == f"{role.dbname} at {role.host}:{role.port}"
    assert role.password not in done.stdout + done.stderr


def test_an_upgrade_takes_its_address_from_the_secret(
    bastion: dict[str, str], role: Role, tmp_path: Path
) -> None:
    role.execute(f"ALTER ROLE {role.name} SUPERUSER")

    upgrade = program(tmp_path, bastion, "upgrade")
    status = program(tmp_path, bastion, "status")
    role.execute(f"REASSIGN OWNED BY {role.name} TO CURRENT_USER; DROP OWNED BY {role.name}")

    assert (upgrade.returncode, status.returncode) == (0, 0), upgrade.stderr + status.stderr
    assert "from DB_SECRET_ARN" in status.stdout


def test_psql_gets_the_password_of_the_secret(bastion: dict[str, str], role: Role, tmp_path: Path) -> None:
    done = program(tmp_path, bastion, "psql", "-XAtc", "SELECT current_user")

    assert (done.stdout.strip(), done.returncode) == (role.name, 0)


def test_a_database_that_only_the_environment_names_is_not_emptied(
    bastion: dict[str, str], tmp_path: Path
) -> None:
    done = program(tmp_path, bastion, "reset", "--yes")

    assert done.returncode == 2
    assert "is named by DB_SECRET_ARN only" in done.stderr


def test_a_wrong_secret_is_one_line_also_with_its_traceback(
    bastion: dict[str, str], role: Role, aws: Aws, tmp_path: Path
) -> None:
    aws.rotate(bastion["DB_SECRET_ARN"], **{**role.secret(), "password": LOST})
    known = role.password
    role.change("nobody-told-s3cr3t")

    plain = program(tmp_path, bastion, "status")
    debug = program(tmp_path, bastion, "--debug", "status")

    assert plain.returncode == debug.returncode == 2
    assert plain.stderr.count("\n") == 1
    assert "Traceback" in debug.stderr
    everything = plain.stdout + plain.stderr + debug.stdout + debug.stderr
    assert [one for one in (known, LOST, role.password) if one in everything] == []


def test_the_data_api_is_refused_by_a_command_that_needs_a_session(tmp_path: Path) -> None:
    done = program(tmp_path, {"AURORA_CLUSTER_ARN": "arn:aws:rds:eu-central-2:1:cluster:c"}, "check")

    assert done.returncode == 2
    assert "not possible through the RDS Data API" in done.stderr


def test_an_application_connects_as_the_page_shows(
    bastion: dict[str, str], role: Role, tmp_path: Path
) -> None:
    block = re.search(r"```python\n(.*?)    \.\.\.\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block
    code = f"from sqlalchemy import text\n{block[1]}    print(session.scalar(text('SELECT current_user')))\n"

    done = program(tmp_path, bastion, "-c", code)

    assert (done.stdout.strip(), done.stderr) == (role.name, "")


def test_every_variable_is_on_the_page() -> None:
    sources = Path(__file__).parents[2] / "src" / "dbschema" / "connect"
    read = set()
    for path in sources.glob("*.py"):
        read |= set(re.findall(r'"((?:DB|RDS|AURORA|DATABASE)_[A-Z_]+)"', path.read_text(encoding="utf-8")))

    page = PAGE.read_text(encoding="utf-8")

    assert len(read) >= 14
    assert sorted(name for name in read if f"`{name}" not in page) == []
