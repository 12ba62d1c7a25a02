"""An application adds tables of its own to ours, and its revisions to ours: one metadata, one history, one upgrade."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dbschema.migrations.location import script_location

MODELS = '''
"""Tables of the application."""

from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from dbschema.orm.mixins import Timestamped, foreign_key
from dbschema.models import Base
from dbschema.orm.mixins import TenantScoped

metadata = Base.metadata


class Invoice(TenantScoped, Timestamped, Base):
    """What a user owes."""

    __tablename__ = "invoices"
    __table_args__ = (foreign_key("user_id", "users"), {"comment": "What users owe"})

    user_id: Mapped[UUID] = mapped_column(index=True)
    number: Mapped[str]
'''

ENV = '''
"""The environment of the application."""

from alembic import context

from dbschema.migrations import alembic_env


def metadata():
    from shop import metadata

    return metadata


alembic_env.run(context, metadata)
'''


@pytest.fixture
def application(tmp_path: Path) -> Path:
    scripts = tmp_path / "scripts"
    (scripts / "versions").mkdir(parents=True)
    (scripts / "env.py").write_text(ENV, encoding="utf-8")
    shutil.copy(script_location() / "script.py.mako", scripts)
    (tmp_path / "shop.py").write_text(MODELS, encoding="utf-8")
    (tmp_path / "alembic.ini").write_text(
        "[alembic]\n"
        "script_location = %(here)s/scripts\n"
        f"version_locations = {script_location() / 'versions'}{os.pathsep}%(here)s/scripts/versions\n"
        "path_separator = os\n"
        "prepend_sys_path = %(here)s\n",
        encoding="utf-8",
    )
    return tmp_path


RUN = """
import json, sys
from alembic.config import main

for arguments in json.loads(sys.argv[2]):
    main(["-x", f"url={sys.argv[1]}", *arguments])
"""


def alembic(application: Path, url: str, *commands: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", RUN, url, json.dumps(commands)],
        cwd=application,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_application_writes_and_runs_revisions_beside_ours(application: Path, database: str) -> None:
    versions = application / "scripts" / "versions"
    write = ["revision", "--autogenerate", "-m", "create invoices", "--head", "head"]

    said = alembic(
        application,
        database,
        [*write, "--version-path", str(versions)],
        ["upgrade", "head"],
        ["check"],
        ["downgrade", "-1"],
    )

    assert "No new upgrade operations detected" in said
    (revision,) = versions.glob("*.py")
    source = revision.read_text(encoding="utf-8")
    tables = [line for line in source.splitlines() if "_table(" in line]
    assert [line.strip() for line in tables] == ["op.create_table('invoices',", "op.drop_table('invoices')"]
    for expected in (
        "CREATE POLICY tenant_isolation ON invoices",
        "FORCE ROW LEVEL SECURITY",
        "CREATE TRIGGER update_invoices_updated_at",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE invoices TO dbschema_app",
    ):
        assert expected in source
    assert "import dbschema" not in source
    assert "from dbschema" not in source
    assert_clean(revision)


def assert_clean(revision: Path) -> None:
    """Formatted, it passes the linter of this repository, with the exemptions of alembic/versions."""
    ruff = str(Path(sys.executable).with_name("ruff"))
    settings = ["--config", str(Path(__file__).resolve().parents[2] / "pyproject.toml"), "--no-cache"]
    subprocess.run([ruff, "format", *settings, revision], check=True, capture_output=True)
    done = subprocess.run(
        [ruff, "check", *settings, "--extend-ignore", "D103", revision],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
