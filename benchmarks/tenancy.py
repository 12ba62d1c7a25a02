"""Measure each query of the library as the application's role, as a ratio to the same query without row-level security (RLS).

    python benchmarks/tenancy.py [--incidents 2000000] [--rounds 60] [--keep FOLDER] [--only TEXT] [--unprepared]

200 tenants share the incidents; two of them have 70,000 and 10,000 (of fewer, proportionally less, but not below 1,000).
There are a tenth as many documents, half as many messages and half as many audit records.

The library's query runs as the role of the application with the tenant set, names the tenant as `tenant_session` does, and
is prepared after five executions, as in the engines of `dbschema.sessions`. The superuser runs the same query without RLS
on the same indexes, in its fastest variant, prepared or planned each time: for each query the variant that is
fastest over all its arguments here, because an application does not know beforehand how many rows a box contains. Both must return
the same rows in the same order. Runs are interleaved, each round with its own arguments; in a round each side runs three
times, and its shortest time counts. The rounds of a query are spread over three passes over all queries, because other load on a
shared machine lasts for minutes. The output has the median of the rounds' ratios, and beside it that of the first variant under
the policy, which is the usual code. No parallel workers and no JIT on either side.

Exit code 1: a query is above the limit.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from math import prod
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from sqlalchemy.dialects.postgresql import psycopg as dialect
from tenancy_cases import TENANT, Case, cases
from tenancy_rows import load

from dbschema.migrations import runner
from dbschema.queries import entity_of
from dbschema.tools.server import PrivateServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Select

    from dbschema.tools.server.address import Address

BAR = 1.2
DATABASE = "dbschema_benchmark_tenancy"
PREPARED_AFTER = 5  # the setting of the engines of dbschema.sessions
WARMING, REPEATED, NAIVE_ROUNDS, CHOOSING, PASSES = 6, 3, 5, 8, 3
OPTIONS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "1GB",
    "maintenance_work_mem": "512MB",
    "max_wal_size": "8GB",
}
DIALECT = dialect.dialect()


class DifferentRows(Exception):
    """The two sides of a comparison return different rows."""


@dataclass(frozen=True)
class Side:
    """A connection, and whether repeated statements on it are prepared."""

    connection: psycopg.Connection[Any]

    def run(self, statement: Select[Any]) -> tuple[float, list[Any]]:
        """Execute a query; return its time in seconds and the ids of the rows. Compiling is not measured."""
        done = statement.compile(dialect=DIALECT)
        values = {
            name: done._bind_processors[name](value) if name in done._bind_processors else value  # noqa: SLF001  what executing does
            for name, value in done.params.items()
        }
        query = str(done)
        begun = perf_counter()
        cursor = self.connection.execute(query, values)
        rows = cursor.fetchall()
        took = perf_counter() - begun
        key = [column.name for column in cursor.description or ()].index("id")
        return took, [row[key] for row in rows]


@dataclass
class Figures:
    """The results of a comparison, a figure for each round; for the naive variant only for a few."""

    ratios: list[float] = field(default_factory=list)
    naive: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    """Milliseconds."""
    rows: list[int] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return median(self.ratios) > BAR


def of_tenant(statement: Select[Any], key: UUID) -> Select[Any]:
    """Add the tenant as a tenant session does."""
    return statement.where(entity_of(statement).tenant_id == key).params({TENANT: key})


@dataclass(frozen=True)
class Pair:
    """The library's query for a tenant, and a variant of it on a connection without RLS."""

    case: Case
    key: UUID
    application: Side
    unprotected: Side
    form: int

    def shortest(self, number: int) -> tuple[float, float, int]:
        """Return the shortest times of both sides in a round, and the number of rows."""
        drawn = self.case.draw(random.Random(number))
        ours, theirs = self.application, self.unprotected
        asked = {
            ours: of_tenant(self.case.library(drawn), self.key),
            theirs: of_tenant(self.case.plain[self.form](drawn), self.key),
        }
        times: dict[Side, list[float]] = {ours: [], theirs: []}
        found: dict[Side, list[Any]] = {}
        theirs.run(asked[theirs])  # otherwise the first side pays for reading the pages
        for time in range(REPEATED):
            for side in (ours, theirs) if (number + time) % 2 else (theirs, ours):
                took, found[side] = side.run(asked[side])
                times[side].append(took)
        if found[ours] != found[theirs]:
            raise DifferentRows(
                f"{self.case.name}: {len(found[ours])} rows and {len(found[theirs])}, for {drawn}"
            )
        return min(times[ours]), min(times[theirs]), len(found[ours])

    def warm(self) -> None:
        """Run until plans are made and chosen, and the pages are read."""
        for number in range(WARMING):
            self.shortest(number)

    def unprotected_alone(self) -> float:
        """Return the median time of the variant, to choose the fastest."""
        return median(self.shortest(number)[1] for number in range(WARMING, WARMING + CHOOSING))


def fastest(asked: list[Case], key: UUID, application: Side, unprotected: list[Side]) -> tuple[Side, int]:
    """Return the connection and the variant with the fastest plain query over all arguments."""
    contenders = [(side, form) for side in unprotected for form in range(len(asked[0].plain))]
    products = []
    for side, form in contenders:
        pairs = [Pair(case, key, application, side, form) for case in asked]
        for pair in pairs:
            pair.warm()
        products.append(prod(pair.unprotected_alone() for pair in pairs))
    return contenders[products.index(min(products))]


