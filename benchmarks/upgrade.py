"""Measure upgrades as whole processes, as ratios to psql: the first on an empty database, and the second with nothing pending.

    python benchmarks/upgrade.py [--tools-folder FOLDER] [--rounds 9] [--only NAME,…] [--url postgresql://…]

The first run is compared with `psql -1 -f` with the same statements, the second with `psql -c 'select 1'`. Each run of a tool
has a run of psql directly before it, on its own fresh database. The output has the medians of the ratios of these pairs:
times differ between machines, ratios hardly. Databases are created, outside the measurement, as clones of one that
has the extensions already (--bare: of an empty one, so that every tool has to create them), and
the group roles are in the cluster.

With --tools-folder, this library is installed there from its wheel, as by users, and other tools beside it, if they are
available: plain Alembic with the same revisions, Django and yoyo in one virtual environment, dbmate and node-pg-migrate by npm; the
same SQL is one migration of theirs, in one string. Without it, this library runs from the checkout, and Alembic beside it. Without
--url a server is started in a temporary folder (in memory, if there is /dev/shm).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg

from dbschema import connect
from dbschema.migrations import compiled
from dbschema.migrations.location import script_location
from dbschema.tools.server import PrivateServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[1]
DATABASE, TEMPLATE = "dbschema_benchmark_upgrade", "dbschema_benchmark_template"
TABLES = 21
BARS = {"first": 3.0, "second": 5.0}

ALEMBIC_INI = "[alembic]\nscript_location = %(here)s/alembic\npath_separator = os\n"
ALEMBIC_ENV = """
import os
from alembic import context
from sqlalchemy import create_engine, pool

with create_engine(os.environ["ALCHEMY_URL"], poolclass=pool.NullPool).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
DJANGO_SETTINGS = """
import os
from urllib.parse import urlsplit

url = urlsplit(os.environ["DATABASE_URL"])
DATABASES = {"default": {
    "ENGINE": "django.db.backends.postgresql", "NAME": url.path[1:], "USER": url.username, "PASSWORD": url.password,
    "HOST": url.hostname, "PORT": url.port,
}}
INSTALLED_APPS = ["schema"]
USE_TZ = True
"""
DJANGO_MIGRATION = """
from django.db import migrations

class Migration(migrations.Migration):
    operations = [migrations.RunSQL([{sql!r}])]
"""


@dataclass
class Tool:
    """One tool: how it upgrades the database whose address is in DATABASE_URL (ALCHEMY_URL for SQLAlchemy).

    Args:
        name: its name in the output.
        command: its program and arguments; `{url}` and `{alchemy}` stand for the address.
        folder: its working folder.
        variables: further environment variables.
        second: the command of the second run, if it differs.
    """

    name: str
    command: list[str | Path]
    folder: Path | None = None
    variables: dict[str, str] = field(default_factory=dict)
    second: list[str | Path] | None = None
    python: bool = True

    def seconds(self, url: str, *, again: bool) -> float:
        """Measure a whole process; exit if the tool fails."""
        alchemy = urlsplit(url)._replace(scheme="postgresql+psycopg").geturl()
        command = [
            str(part).replace("{url}", url).replace("{alchemy}", alchemy)
            for part in (self.second if again and self.second else self.command)
        ]
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        environ = {**kept, "DATABASE_URL": url, "ALCHEMY_URL": alchemy, **self.variables}
        start = perf_counter()
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        took = perf_counter() - start
        if done.returncode:
            raise SystemExit(f"{self.name} failed: {done.stdout[-1000:]}{done.stderr[-2000:]}")
        return took


def statements() -> str:
    """Return all statements of the revisions, as one script."""
    found = compiled.read(script_location())
    if found is None:
        raise SystemExit("The compiled revisions are not fresh: run `make compile`")
    ready = found.statements(entry.revision.id for entry in found.revisions)
    if ready is None:
        raise SystemExit("Not all revisions are compiled, and psql cannot run the others")
    return "".join(f"{statement.sql};\n" for _, own in ready for statement in own)


def psql(folder: Path, sql: str) -> Tool:
    """psql, the reference of all ratios."""
    script = folder / "schema.sql"
    script.write_text(sql, encoding="utf-8")
    plain = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "{url}"]
    return Tool("psql", [*plain, "-1", "-f", script], second=[*plain, "-c", "select 1"], python=False)


def ours(python: Path, variables: dict[str, str]) -> list[Tool]:
    """This library: with and without the comparison after the first run."""
    program: list[str | Path] = (
        [python.with_name("dbschema")] if not variables else [python, "-m", "dbschema"]
    )
    call = [*program, "upgrade", "--url", "{url}"]
    return [
        Tool("dbschema --no-compare", [*call, "--no-compare"], variables=variables),
        Tool("dbschema", call, variables=variables),
    ]


