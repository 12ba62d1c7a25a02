"""The code of docs/tenants.md runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tenants.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"<!-- runs as a test: (\w+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL))

USE = """
import os
import sqlalchemy
from sqlalchemy.orm import Session
from dbschema import create_tenant
engine = sqlalchemy.create_engine(os.environ["DATABASE_URL"])
Base.metadata.create_all(engine)
with Session(engine) as session:
    tenant = create_tenant(session, "Corner Bakery", "corner-bakery").id
    session.execute(sqlalchemy.text(f"SET LOCAL app.tenant_id = '{tenant}'"))
    session.add(Contract(tenant_id=tenant, title="Lease", signature="hush"))
    session.flush()
    print(*session.execute(sqlalchemy.select(AuditLog.action, AuditLog.resource_type, AuditLog.details["hidden"])).one())
"""


def run(command: list[str], folder: Path, url: str) -> str:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DATABASE_URL": url,
        "PYTHONPATH": str(ROOT / "src"),
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_has_the_blocks_that_are_tried_here() -> None:
    assert set(BLOCKS) == {"commands", "functions", "audited"}


def test_the_commands_do_what_the_page_says(new_database: Callable[..., str], tmp_path: Path) -> None:
    shown = run(["sh", "-e", "-c", BLOCKS["commands"]], tmp_path, new_database(migrated=True, driver=""))

    assert "Tenant corner-bakery is removed" in shown
    assert "Tenant corner-bakery is imported" in shown
    assert (tmp_path / "corner-bakery" / "manifest.json").exists()


def test_the_functions_do_what_the_page_says(new_database: Callable[..., str], tmp_path: Path) -> None:
    url = new_database(migrated=True, driver="")

    shown = run([sys.executable, "-W", "error", "-c", BLOCKS["functions"]], tmp_path, url)

    assert shown == "harbour-books True\n['harbour-books']\n"


def test_the_audited_model_is_recorded_as_the_page_says(
    new_database: Callable[..., str], tmp_path: Path
) -> None:
    url = new_database(migrated=True)

    shown = run([sys.executable, "-W", "error", "-c", BLOCKS["audited"] + USE], tmp_path, url)

    assert shown == "insert contracts ['signature']\n"