def compare(pair: Pair, numbers: range, figures: Figures) -> None:
    """Measure the library's query against the plain one, in the rounds with these numbers."""
    pair.warm()
    for number in numbers:
        ours, theirs, count = pair.shortest(number)
        figures.ratios.append(ours / theirs)
        figures.plain.append(theirs * 1000)
        figures.rows.append(count)
        if len(figures.naive) < NAIVE_ROUNDS:
            as_written = (pair.case.as_written or pair.case.plain[0])(pair.case.draw(random.Random(number)))
            figures.naive.append(min(pair.application.run(as_written)[0] for _ in range(REPEATED)) / theirs)


def begin(key: UUID, application: Side, unprotected: list[Side]) -> None:
    """Begin new transactions, in which the application works for the tenant."""
    for side in (application, *unprotected):
        side.connection.rollback()
    application.connection.execute("SET LOCAL ROLE dbschema_app")
    application.connection.execute(f"SET LOCAL app.tenant_id = '{key}'")


@contextmanager
def serving(folder: Path | None) -> Iterator[Address]:
    """Start a private server; the contents of `folder` stay."""
    place = folder or Path(tempfile.mkdtemp(prefix="dbschema-benchmark-"))
    place.mkdir(exist_ok=True)
    place.chmod(0o755)  # the server's user needs access to it
    server = PrivateServer(place / "server", options=OPTIONS)
    try:
        yield server.start()
    finally:
        if folder is None:
            server.destroy()
            shutil.rmtree(place, ignore_errors=True)
        else:
            server.stop()


def database(address: Address, incidents: int) -> str:
    """Return the URL of a database with `incidents` incidents; load them if they are missing."""
    name, loading = f"{DATABASE}_{incidents}", f"{DATABASE}_loading"
    maintenance = address.url("postgres", driver="")
    with psycopg.connect(maintenance, autocommit=True) as connection:
        known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone()
        if known is None:
            connection.execute(f"DROP DATABASE IF EXISTS {loading}")
            connection.execute(f"CREATE DATABASE {loading}")
    if known is None:
        runner.upgrade(address.url(loading))
        with psycopg.connect(address.url(loading, driver="")) as connection:
            load(connection, incidents)
        with psycopg.connect(maintenance, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {loading} RENAME TO {name}")
    return address.url(name, driver="")


def main() -> int:
    """Print a table; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--incidents", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument(
        "--keep", type=Path, help="a folder in which the loaded database stays for the next time"
    )
    parser.add_argument("--only", default="", help="queries that have this in their names")
    parser.add_argument(
        "--unprepared", action="store_true", help="prepare nothing on either side, as behind a proxy"
    )
    arguments = parser.parse_args()
    over = 0
    with ExitStack() as stack:
        url = database(stack.enter_context(serving(arguments.keep)), arguments.incidents)

        def connect(prepared_after: int | None) -> Side:
            connection = psycopg.connect(
                url,
                prepare_threshold=prepared_after,
                options="-c jit=off -c max_parallel_workers_per_gather=0",
            )
            return Side(stack.enter_context(connection))

        application = connect(None if arguments.unprepared else PREPARED_AFTER)
        unprotected = [connect(None)]
        if not arguments.unprepared:
            unprotected.append(connect(PREPARED_AFTER))
        for number in (1, 2):
            key = UUID(f"00000000-0000-7000-8000-{number:012x}")
            unprotected[0].connection.rollback()
            row = (
                unprotected[0]
                .connection.execute("SELECT count(*) FROM incidents WHERE tenant_id = %s", [key])
                .fetchone()
            )
            print(f"\ntenant of {row[0] if row else 0:,} incidents among {arguments.incidents:,}; bar {BAR}")
            print(f"{'':<28} {'library':>8} {'':<5} {'naive':>8} {'plain, ms':>10} {'rows':>5}")
            chosen = [case for case in cases(arguments.incidents) if arguments.only in case.name]
            pairs = []
            for _, group in groupby(chosen, key=lambda case: case.query):
                begin(key, application, unprotected)
                asked = list(group)
                side, form = fastest(asked, key, application, unprotected)
                pairs += [Pair(case, key, application, side, form) for case in asked]
            found = [Figures() for _ in pairs]
            for first in range(PASSES):
                for pair, figures in zip(pairs, found, strict=True):
                    begin(key, application, unprotected)
                    compare(pair, range(100 + first, 100 + arguments.rounds, PASSES), figures)
            for pair, figures in zip(pairs, found, strict=True):
                over += figures.is_over
                print(
                    f"{pair.case.name:<28} {median(figures.ratios):>8.2f} {'over' if figures.is_over else 'holds':<5}"
                    f" {median(figures.naive):>8.1f} {median(figures.plain):>10.2f} {median(figures.rows):>5.0f}",
                    flush=True,
                )
    print(f"\n{over} above the bar of {BAR}" if over else f"\nall within the bar of {BAR}")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