def alembic(folder: Path, python: Path, variables: dict[str, str]) -> Tool:
    """Alembic with the environment of its own documentation, and our revisions."""
    home = folder / "plain-alembic"
    (home / "alembic").mkdir(parents=True)
    (home / "alembic.ini").write_text(ALEMBIC_INI)
    (home / "alembic" / "env.py").write_text(ALEMBIC_ENV)
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(script_location() / "versions", home / "alembic" / "versions", ignore=skipped)
    return Tool("alembic", [python.with_name("alembic"), "upgrade", "head"], home, variables)


def django(folder: Path, python: Path, sql: str) -> Tool:
    """Django, with one application that has one migration."""
    home = folder / "django"
    (home / "schema" / "migrations").mkdir(parents=True)
    (home / "settings.py").write_text(DJANGO_SETTINGS)
    for package in (home / "schema", home / "schema" / "migrations"):
        (package / "__init__.py").write_text("")
    (home / "schema" / "migrations" / "0001_schema.py").write_text(DJANGO_MIGRATION.format(sql=sql))
    variables = {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(home)}
    return Tool("Django", [python, "-m", "django", "migrate", "-v", "0"], home, variables)


def yoyo(folder: Path, python: Path, sql: str) -> Tool:
    """yoyo, with one migration of one step."""
    home = folder / "yoyo"
    home.mkdir()
    (home / "0001_schema.py").write_text(f"from yoyo import step\n\nsteps = [step({sql!r})]\n")
    program = python.with_name("yoyo")
    return Tool("yoyo", [program, "apply", "--batch", "--no-config-file", "-d", "{alchemy}", home], home)


def dbmate(folder: Path, modules: Path, sql: str) -> Tool:
    """dbmate, as its own program and not through npm's wrapper."""
    home = folder / "dbmate"
    home.mkdir()
    (home / "20260101000000_schema.sql").write_text(f"-- migrate:up\n{sql}\n-- migrate:down\n")
    own = sorted(modules.glob("@dbmate/*/bin/dbmate"))
    program = own[0] if own else modules / ".bin" / "dbmate"
    address = "{url}?sslmode=disable"
    call = [program, "--url", address, "--migrations-dir", home, "--no-dump-schema", "migrate"]
    return Tool("dbmate", call, home, python=False)


def node_pg_migrate(folder: Path, modules: Path, sql: str) -> Tool:
    """node-pg-migrate, with one migration in SQL."""
    home = folder / "node-pg-migrate"
    home.mkdir()
    (home / "1700000000000_schema.sql").write_text(f"-- Up Migration\n{sql}\n-- Down Migration\n")
    program = modules / ".bin" / "node-pg-migrate"
    return Tool("node-pg-migrate", [program, "up", "-m", home], home, python=False)


def installed(folder: Path) -> tuple[Path | None, Path | None]:
    """The interpreter of the virtual environment and npm's modules in `folder`, created if they are missing."""
    python, modules = folder / "python" / "bin" / "python", folder / "npm" / "node_modules"
    wheels = folder / "wheel"
    shutil.rmtree(wheels, ignore_errors=True)
    if not python.exists():
        tried([sys.executable, "-m", "venv", folder / "python"])
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", wheels]
    if not tried(build, cwd=ROOT):
        return None, None
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    wheel = next(wheels.glob("*.whl"))
    if not tried([*pip, wheel]) or not tried([*pip, "--force-reinstall", "--no-deps", wheel]):
        return None, None
    for name in ("django", "yoyo-migrations"):
        tried([*pip, name])
    (folder / "npm").mkdir(exist_ok=True)
    if shutil.which("npm"):
        for name in ("dbmate", "node-pg-migrate", "pg"):
            if not (modules / name).is_dir():
                tried(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder / "npm", name])
    return python, modules


