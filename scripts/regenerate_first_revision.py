"""Write the first revision again from the models, by autogenerate against an empty database.

Use it only before the first release: afterwards a change of the models is a new revision. The id and the
date of the revision stay, so that the diff shows only the changes of the models. Its SQL is
compiled again; `make compile` writes the snapshot of the models.

    python scripts/regenerate_first_revision.py [--check]
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from dbschema.migrations import compilation
from dbschema.tools.server import PrivateServer

ROOT = Path(__file__).resolve().parents[1]
MESSAGE = "create schema"
DATE = re.compile(r"^Create Date: .*$", re.MULTILINE)


def first_revision() -> Path | None:
    """Return the file of the first revision; None if it does not exist."""
    scripts = ScriptDirectory.from_config(Config(str(ROOT / "alembic.ini")))
    base = scripts.get_base()
    return None if base is None else Path(scripts.get_revision(base).path)


def generate(url: str, folder: Path, revision: str | None = None) -> Path:
    """Let autogenerate write a first revision into `folder`, from the empty database at `url`, and format it."""
    config = Config(str(ROOT / "alembic.ini"), attributes={"url": url})
    config.set_main_option("version_locations", str(folder))
    script = command.revision(config, message=MESSAGE, autogenerate=True, rev_id=revision)
    path = Path(script.path)  # type: ignore[union-attr]  # one revision was asked for
    ruff = [Path(sys.executable).with_name("ruff"), "format", "--quiet", "--config", ROOT / "pyproject.toml"]
    subprocess.run([*ruff, path], check=True)  # noqa: S603  our own program and arguments
    return path


def main() -> int:
    """Replace the first revision; with --check only report whether it equals the models."""
    old = first_revision()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = PrivateServer(folder / "server", options={"fsync": "off"})
        try:
            revision = (
                None if old is None else re.search(r'^revision: str = "(\w+)"', old.read_text(), re.MULTILINE)
            )
            versions = folder / "versions"
            versions.mkdir()
            new = generate(server.start().url(driver="psycopg"), versions, revision[1] if revision else None)
        finally:
            server.destroy()
        if old is None:
            shutil.copy(new, ROOT / "alembic" / "versions")
            compilation.write(ROOT / "alembic")
            return 0
        date = DATE.search(old.read_text(encoding="utf-8"))
        text = DATE.sub(date[0] if date else "", new.read_text(encoding="utf-8"), count=1)
        same = text == old.read_text(encoding="utf-8")
        if "--check" not in sys.argv[1:]:
            old.write_text(text, encoding="utf-8")
            compilation.write(ROOT / "alembic")
        sys.stdout.write("unchanged\n" if same else f"changed: {old.relative_to(ROOT)}\n")
        return int(not same and "--check" in sys.argv[1:])


if __name__ == "__main__":
    raise SystemExit(main())
