"""The wheel and the sdist: what they hold, that they can be built again byte for byte, and that the wheel works alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest
from packaging.requirements import Requirement

from dbschema.models import Base

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
REVISIONS = sorted(path.name for path in (ROOT / "alembic" / "versions").glob("*.py"))
TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ('alembic_version', 'spatial_ref_sys')"


def build(source: Path, target: Path, umask: int = 0o022) -> tuple[Path, Path]:
    """Build wheel and sdist as `make wheel` does."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", target],
        cwd=source,
        umask=umask,
        check=True,
        capture_output=True,
        text=True,
    )
    return next(target.glob("*.whl")), next(target.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def wheel(built: tuple[Path, Path]) -> Path:
    return built[0]


@pytest.fixture(scope="module")
def unpacked_sdist(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    # Python 3.11.2 of Debian 12 has no filter for tarfile, newer ones ask for it.
    subprocess.run(["tar", "-xzf", built[1], "-C", folder], check=True)
    return next(folder.iterdir())


def sources() -> set[str]:
    """The files of the package and of `alembic/`, under the names that the wheel gives them."""
    package = {path: path.relative_to(ROOT / "src") for path in (ROOT / "src").rglob("*")}
    revisions = {
        path: Path("dbschema/migrations/_alembic") / path.relative_to(ROOT / "alembic")
        for path in (ROOT / "alembic").rglob("*")
    }
    return {
        str(name)
        for path, name in (package | revisions).items()
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }


def test_the_wheel_holds_the_package_and_the_revisions_and_nothing_else(wheel: Path) -> None:
    held = zipfile.ZipFile(wheel).namelist()

    code = {name for name in held if ".dist-info/" not in name}
    assert code == sources()
    assert "dbschema/py.typed" in code
    assert {"env.py", "script.py.mako"} <= {
        name.removeprefix("dbschema/migrations/_alembic/") for name in code
    }
    assert REVISIONS
    assert {f"dbschema/migrations/_alembic/versions/{name}" for name in REVISIONS} <= code
    compiled = "dbschema/migrations/_alembic/compiled"
    assert {f"{compiled}/manifest.json", f"{compiled}/snapshot.json"} <= code


def test_the_wheel_declares_its_command_its_plugin_and_its_interpreters(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        text = archive.read(info).decode()
        entry_points = archive.read(info.replace("METADATA", "entry_points.txt")).decode()

    assert "[console_scripts]\ndbschema = dbschema.tools.cli:main" in entry_points
    assert "[alembic.plugins]\ndbschema = dbschema.autogenerate" in entry_points
    assert "Requires-Python: >=3.11" in text


def test_the_sdist_holds_what_a_build_needs_and_no_tests(unpacked_sdist: Path) -> None:
    top = {path.name for path in unpacked_sdist.iterdir()}

    assert top == {
        "src",
        "alembic",
        "alembic.ini",
        "README.md",
        "CHANGELOG.md",
        "pyproject.toml",
        "PKG-INFO",
        "LICENSE",
        ".gitignore",
    }


def test_another_build_elsewhere_gives_the_same_bytes(
    built: tuple[Path, Path], unpacked_sdist: Path, tmp_path: Path
) -> None:
    """Built from the sdist in another folder, with other dates and other rights for new files."""
    for path in unpacked_sdist.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))

    again = build(unpacked_sdist, tmp_path, umask=0o077)

    assert [path.name for path in again] == [path.name for path in built]
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in built]


def requirements_of(wheel: Path) -> set[str]:
    """The names of all distributions that an installation of the wheel brings along."""
    found: set[str] = set()
    with zipfile.ZipFile(wheel) as archive:
        info = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        lines = archive.read(info).decode().splitlines()
    waiting = [
        (Requirement(line.partition(": ")[2]), "") for line in lines if line.startswith("Requires-Dist: ")
    ]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        for wanted in ("", *requirement.extras):
            if f"{requirement.name}[{wanted}]" not in found:
                found.add(f"{requirement.name}[{wanted}]")
                waiting += [(Requirement(line), wanted) for line in metadata.requires(requirement.name) or []]
    return {name.partition("[")[0] for name in found}


def link(distribution: str, site_packages: Path) -> None:
    """Make one installed distribution visible in another environment."""
    files = metadata.files(distribution) or []
    for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
        if not (site_packages / top).exists():
            (site_packages / top).symlink_to(Path(str(metadata.distribution(distribution).locate_file(top))))


class Installed:
    """An environment outside the checkout that holds the wheel and what it requires, nothing of the tools for development."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "venv" / "bin"
        self.cwd = folder / "empty"

    def run(self, program: str, *arguments: str, code: int = 0) -> str:
        """Run a program of the environment in the empty folder; its output."""
        kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
        result = subprocess.run(
            [self.bin / program, *arguments],
            cwd=self.cwd,
            env={
                "PATH": f"{self.bin}:{os.environ['PATH']}",
                "HOME": str(self.cwd),
                "DBSCHEMA_HOME": str(self.folder / "home"),
                **kept,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert result.returncode == code, result.stdout + result.stderr
        return result.stdout


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Iterator[Installed]:
    folder = Path(tempfile.mkdtemp(prefix="dbschema-wheel-"))
    # Started by root, the server runs as another user, who must be able to reach its folder.
    folder.chmod(0o755)
    installed = Installed(folder)
    installed.cwd.mkdir()
    python = str(installed.bin / "python")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    site_packages = Path(
        installed.run("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    )
    for distribution in requirements_of(wheel):
        link(distribution, site_packages)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    subprocess.run([*pip, "install", "-q", "--no-index", "--no-deps", wheel], check=True)
    subprocess.run([*pip, "check"], check=True)
    yield installed
    try:
        if (folder / "home").exists():
            installed.run("dbschema", "down", "--destroy")
    finally:
        shutil.rmtree(folder)


def test_the_package_of_the_wheel_is_imported_and_not_the_checkout(installed: Installed) -> None:
    output = installed.run("python", "-c", "import dbschema; print(dbschema.__file__)")

    assert Path(output.strip()).is_relative_to(installed.folder)


def test_an_application_imports_the_models_from_the_wheel(installed: Installed) -> None:
    output = installed.run(
        "python", "-c", "from dbschema.models import Incident; print(Incident.__tablename__)"
    )

    assert output == "incidents\n"


def test_an_application_gets_the_types_of_the_models(installed: Installed, tmp_path: Path) -> None:
    """`py.typed` is there and mypy finds it."""
    (tmp_path / "application.py").write_text(
        "from dbschema.models import Incident\n\nreveal_type(Incident)\n"
    )

    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--python-executable",
            installed.bin / "python",
            "application.py",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert "dbschema.models" in result.stdout
    assert "import-untyped" not in result.stdout


def test_the_wheel_alone_makes_upgrades_and_removes_a_database(installed: Installed) -> None:
    """From an empty folder: `up`, an `upgrade` of another database by its address, `down --destroy`."""
    installed.run("dbschema", "up", "--no-seed")
    url = installed.run("dbschema", "url").strip()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE another")
    another = urlsplit(url)._replace(path="/another").geturl()

    installed.run("dbschema", "upgrade", "--url", another)

    status = json.loads(installed.run("dbschema", "status", "--json", "--url", another))
    with psycopg.connect(another) as connection:
        tables = connection.execute(TABLES).fetchone()
    installed.run("dbschema", "down", "--destroy")
    assert status["pending"] == []
    assert tables == (len(Base.metadata.tables),)
    assert list(installed.cwd.iterdir()) == []
    assert not list((installed.folder / "home").glob("**/PG_VERSION"))
