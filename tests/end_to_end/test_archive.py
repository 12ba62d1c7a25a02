"""The archives that `make lambda` builds for Lambda, by their contents; the other tests of this folder run them."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import archives
import pytest
from dbschema_infra.archive import Archive

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
ARCHITECTURES = {"arm64": "aarch64", "x86_64": "x86_64"}
ELF_MACHINES = {"arm64": 183, "x86_64": 62}
FOR_APPLICATIONS = ("dbschema.connect.asynchronous", "dbschema.sessions")
"""Modules that no event needs: they serve programs that have tenants, or run on asyncio, which takes greenlet."""

EXTRAS = ("aws_advanced_python_wrapper", "filelock")
"""Not in the archive: what a setting needs that is off (DB_FAILOVER_SECONDS; reported as missing), and the lock of the private
server, which a function never starts."""

LEFT_OUT = {
    "boto3",
    "botocore",
    "filelock",
    "greenlet",
    "pglast",
    "rich",
    "rich_argparse",
    "s3transfer",
    "urllib3",
}


@pytest.fixture(scope="session")
def delivered(shared: Path) -> Callable[[str], Path]:
    """Gives the archive for an architecture and Python 3.13, as it would be uploaded."""

    def build(arch: str) -> Path:
        with archives.alone("delivered"):
            path = shared / "delivered" / f"lambda-{arch}.zip"
            return path if path.exists() else archives.build(archives.builder().Target(arch), path.parent)

    return build


@pytest.fixture(params=sorted(ARCHITECTURES))
def arch(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def contents(delivered: Callable[[str], Path], arch: str) -> dict[str, bytes]:
    with zipfile.ZipFile(delivered(arch)) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_another_build_elsewhere_gives_the_same_bytes(
    delivered: Callable[[str], Path], tmp_path: Path
) -> None:
    """In another folder, with other dates, other rights for new files, and another seed for hashes."""
    checkout = archives.copy_checkout(tmp_path / "a checkout")
    for path in (*checkout.rglob("*"), checkout):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    (checkout / "build").mkdir()
    (checkout / "build" / "lambda").symlink_to(archives.CACHE)
    command = [sys.executable, "scripts/build_lambda.py", "--arch", "arm64", "--output", tmp_path / "dist"]
    with archives.alone("build"):
        subprocess.run(
            command,
            cwd=checkout,
            umask=0o077,
            env={**os.environ, "RDS_BUNDLE": "none", "PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo"},
            check=True,
            capture_output=True,
        )

    assert (tmp_path / "dist" / "lambda-arm64.zip").read_bytes() == delivered("arm64").read_bytes()


def test_it_holds_the_entry_the_package_and_all_of_the_alembic_folder(contents: dict[str, bytes]) -> None:
    source = {path: path.relative_to(ROOT / "src") for path in (ROOT / "src" / "dbschema").rglob("*")}
    folder = "dbschema/migrations/_alembic"
    revisions = {
        path: Path(folder) / path.relative_to(ROOT / "alembic") for path in (ROOT / "alembic").rglob("*")
    }

    wanted = {
        str(name): path.read_bytes()
        for path, name in (source | revisions).items()
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert contents["lambda_entry.py"] == (ROOT / "lambda_entry.py").read_bytes()
    assert {f"{folder}/env.py", f"{folder}/script.py.mako"} <= set(wanted)
    assert {name: content for name, content in contents.items() if name.startswith("dbschema/")} == wanted


def test_what_lambda_has_itself_and_what_no_function_uses_is_left_out(contents: dict[str, bytes]) -> None:
    top = {name.partition("/")[0] for name in contents}

    assert not top & LEFT_OUT
    assert not [name for name in contents if name.endswith((".pyc", ".pyi", ".pyx", "/RECORD"))]
    assert not [name for name in contents if name.startswith(("sqlalchemy/testing/", "alembic/testing/"))]


def test_every_part_says_its_version_and_brings_its_licence(contents: dict[str, bytes]) -> None:
    infos = {name.partition("/")[0] for name in contents if ".dist-info/" in name}
    licensed = {
        name.partition("/")[0] for name in contents if re.search(r"\.dist-info/.*(LICEN[CS]E|COPYING)", name)
    }
    pinned = re.findall(r"^([\w-]+)==(\S+)", (ROOT / archives.builder().LOCK).read_text(), re.MULTILINE)
    expected = {
        f"{name.replace('-', '_')}-{version}.dist-info" for name, version in pinned if name != "tzdata"
    }

    assert infos == expected | {"dbschema-0.1.0.dist-info"}
    assert all(f"{info}/METADATA" in contents for info in infos)
    assert licensed >= expected


def test_its_libraries_are_for_this_machine_and_python_3_13(contents: dict[str, bytes], arch: str) -> None:
    libraries = {name: content for name, content in contents.items() if content[:4] == b"\x7fELF"}
    tags = {
        line.partition(": ")[2]
        for name, content in contents.items()
        if name.endswith(".dist-info/WHEEL")
        for line in content.decode().splitlines()
        if line.startswith("Tag: ")
    }

    modules = {name for name in libraries if name.endswith(".so")}

    assert any("psycopg_binary/" in name for name in modules)
    assert {int.from_bytes(content[18:20], "little") for content in libraries.values()} == {
        ELF_MACHINES[arch]
    }
    assert not [
        name
        for name in modules
        if f".cpython-313-{ARCHITECTURES[arch]}-" not in name and ".abi3." not in name
    ]
    assert {tag.split("-")[0] for tag in tags} <= {"cp313", "cp310", "py2", "py3"}
    assert {tag.split("-")[1] for tag in tags if tag.startswith("cp310")} <= {"abi3"}
    assert all(tag.endswith(("-any", f"_{ARCHITECTURES[arch]}")) for tag in tags)


def test_it_is_no_larger_than_allowed(contents: dict[str, bytes]) -> None:
    assert archives.builder().LIMIT == 45_000_000
    assert sum(map(len, contents.values())) <= archives.builder().LIMIT


def test_the_cdk_app_takes_it_and_finds_the_head_of_this_checkout(
    delivered: Callable[[str], Path], arch: str
) -> None:
    found = Archive.open(delivered(arch))

    found.check_against(ROOT / "alembic" / "versions")


def imports_of(path: Path) -> set[str]:
    """Every module that a file may import, at its top or inside a function, but for type checking."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            node.body = []
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def file_of(module: str, task_root: Path) -> Path | None:
    """The file of a module of the archive."""
    path = task_root.joinpath(*module.split("."))
    return next((one for one in (path / "__init__.py", path.with_suffix(".py")) if one.is_file()), None)


