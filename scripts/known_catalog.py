"""Write what the models want of a database beside them, by which an upgrade is compared without importing them.

    python scripts/known_catalog.py [--check]

A private server in a temporary folder builds them. With --check nothing is written, and the exit code is 1 where something
would be.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from sqlalchemy import Connection, create_engine

from dbschema import application, catalog
from dbschema.catalog import known
from dbschema.migrations import runner
from dbschema.models import metadata
from dbschema.server import PrivateServer


def made(connection: Connection) -> str:
    """The text of the file, by a database that has the extensions."""
    wanted = catalog.wanted(connection, metadata)
    return known.write(wanted, catalog.spoken_of(metadata), application.sources())


def main() -> int:
    """Write the file, or say that it is not fresh."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dbschema-known-"))
    folder.chmod(0o755)  # the server may run as another user
    server = PrivateServer(folder / "server", options={"fsync": "off"})
    try:
        url = server.start().url()
        runner.upgrade(url)
        engine = create_engine(url)
        with engine.connect() as connection:
            text = made(connection)
        engine.dispose()
    finally:
        server.destroy()
        shutil.rmtree(folder, ignore_errors=True)
    fresh = application.KNOWN.exists() and application.KNOWN.read_text(encoding="utf-8") == text
    if not fresh and not arguments.check:
        application.KNOWN.write_text(text, encoding="utf-8")
    if not fresh:
        sys.stdout.write(f"{'not fresh' if arguments.check else 'changed'}: {application.KNOWN.name}\n")
    return int(arguments.check and not fresh)


if __name__ == "__main__":
    raise SystemExit(main())
