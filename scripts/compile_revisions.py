"""Write the SQL of the revisions beside them, by which an upgrade needs neither Alembic nor SQLAlchemy.

    python scripts/compile_revisions.py [--check] [FOLDER]

FOLDER has `env.py` and `versions/`; without one, it is that of this package. With --check nothing is written, and the exit
code is 1 where something would be.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dbschema.errors import DbSchemaError
from dbschema.migrations import compilation

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Compile, or say what is not fresh."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "alembic")
    arguments = parser.parse_args()
    try:
        changed = (compilation.check if arguments.check else compilation.write)(arguments.folder.resolve())
    except DbSchemaError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 2
    sys.stdout.write(
        "".join(f"{'not fresh' if arguments.check else 'changed'}: {name}\n" for name in changed)
    )
    return int(arguments.check and bool(changed))


if __name__ == "__main__":
    raise SystemExit(main())
