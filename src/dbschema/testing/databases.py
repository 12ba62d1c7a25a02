"""Where the server of a test run has its files: in memory where there is room, or else on disk.

A database is hundreds of files, and to copy them is most of what a clone costs: on a file system on disk it took 0.7 s where it
took 0.02 s in memory.

The databases of a test run: a server, one migrated template, and a clone of it for each worker.

All workers of a run share a folder: the private server lives in it, and its lock makes one of them build the template
while the others wait. With `--dbschema-url` the server is the one that is named; its databases are left alone.
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


# Nothing of a test run has to survive a power cut.
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
        run: names the run; part of the name of each of its databases.
        folder: what the workers share; made by the first that needs a database.
        url: a server that is there already; None: a private one of the run's own.
        source: a database there that the template is a copy of, with what the role may not make: extensions, or all of
            the schema. None: an empty one.
    """

    run: str
    folder: Path
    url: str | None = None
    source: str | None = None

    @property
    def prefix(self) -> str:
        """How the names of the run's databases begin."""
        return f"dbschema_test_{self.run}_"

    def template(self, migrate: Callable[[str], None]) -> str:
        """The name of the migrated database that clones are made of; the first who asks makes it.

        Args:
            migrate: brings the empty database at an address to the newest revision.
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
        """Make a database of the run, a copy of `template`, in the place of one of the same name; gives its address.

        Args:
            name: what it is for; the end of its name.
            template: of which database; None: without any tables, where the source has none.
        """
        database = f"{self.prefix}{name}"
        with self._alone():
            self._create(database, template or self._bare())
        return self.address(database)

    def drop(self, name: str) -> None:
        """Remove a database of the run, whoever is connected."""
        with self._server() as server:
            _drop(server, f"{self.prefix}{name}")

    def address(self, database: str) -> str:
        """The address of a database on the server, for SQLAlchemy and for libpq. With the password: do not log it."""
        return written(self._settings().url.set(database=database))

    def remove(self) -> None:
        """Remove all that the run has made; called once, by the process that began it."""
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
        """The database without tables that one without tables can be a copy of: what is in the source already counts."""
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

        # The server of a run that root began runs as another user, who has to get through the folder.
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o755)
        with FileLock(self.folder / "lock"):
            yield


def _drop(server: psycopg.Connection, name: str) -> None:
    """Remove a database, whoever is connected."""
    dropping = sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name))
    try:
        server.execute(dropping + sql.SQL(" WITH (FORCE)"))
    except psycopg.errors.InsufficientPrivilege:
        # FORCE ends each process, and a worker of autovacuum only for a superuser. Without it, the worker gives way.
        server.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = %s AND usename = current_user",
            (name,),
        )
        server.execute(dropping)
