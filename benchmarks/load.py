"""Loading incidents through the library, as a ratio to PostgreSQL's own COPY from a file on the server.

    python benchmarks/load.py [--sizes 50000,1000000] [--rounds 5] [--url postgresql+psycopg://…]

`bulk_load` runs as the application's role under row security, from dictionaries as a program holds them, into the table
with its key and all its indexes. COPY FROM runs as superuser, from a text file that lies on the server, into the same table.
Each load begins with an empty table and an empty index; the runs are interleaved and the medians of their ratios
are printed. The file and the rows are made before the clock runs. For the smallest size, what an application could do
instead is printed beside them: psycopg's binary COPY as superuser, the ORM's flush and Core's executemany, as the
application's role. Bar: bulk_load takes at most 1.3 of COPY FROM.

With --url that has to be an empty database with nothing in it but the schema, and its server on this machine.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy import NullPool, create_engine, insert, text
from sqlalchemy.orm import Session

from dbschema.loading import bulk_load
from dbschema.loading.values import place
from dbschema.migrations import runner
from dbschema.models import Incident
from dbschema.server import PrivateServer
from dbschema.types import uuid7

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

TENANT = UUID("018f0000-0000-7000-8000-000000000001")
BAR = 1.3
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
    """Incidents of a city, the same every time."""
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
    """The same rows as COPY's text format has them, by way of the table itself."""
    prepare(engine)
    with engine.begin() as connection:
        acting(connection)
        bulk_load(connection, Incident, rows)
    with engine.begin() as connection:
        connection.execute(text(f"COPY incidents ({', '.join(COLUMNS)}) TO '{path}'"))


def prepare(engine: Engine) -> None:
    """An empty table, a tenant, and no work left over from the run before."""
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


def timed(
    load: Callable[[Connection, list[dict[str, Any]], Path], None],
    engine: Engine,
    rows: list[dict[str, Any]],
    file: Path,
) -> float:
    """Seconds of a load with its commit, into an empty table; it has to be complete."""
    prepare(engine)
    with engine.connect() as connection:
        start = perf_counter()
        load(connection, rows, file)
        connection.commit()
        seconds = perf_counter() - start
        found = connection.scalar(text("SELECT count(*) FROM incidents"))
    if found != len(rows):
        raise SystemExit(f"{load.__name__} left {found} of {len(rows)} rows")
    return seconds


def measure(engine: Engine, folder: Path, size: int, rounds: int, others: bool) -> float:
    """Print the lines for `size` rows; gives the ratio of bulk_load."""
    rows = rows_of(size)
    file = folder / f"{size}.copy"
    file.unlink(missing_ok=True)
    write_file(file, engine, rows)
    loads = [by_copy_from, by_bulk_load]
    if others:
        loads += [by_client_copy, by_executemany, by_flush]
    seconds: dict[str, list[float]] = {load.__name__: [] for load in loads}
    timed(by_bulk_load, engine, rows, file)  # caches and files are warm for all
    for _ in range(rounds):
        for load in loads:
            seconds[load.__name__].append(timed(load, engine, rows, file))
    base = seconds["by_copy_from"]
    for name, taken in seconds.items():
        ratio = median(mine / theirs for mine, theirs in zip(taken, base, strict=True))
        best = min(taken) / min(base)
        print(
            f"{size:9,} | {name.removeprefix('by_'):11} | {median(taken):9.2f} | {ratio:5.2f} | {best:5.2f}",
            flush=True,
        )
    file.unlink()
    return median(mine / theirs for mine, theirs in zip(seconds["by_bulk_load"], base, strict=True))


def engines(url: str | None, folder: Path) -> Iterator[Engine]:
    """An engine for a migrated database, on a server of our own unless an address is given."""
    server = None
    try:
        if url is None:
            server = PrivateServer(folder / "server")
            url = server.start().url("postgres", driver="psycopg")
        runner.upgrade(url)
        yield create_engine(url, poolclass=NullPool)
    finally:
        if server is not None:
            server.destroy()


def main() -> None:
    """Measure each size in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="50000,1000000", help="numbers of rows; a million takes minutes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--url", help="a database on this machine, as superuser; its incidents are deleted")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dbschema-benchmark-"))
    folder.chmod(0o777)  # the server writes the file, as another user when this is started by root
    try:
        for engine in engines(arguments.url, folder):
            print("     rows | by          | seconds   | ratio | ratio of the fastest")
            for number, size in enumerate(map(int, arguments.sizes.split(","))):
                rounds = arguments.rounds if size < 500_000 else min(arguments.rounds, 3)
                ratio = measure(engine, folder, size, rounds, others=number == 0 and size <= 100_000)
                print(f"          bulk_load: {ratio:.2f}, and the bar is {BAR}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
