"""The archive as `make lambda` builds it, unpacked as Lambda does, and the runtime that Lambda has beside it.

Built for a Python 3.13 where this machine has one, else for the interpreter that runs the tests: Debian 12 has 3.11. The
code is the same, byte for byte; only compiled modules differ.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build" / "lambda"
VERSIONS = "dbschema/migrations/_alembic/versions"
BUILT_FROM = (
    "src",
    "alembic",
    "scripts",
    "requirements",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "lambda_entry.py",
)

# What Lambda's runtime for Python brings: its own client, and boto3.
RUNTIME = {
    "awslambdaric",
    "boto3",
    "botocore",
    "jmespath",
    "python-dateutil",
    "s3transfer",
    "simplejson",
    "six",
    "snapshot-restore-py",
    "urllib3",
}


@cache
def builder() -> Any:
    """The module `scripts/build_lambda.py`."""
    spec = importlib.util.spec_from_file_location("build_lambda", ROOT / "scripts" / "build_lambda.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


@contextmanager
def alone(name: str) -> Iterator[None]:
    """One worker of pytest-xdist at a time, and one run of tests."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True)
class Interpreter:
    """What runs the functions here."""

    path: str
    version: str

    @property
    def target(self) -> Any:
        """What an archive has to be built for, to run here."""
        arch = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]
        return builder().Target(arch, self.version)


@cache
def interpreter() -> Interpreter:
    """Lambda's Python, where this machine has it, else the one of these tests, without its environment."""
    for candidate in (f"python{builder().RUNTIME}", getattr(sys, "_base_executable", sys.executable)):
        found = shutil.which(candidate)
        if found is None:
            continue
        say = "import sys, ssl, ctypes; print('%d.%d' % sys.version_info[:2])"
        asked = subprocess.run([found, "-c", say], capture_output=True, text=True, check=False)
        if asked.returncode == 0:  # a version manager's stand-in for one that is not selected fails
            return Interpreter(found, asked.stdout.strip())
    raise AssertionError("there is no interpreter, though one is running")


def build(target: Any, output: Path, root: Path = ROOT) -> Path:
    """An archive of the checkout `root`, without the certificates of RDS, which come over the network."""
    with alone("build"):
        path: Path = builder().build(target, output, root=root, cache=CACHE)
    return path


def copy_checkout(folder: Path) -> Path:
    """All that an archive is built from, to be changed there."""
    folder.mkdir(parents=True)
    for name in BUILT_FROM:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


def unpack(archive: Path, folder: Path) -> Path:
    """The archive as a function finds it."""
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    return folder


def compile_all(folder: Path) -> None:
    """Compile all modules once: Lambda does it in each process, which would take the tests minutes."""
    command = [
        interpreter().path,
        "-m",
        "compileall",
        "-qq",
        "--invalidation-mode",
        "unchecked-hash",
        str(folder),
    ]
    subprocess.run(command, check=True)


def with_revisions(task_root: Path, folder: Path, **revisions: str) -> Path:
    """A copy of an unpacked archive with further revisions, by the names of their files."""
    shutil.copytree(task_root, folder, copy_function=os.link)
    for name, text in revisions.items():
        (folder / VERSIONS / f"{name}.py").write_text(text)
    return folder


def runtime(folder: Path) -> Path:
    """What is on Lambda's path beside the archive, for the interpreter that runs the functions here."""
    blocks = re.split(r"\n(?=\S)", (ROOT / "requirements" / "dev.txt").read_text())
    pinned = [block for block in blocks if block.partition("==")[0] in RUNTIME]
    assert {block.partition("==")[0] for block in pinned} == RUNTIME
    with alone("runtime"):
        lock = folder.parent / "runtime.txt"
        lock.write_text("\n".join(pinned) + "\n")
        for wheel in builder().pinned_wheels(lock, interpreter().target, CACHE / "runtime"):
            unpack(wheel, folder)
    return folder
