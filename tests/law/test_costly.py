"""Costly libraries are imported by few modules, and `import dbschema` opens nothing."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.law.source import PACKAGE, File, files, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALLOWED = {
    "alembic": ("_alembic", "autogenerate", "migrations", "testing"),
    "boto3": ("connect.aws",),
    "botocore": ("connect.aws",),
    "aws_advanced_python_wrapper": ("connect.failover",),
}
"""Who may import a library, as modules and packages of ours. An import for type checking costs nothing and is free."""


def costly_imports(file: File) -> Iterator[str]:
    """The imports of a file that only others may do, with place and library."""
    of_types = file.for_type_checking
    mine = file.module.partition(".")[2]
    for node, module, _ in file.imports():
        library = module.partition(".")[0]
        allowed = ALLOWED.get(library)
        if allowed is None or id(node) in of_types:
            continue
        if not any(mine == name or mine.startswith(f"{name}.") for name in allowed):
            yield f"{file.at(node)} imports {library}; only {', '.join(allowed)} may"


def test_costly_libraries_are_imported_by_few() -> None:
    found = [line for file in files(PACKAGE) for line in costly_imports(file)]

    assert not found, "\n".join(found)


def test_each_module_that_may_import_a_costly_library_exists() -> None:
    modules = {file.module.partition(".")[2] for file in files(PACKAGE)}

    assert {name for names in ALLOWED.values() for name in names} <= modules


def test_an_import_inside_a_function_is_found_and_one_for_types_is_free(tmp_path: Path) -> None:
    base = write(
        tmp_path,
        catalog__a="def f():\n    from alembic.operations import ops",
        catalog__b="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import alembic",
        connect__aws="import boto3",
        connect__aws_other="import boto3",
        migrations__run="import alembic",
    )

    found = [line for file in files(base) for line in costly_imports(file)]

    assert found == [
        "catalog/a.py:2 imports alembic; only _alembic, autogenerate, migrations, testing may",
        "connect/aws_other.py:1 imports boto3; only connect.aws may",
    ]


WATCHED = """
import os, sys
def audit(event, args):
    if event.startswith(("socket.", "subprocess.", "os.system")):
        raise SystemExit(f"import dbschema did {event} {args}")
sys.addaudithook(audit)
plain = os._Environ.__getitem__
def watched(self, key):
    if key.startswith(("DB", "DATABASE", "AWS", "PG", "RDS", "AURORA")):
        raise SystemExit(f"import dbschema read {key}")
    return plain(self, key)
os._Environ.__getitem__ = watched
"""


def run(program: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", WATCHED + program], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


def test_importing_dbschema_opens_nothing_and_imports_no_costly_library() -> None:
    """A socket, a look into the environment, or a heavy library would be paid by everybody who imports the package."""
    program = """
import dbschema
import dbschema.models, dbschema.ddl, dbschema.errors
from dbschema import *
heavy = [name for name in ("alembic", "boto3", "botocore", "rich", "rich_argparse") if name in sys.modules]
raise SystemExit(f"imported {heavy}" if heavy else 0)
"""

    assert run(program) == (0, "")


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import socket; socket.socket()", "did socket.__new__"),
        ("import subprocess; subprocess.run(['true'])", "did subprocess.Popen"),
        ("os.environ.get('PGHOST')", "read PGHOST"),
        ("os.environ['DATABASE_URL']", "read DATABASE_URL"),
    ],
)
def test_what_an_import_must_not_do_is_seen(program: str, message: str) -> None:
    code, error = run(program)

    assert code == 1
    assert message in error


def test_importing_the_commands_of_an_empty_upgrade_imports_neither_sqlalchemy_nor_alembic() -> None:
    program = """
import dbschema.migrations.runner
heavy = [name for name in ("sqlalchemy", "alembic", "geoalchemy2") if name in sys.modules]
raise SystemExit(f"imported {heavy}" if heavy else 0)
"""

    assert run(program) == (0, "")
