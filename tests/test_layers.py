"""The layers of ARCHITECTURE: a lower one never imports a higher one, and costly libraries are imported by few."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "dbschema"
LAYERS = [
    {
        "_alembic",
        "_progress",
        "_retry",
        "_sqlalchemy",
        "environment",
        "errors",
        "identity",
        "naming",
        "secrecy",
    },
    {"types", "geography", "base", "ddl.objects"},
    {"ddl.registry"},
    {"ddl"},
    {"mixins", "relations"},
    {"models"},
    {"catalog", "autogenerate", "connect"},
    {"migrations", "server", "application"},
    {
        "sessions",
        "queries",
        "loading",
        "seeds",
        "lifecycle",
        "verify",
        "deploy",
        "testing",
        "cli",
        "__main__",
    },
]
ALEMBIC = {"_alembic", "autogenerate", "migrations", "testing"}
KNOWS_NO_MODELS = {"catalog", "autogenerate", "connect"}
BOTO3 = {"connect.aws"}
WRAPPER = {"connect.failover"}


def layer_of(module: str) -> int:
    """The layer of a module, by the longest name that is listed."""
    matches = [
        (len(name), number)
        for number, names in enumerate(LAYERS)
        for name in names
        if module == name or module.startswith(name + ".")
    ]
    if not matches:
        raise AssertionError(f"dbschema.{module} has no layer: give it one in {Path(__file__).name}")
    return max(matches)[1]


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if parts and parts[:2] != ("migrations", "_alembic"):
            found[".".join(parts)] = path
    return found


MODULES = modules()


def imports(path: Path) -> set[str]:
    """Every module that a file imports, at its top or inside a function, but for type checking."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            node.body = []
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
            names.add(node.module)
    return names


def ours(path: Path) -> set[str]:
    names = {name.removeprefix("dbschema.") for name in imports(path) if name.startswith("dbschema.")}
    return {name if name in MODULES else name.rpartition(".")[0] for name in names} - {"", "dbschema"}


@pytest.mark.parametrize("module", MODULES)
def test_no_module_imports_a_higher_layer(module: str) -> None:
    mine = layer_of(module)

    higher = {name for name in ours(MODULES[module]) if layer_of(name) > mine}

    assert not higher, f"dbschema.{module} (layer {mine}) imports {sorted(higher)}"


@pytest.mark.parametrize("module", MODULES)
def test_only_those_that_need_it_import_alembic_and_boto3(module: str) -> None:
    used = {name.partition(".")[0] for name in imports(MODULES[module])}

    assert "alembic" not in used or module.partition(".")[0] in ALEMBIC
    assert not used & {"boto3", "botocore"} or module in BOTO3
    assert "aws_advanced_python_wrapper" not in used or module in WRAPPER


@pytest.mark.parametrize("module", [name for name in MODULES if name.partition(".")[0] in KNOWS_NO_MODELS])
def test_what_serves_any_metadata_does_not_know_the_models(module: str) -> None:
    assert not {name for name in ours(MODULES[module]) if name.partition(".")[0] == "models"}


def test_importing_dbschema_opens_nothing_and_imports_neither_alembic_nor_boto3() -> None:
    """A socket, a look into the environment, or a heavy library would be paid by everybody who imports the package."""
    program = """
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
import dbschema
import dbschema.models, dbschema.orm.base, dbschema.orm.mixins, dbschema.ddl, dbschema.errors
heavy = [name for name in ("alembic", "boto3", "botocore", "rich", "rich_argparse") if name in sys.modules]
raise SystemExit(f"imported {heavy}" if heavy else 0)
"""

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
