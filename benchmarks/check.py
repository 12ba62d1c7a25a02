"""Measure the check of models against a database, as a ratio to the time of Alembic's own comparison.

    python benchmarks/check.py [--sizes 21,200,1000] [--rounds 7] [--url postgresql+psycopg://…]

Runs of both are interleaved, on one connection and on a new one each. The output has the medians of their ratios: times
differ between machines, ratios hardly. The size 21 is the real models; the others are generated tables of the same structure, each with
row-level security, trigger, policy and grants. Without --url a server is started in a temporary folder (in memory,
if there is /dev/shm), with room for the locks of 2,000 tables; with --url increase that server's `max_locks_per_transaction`
(512 is enough).
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import (
    Index,
    MetaData,
    NullPool,
    Text,
    UniqueConstraint,
    Uuid,
    create_engine,
    desc,
    make_url,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from dbschema import catalog
from dbschema.ddl import Extension, declare
from dbschema.ddl.tenancy import isolate
from dbschema.models import metadata as real_models
from dbschema.orm.mixins import TenantScoped, Timestamped, foreign_key
from dbschema.orm.types import json_object, uuid_key
from dbschema.sql import NAMING_CONVENTION
from dbschema.tools.server import PrivateServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

REAL = 21
DATABASE = "dbschema_benchmark_check"


def models(size: int) -> MetaData:
    """Return the real models, or `size` generated tables."""
    if size == REAL:
        return real_models

    class Base(DeclarativeBase):
        metadata = MetaData(naming_convention=NAMING_CONVENTION)

    class Tenant(Timestamped, Base):
        __tablename__ = "tenants"
        id: Mapped[UUID] = uuid_key()

    isolate(Base.metadata.tables["tenants"], column="id", distribution="reference")
    declare(Base.metadata, Extension("postgis"), Extension("btree_gist"))
    for number in range(size - 1):
        name = f"table_{number:04}"
        keys = [foreign_key("parent_id", f"table_{number // 10:04}")] if number else []
        members: dict[str, Any] = {
            "__tablename__": name,
            "__table_args__": (
                *keys,
                UniqueConstraint("tenant_id", "title"),
                Index(f"idx_{name}_created_at", "tenant_id", desc("created_at")),
                Index(f"idx_{name}_parent_id", "tenant_id", "parent_id"),
                {"comment": "One of many tables"},
            ),
            "title": mapped_column(Text, nullable=False, comment="What it is called"),
            "status": mapped_column(
                Text, nullable=False, server_default=text("'open'"), comment="How far it is"
            ),
            "note": mapped_column(Text, comment="What else there is to say"),
            "parent_id": mapped_column(Uuid, comment="The row it follows"),
            "data": json_object(comment="What has no column of its own"),
        }
        type(f"Table{number}", (Timestamped, TenantScoped, Base), members)
    return Base.metadata


def by_alembic(connection: Connection, metadata: MetaData) -> int:
    """Compare with Alembic, without our plugin."""
    options = {
        "autogenerate_plugins": ["alembic.autogenerate.*"],
        "include_name": lambda name, kind, _: kind != "table" or name != "spatial_ref_sys",
    }
    return len(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


def by_check(connection: Connection, metadata: MetaData) -> int:
    """Compare the catalogs."""
    return len(catalog.check(connection, metadata))


def timed(
    compare: Callable[[Connection, MetaData], int], connection: Connection, metadata: MetaData
) -> float:
    """Measure a comparison in seconds; it must find no difference, so that both do the same work."""
    start = perf_counter()
    differences = compare(connection, metadata)
    seconds = perf_counter() - start
    connection.rollback()
    if differences:
        raise SystemExit(f"{compare.__name__} found {differences} differences in an untouched database")
    return seconds


def measure(engine: Engine, size: int, rounds: int) -> None:
    """Print the lines for `size` tables."""
    metadata = models(size)
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
        metadata.create_all(connection, checkfirst=False)
        connection.commit()
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM ANALYZE")
    for name, pairs in (
        ("one", on_one_connection(engine, metadata, rounds)),
        ("new", on_new_connections(engine, metadata, rounds)),
    ):
        ratio = median(ours / theirs for ours, theirs in pairs)
        best = min(ours for ours, _ in pairs) / min(theirs for _, theirs in pairs)
        ours, theirs = median(ours for ours, _ in pairs), median(theirs for _, theirs in pairs)
        print(f"{size:6,} | {name:10} | {theirs:9.3f} | {ours:9.3f} | {ratio:5.2f} | {best:5.2f}", flush=True)


def on_one_connection(engine: Engine, metadata: MetaData, rounds: int) -> list[tuple[float, float]]:
    """Measure (ours, theirs) in seconds, in a session with filled caches."""
    with engine.connect() as connection:
        pairs = [
            (timed(by_check, connection, metadata), timed(by_alembic, connection, metadata))
            for _ in range(rounds + 1)
        ]
    return pairs[1:]


def on_new_connections(engine: Engine, metadata: MetaData, rounds: int) -> list[tuple[float, float]]:
    """Measure (ours, theirs) in seconds, each in a new session, as in a program that compares once."""

    def once(compare: Callable[[Connection, MetaData], int]) -> float:
        with engine.connect() as connection:
            return timed(compare, connection, metadata)

    return [(once(by_check), once(by_alembic)) for _ in range(rounds)]


def engines(url: str | None) -> Iterator[Engine]:
    """Open an engine for a new empty database, which is removed at the end."""
    # In memory: ext4 does not reuse an inode for minutes. Hundreds of files that are created and removed repeatedly,
    # as in a benchmark, make its search longer each time.
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="dbschema-benchmark-", dir=memory if memory.is_dir() else None))
    server = None
    try:
        if url is None:
            folder.chmod(0o755)  # if root starts it, the server runs as another user, who needs access
            server = PrivateServer(folder / "server", options={"max_locks_per_transaction": "512"})
            url = server.start().url("postgres", driver="psycopg")
        admin = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {DATABASE}")
            connection.exec_driver_sql(f"CREATE DATABASE {DATABASE}")
        yield create_engine(make_url(url).set(database=DATABASE), poolclass=NullPool)
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {DATABASE}")
    finally:
        if server is not None:
            server.destroy()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Measure each size in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="21,200,1000", help="numbers of tables; 2000 takes minutes")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--url", help="a server to use, and a database of it to begin from")
    arguments = parser.parse_args()
    for engine in engines(arguments.url):
        print("tables | connection | alembic s | check s   | ratio | ratio of the fastest")
        for size in map(int, arguments.sizes.split(",")):
            measure(engine, size, arguments.rounds)


if __name__ == "__main__":
    main()
