"""Measure `bulk_load` of incidents, as a ratio to PostgreSQL's own COPY from a file on the server.

    python benchmarks/load.py [--rows 50000,1000000] [--rounds 5] [--others] [--url postgresql+psycopg://…]

`bulk_load` runs as the application's role under row-level security, from dictionaries as in a program, into the table
with its key and all its indexes. COPY FROM runs as superuser, from a text file on the server, into the same table,
with its foreign keys and checks. Each load begins after TRUNCATE and CHECKPOINT and ends with its COMMIT, which waits for
the disk. The two alternate in going first. The file and the rows are created before the measurement.

The private server gets 1 GB of buffers, no checkpoint within a load and no autovacuum: both occur at random and would affect
only one of the two, and a disk that both wait for would hide their difference.

The output has medians: seconds, the ratio within a round, the ratio of the fastest two, and the CPU time of server and client in
microseconds for each row (Linux). --others adds alternatives for an application: psycopg's binary COPY as superuser, the ORM's flush
and Core's executemany, as the application's role; it takes some ten times as long. From 500,000 rows on there are at most
three rounds. Limit: bulk_load takes at most 1.3 of COPY FROM. The exit code shows whether it holds.

With --url the database must be empty except for the schema, and its server must be on this machine.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import shutil
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy import NullPool, create_engine, insert, text
from sqlalchemy.orm import Session

from dbschema.loading import bulk_load
from dbschema.loading.values import place
from dbschema.migrations import runner
from dbschema.models import Incident
from dbschema.orm.types import uuid7
from dbschema.tools.server import PrivateServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

TENANT = UUID("018f0000-0000-7000-8000-000000000001")
BAR = 1.3
SETTINGS = {
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
}
Load: TypeAlias = "Callable[[Connection, list[dict[str, Any]], Path], None]"
COLUMNS = (
    "tenant_id",
    "id",
    "domain_id",
    "title",
    "raw_text",
    "status",
    "severity",
    "location",
    "structured_data",
    "occurred_at",
)
WORDS = [
    "water",
    "street",
    "bridge",
    "fallen",
    "tree",
    "light",
    "outage",
    "noise",
    "smoke",
    "leak",
    "pothole",
    "crossing",
    "signal",
    "flood",
]
STATUSES = ("open", "in_progress", "resolved", "closed")


def rows_of(size: int) -> list[dict[str, Any]]:
    """Generate incidents of a city, the same every time."""
    chance = random.Random(size)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        {
            "domain_id": f"domain-{number % 7}",
            "title": " ".join(chance.choices(WORDS, k=4)),
            "raw_text": " ".join(chance.choices(WORDS, k=30)),
            "status": STATUSES[number % 4],
            "severity": 1 + number % 5,
            "location": (7.3 + chance.random() / 3, 46.8 + chance.random() / 3),
            "structured_data": {
                "category": chance.choice(WORDS),
                "people": number % 9,
                "confirmed": number % 2 == 0,
            },
            "occurred_at": start + timedelta(seconds=number),
        }
        for number in range(size)
    ]


def write_file(path: Path, engine: Engine, rows: list[dict[str, Any]]) -> None:
    """Write the same rows in COPY's text format, through the table itself."""
    prepare(engine)
    with engine.begin() as connection:
        acting(connection)
        bulk_load(connection, Incident, rows)
    with engine.begin() as connection:
        connection.execute(text(f"COPY incidents ({', '.join(COLUMNS)}) TO '{path}'"))


