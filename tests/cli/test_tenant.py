"""The commands of a tenant's life, and that none of them does what was not meant."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def rows(run: Callable[..., subprocess.CompletedProcess[str]], url: str) -> list[str]:
    return [
        one["slug"] for one in json.loads(run("tenant", "list", "--json", "--url", url).stdout)["tenants"]
    ]


def test_a_tenant_is_created_exported_removed_and_imported(
    run: Callable[..., subprocess.CompletedProcess[str]], new_database: Callable[..., str], tmp_path: Path
) -> None:
    url = new_database(migrated=True)
    run("tenant", "create", "Neighbour", "neighbour", "--url", url)

    made = run("tenant", "create", "Corner Bakery", "corner-bakery", "--url", url, "--json")
    exported = run("tenant", "export", "corner-bakery", str(tmp_path / "export"), "--url", url, "--json")
    counted = run("tenant", "remove", "corner-bakery", "--dry-run", "--url", url, "--json")
    before = rows(run, url)
    removed = run("tenant", "remove", "corner-bakery", "--yes", "--url", url, "--json")
    between = rows(run, url)
    imported = run("tenant", "import", str(tmp_path / "export"), "--url", url, "--json")

    results = (made, exported, counted, removed, imported)
    assert [(one.returncode, one.stderr) for one in results] == [(0, "")] * 5
    key = json.loads(made.stdout)["tenant"]["id"]
    answers = [json.loads(one.stdout) for one in results[1:]]
    assert [one["tenant"] for one in answers] == [key] * 4
    assert [sorted(one["rows"].items()) for one in answers[1:]] == [sorted(answers[0]["rows"].items())] * 3
    assert [one.get("removed") for one in answers] == [None, False, True, None]
    assert (before, between, rows(run, url)) == (
        ["corner-bakery", "neighbour"],
        ["neighbour"],
        ["corner-bakery", "neighbour"],
    )


def test_people_read_what_was_done(
    run: Callable[..., subprocess.CompletedProcess[str]], database: str, tmp_path: Path
) -> None:
    key = str(uuid4())

    empty = run("tenant", "list", "--url", database)
    made = run("tenant", "create", "Corner Bakery", "corner-bakery", "--id", key, "--url", database)
    again = run("tenant", "create", "Corner Bakery", "corner-bakery", "--id", key, "--url", database)
    listed = run("tenant", "list", "--url", database)
    exported = run("tenant", "export", key, str(tmp_path / "export"), "--url", database)
    counted = run("tenant", "remove", key, "--dry-run", "--url", database)

    assert empty.stdout.endswith("has no tenants.\n")
    assert made.stdout == again.stdout == f"Tenant corner-bakery has the id {key}.\n"
    assert listed.stdout.splitlines()[1].split()[:3] == ["corner-bakery", key, "active"]
    assert exported.stdout.splitlines()[-1].startswith(
        f"Tenant corner-bakery is exported to {tmp_path / 'export'}: "
    )
    assert "agent_definitions" in exported.stdout
    assert counted.stdout.endswith("rows; nothing was removed.\n")


def test_without_a_terminal_nothing_is_removed_unless_it_is_said(
    run: Callable[..., subprocess.CompletedProcess[str]], database: str
) -> None:
    run("tenant", "create", "Corner Bakery", "corner-bakery", "--url", database)

    refused = run("tenant", "remove", "corner-bakery", "--url", database)

    assert refused.returncode == 2
    assert "removes tenant corner-bakery (Corner Bakery) from" in refused.stderr
    assert "--yes" in refused.stderr
    assert rows(run, database) == ["corner-bakery"]


@pytest.mark.parametrize(("typed", "code"), [("yes", 2), ("neighbour", 2), ("corner-bakery", 0)])
def test_on_a_terminal_the_slug_has_to_be_typed(
    run: Callable[..., subprocess.CompletedProcess[str]], database: str, tmp_path: Path, typed: str, code: int
) -> None:
    run("tenant", "create", "Neighbour", "neighbour", "--url", database)
    run("tenant", "create", "Corner Bakery", "corner-bakery", "--url", database)
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execv(
            sys.executable,
            [sys.executable, "-m", "dbschema", "tenant", "remove", "corner-bakery", "--url", database],
        )

    os.write(terminal, f"{typed}\n".encode())
    shown = b""
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # the other side has closed
            break
        if not data:
            break
        shown += data
    _, status = os.waitpid(child, 0)
    os.close(terminal)

    assert os.waitstatus_to_exitcode(status) == code, shown
    assert b"Type its slug to go on" in shown
    assert rows(run, database) == (["neighbour"] if code == 0 else ["corner-bakery", "neighbour"])


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("remove", "nobody", "--yes"), "There is no tenant nobody"),
        (("export", "nobody", "somewhere"), "There is no tenant nobody"),
        (("create", "Corner Bakery", "Not A Slug"), "ck_tenants_slug"),
        (("import", "nowhere"), "manifest.json: it cannot be read"),
        (("remove", "nobody", "--batch", "0"), "greater than or equal to 1"),
        (("export", "nobody", "x", "--models", "no.such"), "The models 'no.such' cannot be imported"),
        (
            ("export", "nobody", "x", "--models", "json"),
            "There is no MetaData and no base class of models under the name 'metadata' or 'Base' in json",
        ),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_code_2(
    run: Callable[..., subprocess.CompletedProcess[str]],
    database: str,
    arguments: tuple[str, ...],
    reason: str,
) -> None:
    result = run("tenant", *arguments, "--url", database)

    assert (result.returncode, result.stdout) == (2, "")
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_applications_own_tables_are_found_by_the_name_of_their_module(
    run: Callable[..., subprocess.CompletedProcess[str]],
    program: Callable[..., subprocess.CompletedProcess[str]],
    database: str,
    tmp_path: Path,
) -> None:
    (tmp_path / "shop.py").write_text(
        "from dbschema import Base, TenantScoped\n"
        "import dbschema.models\n"
        "class Receipt(TenantScoped, Base):\n"
        "    __tablename__ = 'receipts'\n"
        "metadata = Base.metadata\n"
        "if __name__ == '__main__':\n"
        "    import sqlalchemy, sys\n"
        "    metadata.create_all(sqlalchemy.create_engine(sys.argv[1]))\n"
    )
    run("tenant", "create", "Corner Bakery", "corner-bakery", "--url", database)
    subprocess.run([sys.executable, "shop.py", database], cwd=tmp_path, check=True)

    without = program("tenant", "remove", "corner-bakery", "--yes", "--url", database)
    counted = program(
        "tenant", "remove", "corner-bakery", "--dry-run", "--json", "--url", database, "--models", "shop"
    )

    assert (without.returncode, "receipts" in without.stderr, "--models" in without.stderr) == (
        2,
        True,
        True,
    )
    assert json.loads(counted.stdout)["rows"]["receipts"] == 0