def tried(command: list[str | Path], cwd: Path | None = None) -> bool:
    """Run an installation; print a line and return False if it fails."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        print(f"left out, as this fails: {' '.join(map(str, command))} {last}", file=sys.stderr)
    return done.returncode == 0


def tools(folder: Path, tools_folder: Path | None, sql: str) -> list[Tool]:
    """Return all available tools."""
    if tools_folder is None:
        variables = {"PYTHONPATH": str(ROOT / "src")}
        return [*ours(Path(sys.executable), variables), alembic(folder, Path(sys.executable), variables)]
    tools_folder.mkdir(parents=True, exist_ok=True)
    python, modules = installed(tools_folder.resolve())
    if python is None or modules is None:
        raise SystemExit("This library itself could not be installed")
    found = [*ours(python, {}), alembic(folder, python, {})]
    site = next((tools_folder / "python").glob("lib/python*/site-packages"))
    builders: list[tuple[Path, Callable[[Path, Path, str], Tool], Path]] = [
        (site / "django", django, python),
        (site / "yoyo", yoyo, python),
        (modules / "dbmate", dbmate, modules),
        (modules / "node-pg-migrate", node_pg_migrate, modules),
    ]
    return found + [build(folder, where, sql) for package, build, where in builders if package.is_dir()]


@contextmanager
def fresh(admin: str) -> Iterator[str]:
    """Create a clone of the template; return its address."""
    with closing(psycopg.connect(admin, autocommit=True)) as connection:
        connection.execute(f"CREATE DATABASE {DATABASE} TEMPLATE {TEMPLATE}".encode())
        try:
            yield urlsplit(admin)._replace(path=f"/{DATABASE}").geturl()
        finally:
            connection.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)".encode())


def measured(tool: Tool, admin: str) -> tuple[float, float]:
    """Measure the first and the second run in seconds."""
    with fresh(admin) as url:
        first, second = (tool.seconds(url, again=again) for again in (False, True))
        with closing(psycopg.connect(url)) as connection:
            query = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname IN ('incidents', 'tenants', 'projects')"
            if connection.execute(query).fetchone() != (3,):
                raise SystemExit(f"{tool.name} has not applied the schema")
    return first, second


def make_template(admin: str, *, bare: bool) -> None:
    """Create the template of all databases, and the roles, which belong to the cluster."""
    with closing(psycopg.connect(admin, autocommit=True)) as connection:
        for name in (DATABASE, TEMPLATE):
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        connection.execute(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0".encode())
        for role in ("dbschema_app", "dbschema_readonly"):
            if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is None:
                connection.execute(f"CREATE ROLE {role} NOLOGIN; ALTER ROLE {role} SET jit = 'off'".encode())
    if not bare:
        with closing(
            psycopg.connect(urlsplit(admin)._replace(path=f"/{TEMPLATE}").geturl(), autocommit=True)
        ) as connection:
            connection.execute("CREATE EXTENSION postgis; CREATE EXTENSION btree_gist")


def report(tool: Tool, pairs: list[tuple[tuple[float, float], tuple[float, float]]]) -> dict[str, float]:
    """Print the line of one tool; return its ratios."""
    ratios = {
        which: median(own[number] / theirs[number] for own, theirs in pairs)
        for number, which in enumerate(BARS)
    }
    own = [1000 * median(pair[0][number] for pair in pairs) for number in (0, 1)]
    theirs = [1000 * median(pair[1][number] for pair in pairs) for number in (0, 1)]
    print(
        f"{tool.name:22} | {own[0]:7.0f} | {theirs[0]:7.0f} | {ratios['first']:5.2f} "
        f"| {own[1]:7.0f} | {theirs[1]:7.0f} | {ratios['second']:5.2f}",
        flush=True,
    )
    return ratios


def main() -> None:
    """Measure each tool in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tools-folder", type=Path, help="where other tools are, or will be, installed")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", help="names of tools, with commas")
    parser.add_argument("--bare", action="store_true", help="databases without the extensions")
    parser.add_argument("--url", help="a server to use, and a database of it to begin from")
    arguments = parser.parse_args()
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        prefix="dbschema-benchmark-", dir=memory if memory.is_dir() else None
    ) as name:
        folder = Path(name)
        folder.chmod(0o755)  # if root starts it, the server runs as another user, who needs access
        server = None if arguments.url else PrivateServer(folder / "server", options={"fsync": "off"})
        try:
            url = arguments.url if server is None else server.start().url("postgres", driver="")
            run(connect.resolve(url).libpq_url(), folder, arguments)
        finally:
            if server is not None:
                server.destroy()


def run(admin: str, folder: Path, arguments: argparse.Namespace) -> None:
    """Measure on the server of `admin`."""
    sql = statements()
    baseline = psql(folder, sql)
    chosen = tools(folder, arguments.tools_folder, sql)
    if arguments.only:
        chosen = [tool for tool in chosen if tool.name in arguments.only.split(",")]
    make_template(admin, bare=arguments.bare)
    results: dict[str, list[tuple[tuple[float, float], tuple[float, float]]]] = {}
    for number in range(arguments.rounds + 1):
        for tool in chosen:
            theirs = measured(baseline, admin)
            pair = (measured(tool, admin), theirs)
            if number:  # the first round warms the caches
                results.setdefault(tool.name, []).append(pair)
    print(f"{'ms, medians':22} |   first |    psql | ratio |  second |    psql | ratio")
    ratios = {tool.name: report(tool, results[tool.name]) for tool in chosen}
    with closing(psycopg.connect(admin, autocommit=True)) as connection:
        connection.execute(f"DROP DATABASE {TEMPLATE}".encode())
    for which, name in (("first", "dbschema --no-compare"), ("second", "dbschema")):
        if name not in ratios:
            continue
        others = {
            tool.name: ratios[tool.name][which]
            for tool in chosen
            if tool.python and not tool.name.startswith("dbschema")
        }
        own, bar = ratios[name][which], BARS[which]
        best = min(others, key=others.__getitem__, default=None)
        fastest = "" if best is None else f"; the fastest other in Python is {best} with {others[best]:.2f}"
        print(f"{which} run: {own:.2f} of psql, bar {bar:.0f}{fastest}")


if __name__ == "__main__":
    main()