def prepare(engine: Engine) -> None:
    """Prepare an empty table and a tenant, without pending work of the previous run."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("TRUNCATE incidents CASCADE")
        connection.exec_driver_sql(
            f"INSERT INTO tenants (id, tenant_name, slug) VALUES ('{TENANT}', 'Benchmark', 'benchmark') ON CONFLICT DO NOTHING"
        )
        connection.exec_driver_sql("CHECKPOINT")


def acting(connection: Connection) -> None:
    """Act as the application does, for its tenant."""
    connection.exec_driver_sql("SET LOCAL ROLE dbschema_app")
    connection.exec_driver_sql(f"SET LOCAL app.tenant_id = '{TENANT}'")


def by_bulk_load(connection: Connection, rows: list[dict[str, Any]], _file: Path) -> None:
    acting(connection)
    with Session(connection) as session:
        bulk_load(session, Incident, rows)


def by_copy_from(connection: Connection, _rows: list[dict[str, Any]], file: Path) -> None:
    connection.exec_driver_sql(f"COPY incidents ({', '.join(COLUMNS)}) FROM '{file}'")


def by_client_copy(connection: Connection, rows: list[dict[str, Any]], _file: Path) -> None:
    raw: Any = connection.connection.driver_connection
    with (
        raw.cursor() as cursor,
        cursor.copy(f"COPY incidents ({', '.join(COLUMNS)}) FROM STDIN (FORMAT binary)") as copy,
    ):
        copy.set_types(
            ["uuid", "uuid", "text", "text", "text", "text", "int2", "bytea", "jsonb", "timestamptz"]
        )
        for row in rows:
            copy.write_row(
                (
                    TENANT,
                    uuid7(),
                    row["domain_id"],
                    row["title"],
                    row["raw_text"],
                    row["status"],
                    row["severity"],
                    place(row["location"]),
                    Jsonb(row["structured_data"]),
                    row["occurred_at"],
                )
            )


def by_executemany(connection: Connection, rows: list[dict[str, Any]], _file: Path) -> None:
    acting(connection)
    connection.execute(insert(Incident), [{"tenant_id": TENANT, **row} for row in rows])


def by_flush(connection: Connection, rows: list[dict[str, Any]], _file: Path) -> None:
    acting(connection)
    with Session(connection) as session:
        session.add_all(Incident(tenant_id=TENANT, **row) for row in rows)
        session.flush()


@dataclass(frozen=True)
class Taken:
    """The times of one load, in seconds."""

    seconds: float
    server: float
    client: float


def server_time(pid: int) -> float:
    """Read the CPU seconds of a server process; 0 if the system does not provide them."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(load: Load, engine: Engine, rows: list[dict[str, Any]], file: Path) -> Taken:
    """Measure a load with its commit, into an empty table; it must be complete."""
    prepare(engine)
    with engine.connect() as connection:
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
        connection.commit()
        server, client, start = server_time(pid), process_time(), perf_counter()
        load(connection, rows, file)
        connection.commit()
        taken = Taken(perf_counter() - start, server_time(pid) - server, process_time() - client)
        found = connection.scalar(text("SELECT count(*) FROM incidents"))
    if found != len(rows):
        raise SystemExit(f"{load.__name__} left {found} of {len(rows)} rows")
    return taken


def measure(engine: Engine, folder: Path, size: int, rounds: int, others: bool) -> float:
    """Print the lines for `size` rows; return the ratio of bulk_load."""
    rows = rows_of(size)
    gc.collect()
    gc.freeze()  # the garbage collector need not traverse the rows of the benchmark repeatedly
    file = folder / f"{size}.copy"
    file.unlink(missing_ok=True)
    write_file(file, engine, rows)  # warms caches and files
    loads = [by_copy_from, by_bulk_load]
    if others:
        loads += [by_client_copy, by_executemany, by_flush]
    found: dict[str, list[Taken]] = {load.__name__: [] for load in loads}
    for number in range(rounds):
        for load in loads if number % 2 == 0 else loads[::-1]:
            found[load.__name__].append(timed(load, engine, rows, file))
    file.unlink()
    base = [taken.seconds for taken in found["by_copy_from"]]
    ratios: dict[str, float] = {}
    for name, runs in found.items():
        mine = [taken.seconds for taken in runs]
        ratios[name] = median(own / other for own, other in zip(mine, base, strict=True))
        server, client = (
            median(getattr(taken, side) for taken in runs) * 1e6 / size for side in ("server", "client")
        )
        print(
            f"{size:9,} | {name.removeprefix('by_'):11} | {median(mine):7.2f} | {ratios[name]:5.2f} |"
            f" {min(mine) / min(base):16.2f} | {server:9.1f} | {client:9.1f}",
            flush=True,
        )
    return ratios["by_bulk_load"]


def engines(url: str | None, folder: Path) -> Iterator[Engine]:
    """Open an engine for a migrated database, on a private server unless `url` is set."""
    server = None
    try:
        if url is None:
            server = PrivateServer(folder / "server", options=SETTINGS)
            url = server.start().url("postgres", driver="psycopg")
        runner.upgrade(url)
        yield create_engine(url, poolclass=NullPool)
    finally:
        if server is not None:
            server.destroy()


def main() -> int:
    """Measure each size in turn; return 0 if the limit holds for all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default="50000,1000000", help="how many, separated by commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--others", action="store_true", help="measure other ways as well")
    parser.add_argument("--url", help="a database on this machine, as superuser; its incidents are deleted")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dbschema-benchmark-"))
    folder.chmod(0o777)  # the server writes the file, as another user if root starts this
    missed = False
    try:
        for engine in engines(arguments.url, folder):
            print("     rows | by          | seconds | ratio | ratio of fastest | server µs | client µs")
            for size in map(int, arguments.rows.split(",")):
                rounds = arguments.rounds if size < 500_000 else min(arguments.rounds, 3)
                ratio = measure(engine, folder, size, rounds, others=arguments.others)
                verdict = "holds" if ratio <= BAR else "is missed"
                print(f"          bulk_load: {ratio:.2f}, and the bar of {BAR} {verdict}", flush=True)
                missed = missed or ratio > BAR
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
