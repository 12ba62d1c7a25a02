"""Create the databases of a test run: a server, one migrated template, and a clone of it for each worker.

All workers of a run share a folder with the private server and a lock, so one worker builds the template while the others
wait. With `--dbschema-url`, the databases are created on that server; its own databases are not changed.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import sql

from dbschema import connect
from dbschema.connect.sources import written
from dbschema.testing.errors import cannot_be_copied, may_not_create_databases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


# The data of a test run does not need to survive a crash.
_FAST: Final = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
}
_SOURCE: Final = "--dbschema-url"
_EMPTY: Final = "template0"
_NOT_COPIED: Final = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.InvalidCatalogName,
    psycopg.errors.ObjectInUse,
)


@dataclass(frozen=True)
class Databases:
    """The databases of one run.

    Args:
        run: the name of the run, part of the name of each database.
        folder: the folder that the workers share; the first worker that needs a database creates it.
        url: an existing server; None: a private server for the run.
        source: a database on that server to copy the template from. It contains objects that the role may not create:
            extensions, or the whole schema. None: an empty database.
    """

    run: str
    folder: Path
    url: str | None = None
    source: str | None = None

    @property
    def prefix(self) -> str:
        """The prefix of the names of the run's databases."""
        return f"dbschema_test_{self.run}_"

    def template(self, migrate: Callable[[str], None]) -> str:
        """Return the name of the migrated template database; the first call of the run creates it.

        Args:
            migrate: upgrades the database at an address to the newest revision.
        """
        name = f"{self.prefix}template"
        with self._alone():
            ready = self.folder / "template"
            if not ready.exists():
                self._create(name, self.source or _EMPTY)
                migrate(self.address(name))
                ready.touch()
        return name

    def create(self, name: str, template: str | None = None) -> str:
        """Create a database of the run as a copy of `template`, and return its address; replace an existing one.

        Args:
            name: the end of its name.
            template: the database to copy; None: create a database without tables, from the source if it is not migrated.
        """
        database = f"{self.prefix}{name}"
        with self._alone():
            self._create(database, template or self._bare())
        return self.address(database)

    def drop(self, name: str) -> None:
        """Drop a database of the run, and end its connections."""
        with self._server() as server:
            _drop(server, f"{self.prefix}{name}")

    def address(self, database: str) -> str:
        """Return the address of a database, for SQLAlchemy and for libpq. It contains the password: do not log it."""
        return written(self._settings().url.set(database=database))

    def remove(self) -> None:
        """Remove the databases and the folder of the run; the process that started the run calls this once."""
        if self.url is None:
            from dbschema.tools.server import PrivateServer  # noqa: PLC0415  costs time, and most runs need no database

            PrivateServer(self.folder / "server").destroy()
        else:
            with self._server() as server:
                names = server.execute(
                    "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (self.prefix,)
                ).fetchall()
                for (name,) in names:
                    _drop(server, name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _bare(self) -> str:
        """Return the template for a database without tables: the source if it is not migrated, else an empty database."""
        if self.source is None:
            return _EMPTY
        with self._server(self.source) as server:
            (migrated,) = server.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone() or (
                False,
            )
        return _EMPTY if migrated else self.source

    def _settings(self) -> connect.Settings:
        if self.url is not None:
            return connect.resolve(self.url, source=_SOURCE)
        from dbschema.tools.server import PrivateServer  # noqa: PLC0415  as above

        address = PrivateServer(self.folder / "server", options=_FAST).start()
        return connect.resolve(address.url(), source="the private server of the tests")

    def _create(self, name: str, template: str) -> None:
        settings = self._settings()
        try:
            with self._server() as server:
                _drop(server, name)
                server.execute(
                    sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                        sql.Identifier(name), sql.Identifier(template)
                    )
                )
        except _NOT_COPIED as error:
            reason = str(error).strip().partition("\n")[0]
            if template == self.source:
                raise cannot_be_copied(template, settings.place, reason) from error
            if isinstance(error, psycopg.errors.InsufficientPrivilege):
                raise may_not_create_databases(settings.place, reason) from error
            raise

    @contextlib.contextmanager
    def _server(self, database: str | None = None) -> Iterator[psycopg.Connection]:
        settings = self._settings()
        if database is not None:
            settings = connect.resolve(settings.url.set(database=database), source=_SOURCE)
        with connect.translating(settings):
            connection = psycopg.connect(settings.libpq_url(), autocommit=True)
        with contextlib.closing(connection):
            yield connection

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        from filelock import FileLock  # noqa: PLC0415  costs time, and most runs need no database

        # If root starts the run, the server runs as another user, who needs access to the folder.
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o755)
        with FileLock(self.folder / "lock"):
            yield


def _drop(server: psycopg.Connection, name: str) -> None:
    """Drop a database, and end its connections."""
    dropping = sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name))
    try:
        server.execute(dropping + sql.SQL(" WITH (FORCE)"))
    except psycopg.errors.InsufficientPrivilege:
        # FORCE ends every process, and only a superuser may end an autovacuum worker. Without FORCE, the server ends it.
        server.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = %s AND usename = current_user",
            (name,),
        )
        server.execute(dropping)