def reachable(task_root: Path) -> tuple[set[str], set[str]]:
    """The modules of dbschema that the function can come to, and what these import from elsewhere."""
    scripts = task_root / archives.VERSIONS
    waiting = set.union(
        *(imports_of(path) for path in (task_root / "lambda_entry.py", scripts.parent / "env.py"))
    )
    waiting |= set.union(*(imports_of(path) for path in scripts.glob("*.py")))
    ours: set[str] = set()
    others: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name.startswith((*FOR_APPLICATIONS, *EXTRAS)):
            continue
        if name.partition(".")[0] != "dbschema":
            others.add(name)
            continue
        parents = {name.rsplit(".", count)[0] for count in range(1, name.count(".") + 1)}
        for module in {name, *parents} - ours:
            if (path := file_of(module, task_root)) is not None:
                ours.add(module)
                found = imports_of(path)
                waiting |= found
                if "importlib.import_module" in found and path.name == "__init__.py":
                    # It gives its names out of its modules when they are asked for, and no `import` says which.
                    waiting |= {f"{module}.{one.stem}" for one in path.parent.glob("[!_]*.py")}
    return ours, others


def test_all_that_the_function_can_come_to_is_there(task_root: Path, service: Any, tmp_path: Path) -> None:
    """Also what is imported late, when an event needs it: by the archive and Lambda's runtime alone."""
    ours, others = reachable(task_root)
    program = """
import importlib, sys
missing = []
for name in sys.stdin.read().split():
    parent, _, last = name.rpartition(".")
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        # It may be no module, but a name in one.
        try:
            if not parent or not hasattr(importlib.import_module(parent), last):
                missing.append(f"{name}: {error}")
        except ModuleNotFoundError:
            missing.append(f"{name}: {error}")
raise SystemExit("\\n".join(missing) or 0)
"""

    done = subprocess.run(
        [archives.interpreter().path, "-S", "-c", program],
        input="\n".join(sorted(ours | others)),
        cwd=tmp_path,
        env={"PYTHONPATH": f"{task_root}{os.pathsep}{service.runtime}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert {"dbschema.tools.deploy.handler", "dbschema.migrations.runner", "dbschema.models"} <= ours
    assert {"boto3", "alembic", "psycopg"} <= {name.partition(".")[0] for name in others}
    assert (done.returncode, done.stderr) == (0, "")
