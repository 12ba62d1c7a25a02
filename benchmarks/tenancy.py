"""Each query of the library as the application's role, as a ratio to the same query without row security.

    python benchmarks/tenancy.py [--rows 2000000] [--rounds 60] [--keep FOLDER]

200 tenants share the incidents; two of them have 70,000 and 10,000 (of fewer rows, less in proportion, but not below 1,000).
There are a tenth as many documents, half as many messages and half as many records of what was done. The unprotected query
is run by the superuser on the same indexes. Runs are interleaved, each with arguments of its own, and the medians of their
ratios printed; beside them that of the unprotected query under the policy, which is how one would write it. Times differ
from machine to machine, ratios hardly.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from sqlalchemy import Double, Select, func, literal, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import psycopg as dialect

from dbschema.ddl.document_searches import DOCUMENT_WORDS
from dbschema.geography import GeoPoint
from dbschema.migrations import runner
from dbschema.models import AuditLog, Document, Incident, Message
from dbschema.queries import DistanceCursor, TimeCursor, audit, conversations, documents, entity_of, incidents
from dbschema.queries.places import area_of
from dbschema.server import PrivateServer

if TYPE_CHECKING:
    from collections.abc import Callable

DATABASE = "dbschema_benchmark_tenancy"
TENANTS = 200
NAIVE_ROUNDS = 5
OPTIONS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "1GB",
    "maintenance_work_mem": "512MB",
    "max_wal_size": "8GB",
}
START = "timestamptz '2026-01-01 00:00+00'"
DIALECT = dialect.dialect()


def tenant(number: object) -> str:
    """The id of a tenant, as SQL."""
    return f"('00000000-0000-7000-8000-' || lpad(to_hex({number}), 12, '0'))::uuid"


def load(connection: psycopg.Connection[Any], rows: int) -> tuple[int, int]:
    """Fill the database; gives how many incidents the large and the small tenant have."""
    large, small = (max(1000, share * min(rows, 2_000_000) // 2_000_000) for share in (70_000, 10_000))

    def spread(count: int) -> str:
        # Tenants take turns as they would in life: none has its rows beside each other.
        scale = count / rows
        of_large, of_small = int(large * scale), int((large + small) * scale)
        return f"""(SELECT n, {
            tenant(f'''CASE WHEN r < {of_large} THEN 1 WHEN r < {of_small} THEN 2
            ELSE 3 + (r % {TENANTS - 2}) END''')
        } AS tenant_id
            FROM (SELECT n, (n::bigint * 7919) % {count} AS r FROM generate_series(1, {
            count
        }) n) numbers) spread"""

    names = ("incidents", "documents", "messages", "audit_logs")
    indexes = connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY (%s) AND indexname LIKE 'idx%%'",
        [list(names)],
    ).fetchall()
    statements = [
        "SET session_replication_role = replica",
        "SELECT setseed(0.5)",
        *(f"DROP INDEX {name}" for name, _ in indexes),
        f"""INSERT INTO tenants (id, tenant_name, slug)
            SELECT {tenant("n")}, 'Tenant ' || n, 'tenant-' || n FROM generate_series(1, {TENANTS}) n""",
        f"""INSERT INTO users (tenant_id, id, username, email)
            SELECT {tenant("n")}, {tenant("n")}, 'user', 'user@example.com' FROM generate_series(1, {TENANTS}) n""",
        f"""INSERT INTO incidents (tenant_id, id, domain_id, title, raw_text, status, severity, location,
                                   structured_data, created_at)
            SELECT tenant_id, gen_random_uuid(), 'domain-' || n % 7, 'Report ' || n, repeat('words of a report ', 15),
                   (ARRAY['open', 'in_progress', 'resolved', 'closed'])[1 + n % 4], 1 + n % 5,
                   ST_SetSRID(ST_MakePoint(5.9 + random() * 4.6, 45.8 + random() * 2), 4326)::geography,
                   jsonb_build_object('category', 'c' || floor(power(random(), 3) * 40)::int,
                                      'code', floor(random() * 5000)::int, 'place', floor(random() * 300)::int),
                   {START} + n * interval '1 second'
            FROM {spread(rows)}""",
        f"""INSERT INTO documents (tenant_id, id, user_id, title, content, created_at)
            SELECT tenant_id, gen_random_uuid(), tenant_id, 'Document ' || n,
                   (SELECT string_agg('w' || floor(power(random(), 2) * 3000)::int, ' ') FROM generate_series(1, 40 + n % 2)),
                   {START} + n * interval '1 second'
            FROM {spread(rows // 10)}""",
        f"""INSERT INTO conversations (tenant_id, id, user_id)
            SELECT {tenant("t")}, {tenant("c")}, {tenant("t")}
            FROM generate_series(1, {TENANTS}) t, generate_series(1, 100) c""",
        f"""INSERT INTO messages (tenant_id, id, conversation_id, role, content, created_at)
            SELECT tenant_id, gen_random_uuid(), {tenant("1 + floor(random() * 100)::int")}, 'user',
                   repeat('what is said ', 10), {START} + n * interval '1 second'
            FROM {spread(rows // 2)}""",
        f"""INSERT INTO audit_logs (tenant_id, id, action, resource_type, resource_id, created_at)
            SELECT tenant_id, gen_random_uuid(), 'incident.update', 'incident', floor(random() * 500)::int::text,
                   {START} + n * interval '1 second'
            FROM {spread(rows // 2)}""",
        *(definition for _, definition in indexes),
    ]
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.autocommit = True
    connection.execute("VACUUM (ANALYZE)")
    connection.autocommit = False
    return large, small


@dataclass(frozen=True)
class Case:
    """A query of the library, the same as anybody would write it, and what draws the arguments of both."""

    name: str
    draw: Callable[[random.Random], Any]
    library: Callable[[Any], Select[Any]]
    plain: Callable[[Any], Select[Any]]


MIDDLE = UUID(int=1 << 127)


def place(draws: random.Random) -> GeoPoint:
    return GeoPoint(6.2 + draws.random() * 4, 46 + draws.random() * 1.6)


def box(size: float) -> Callable[[random.Random], tuple[float, float, float, float]]:
    def draw(draws: random.Random) -> tuple[float, float, float, float]:
        west, south = place(draws)
        return west, south, west + size, south + size

    return draw


def polygon(edges: tuple[float, float, float, float]) -> dict[str, Any]:
    west, south, east, north = edges
    ring = [(west, south), (east, south), ((west + east) / 2, north), (west, north), (west, south)]
    return {"type": "Polygon", "coordinates": [ring]}


def near(center: GeoPoint, metres: float, beyond: float = 0) -> Select[Any]:
    distance = Incident.location.op("<->", return_type=Double())(center)
    statement = select(Incident, distance).where(
        func.ST_DWithin(Incident.location, center, metres, text("false"))
    )
    if beyond:
        statement = statement.where(distance > beyond)
    return statement.order_by(distance).limit(20)


def first(statement: Select[Any], entity: Any = Incident) -> Select[Any]:
    return statement.order_by(entity.created_at.desc(), entity.id).limit(50)


def in_box(edges: tuple[float, float, float, float]) -> Select[Any]:
    west, south, east, north = edges
    ring = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    area = area_of({"type": "Polygon", "coordinates": [ring]})
    return first(select(Incident).where(Incident.location.op("&&")(func.ST_GeogFromText(area))))


def in_area(edges: tuple[float, float, float, float]) -> Select[Any]:
    area = func.ST_GeogFromText(area_of(polygon(edges)))
    return first(select(Incident).where(func.ST_Covers(area, Incident.location)))


def by_data(data: dict[str, int]) -> Select[Any]:
    return first(select(Incident).where(Incident.structured_data.op("@>")(literal(data, JSONB()))))


def with_words(words: str) -> Select[Any]:
    condition = DOCUMENT_WORDS.format("documents.") + " @@ websearch_to_tsquery('simple', :words)"
    return first(select(Document).where(text(condition).bindparams(words=words)), Document)


def messages(conversation: UUID) -> Select[Any]:
    statement = select(Message).where(Message.conversation_id == conversation)
    return statement.order_by(Message.created_at, Message.id).limit(50)


def trail(resource: str) -> Select[Any]:
    condition = (AuditLog.resource_type == "incident") & (AuditLog.resource_id == resource)
    return first(select(AuditLog).where(condition), AuditLog)


def before(at: datetime) -> Any:
    tie = (Incident.created_at < at) | (Incident.id > MIDDLE)
    return (Incident.created_at <= at) & tie


def cases(rows: int) -> list[Case]:
    """What is compared."""

    def moment(draws: random.Random) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=draws.randrange(rows // 10, rows))

    def one_of(count: int, shape: str = "{}") -> Callable[[random.Random], str]:
        return lambda draws: shape.format(draws.randrange(count))

    return [
        Case(
            "near, within 5 km",
            place,
            lambda center: incidents.near(center, within=5000, limit=20),
            lambda center: near(center, 5000),
        ),
        Case(
            "near, within 300 m",
            place,
            lambda center: incidents.near(center, within=300, limit=20),
            lambda center: near(center, 300),
        ),
        Case(
            "near, beyond 1.5 km",
            place,
            lambda center: incidents.near(
                center, within=20_000, limit=20, after=DistanceCursor(1500.0, MIDDLE)
            ),
            lambda center: near(center, 20_000, 1500),
        ),
        Case("in a box of 0.1 degrees", box(0.1), lambda edges: incidents.in_box(*edges), in_box),
        Case("in a box of 1 degree", box(1), lambda edges: incidents.in_box(*edges), in_box),
        Case(
            "in an area of 0.1 degrees",
            box(0.1),
            lambda edges: incidents.in_area(polygon(edges)),
            in_area,
        ),
        Case("in an area of 1 degree", box(1), lambda edges: incidents.in_area(polygon(edges)), in_area),
        Case(
            "by data, 1 row in 5,000",
            lambda draws: {"code": draws.randrange(5000)},
            incidents.by_data,
            by_data,
        ),
        Case(
            "by data, 1 row in 300", lambda draws: {"place": draws.randrange(300)}, incidents.by_data, by_data
        ),
        Case(
            "newest",
            one_of(1),
            lambda _: incidents.newest(),
            lambda _: first(select(Incident)),
        ),
        Case(
            "newest, a later page",
            moment,
            lambda at: incidents.newest(after=TimeCursor(at, MIDDLE)),
            lambda at: first(select(Incident).where(before(at))),
        ),
        Case(
            "by domain, before a time",
            moment,
            lambda at: incidents.by_domain("domain-3", until=at),
            lambda at: first(
                select(Incident).where(Incident.domain_id == "domain-3", Incident.created_at < at)
            ),
        ),
        Case(
            "by category",
            one_of(40, "c{}"),
            incidents.by_category,
            lambda category: first(select(Incident).where(Incident.category == category)),
        ),
        Case(
            "documents by two words",
            lambda draws: f"w{draws.randrange(3000)} w{draws.randrange(200)}",
            documents.with_words,
            with_words,
        ),
        Case(
            "messages of a conversation",
            lambda draws: UUID(f"00000000-0000-7000-8000-{draws.randrange(1, 101):012x}"),
            conversations.messages,
            messages,
        ),
        Case("audit trail", one_of(500), lambda resource: audit.trail("incident", resource), trail),
    ]


def compiled(statement: Select[Any]) -> tuple[str, Any]:
    """A statement as the driver takes it, so that nothing but the database is measured."""
    done = statement.compile(dialect=DIALECT)
    values = {
        name: done._bind_processors[name](value) if name in done._bind_processors else value  # noqa: SLF001  what executing does
        for name, value in done.params.items()
    }
    return str(done), values


def timed(connection: psycopg.Connection[Any], query: tuple[str, Any]) -> tuple[float, int]:
    begun = perf_counter()
    found = len(connection.execute(*query).fetchall())
    return perf_counter() - begun, found


def compare(
    case: Case, key: UUID, rounds: int, application: psycopg.Connection[Any], admin: psycopg.Connection[Any]
) -> tuple[float, float, float, float]:
    """The medians: ratio of the library, ratio of the naive way, milliseconds of the unprotected query, rows."""
    for connection in (application, admin):
        connection.rollback()
    application.execute("SET LOCAL ROLE dbschema_app")
    application.execute(f"SET LOCAL app.tenant_id = '{key}'")
    ratios, naive_ratios, times, counts = [], [], [], []
    for number in range(rounds + 6):
        drawn = case.draw(random.Random(number))
        ours_asked = case.library(drawn)
        # As a session of the tenant does by itself.
        library = compiled(ours_asked.where(entity_of(ours_asked).tenant_id == key))
        statement = case.plain(drawn)
        naive = compiled(statement)
        plain = compiled(statement.where(entity_of(statement).tenant_id == key))
        runs = [(application, library), (admin, plain)]
        if number % 2:
            runs.reverse()
        timed(admin, plain)  # or whoever comes first pays for reading the pages
        took = {id(query): timed(connection, query) for connection, query in runs}
        if number < 6:
            continue  # the functions' plans are made, the pages are read
        ours, theirs = took[id(library)], took[id(plain)]
        ratios.append(ours[0] / theirs[0])
        times.append(theirs[0] * 1000)
        counts.append(ours[1])
        if number < 6 + NAIVE_ROUNDS:
            naive_ratios.append(timed(application, naive)[0] / theirs[0])
    return median(ratios), median(naive_ratios), median(times), median(counts)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument(
        "--keep", type=Path, help="a folder in which the loaded database stays for the next time"
    )
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = arguments.keep or Path(tempfile.mkdtemp(prefix="dbschema-benchmark-"))
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        server = PrivateServer(folder / "server", options=OPTIONS)
        address = server.start()
        if arguments.keep is None:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            stack.callback(server.destroy)
        else:
            stack.callback(server.stop)
        with psycopg.connect(address.url("postgres", driver=""), autocommit=True) as connection:
            known = connection.execute(
                "SELECT FROM pg_database WHERE datname = %s", [f"{DATABASE}_{arguments.rows}"]
            ).fetchone()
            if known is None:
                connection.execute(f"DROP DATABASE IF EXISTS {DATABASE}_loading")
                connection.execute(f"CREATE DATABASE {DATABASE}_loading")
        if known is None:
            runner.upgrade(address.url(f"{DATABASE}_loading"))
            with psycopg.connect(address.url(f"{DATABASE}_loading", driver="")) as connection:
                load(connection, arguments.rows)
            with psycopg.connect(address.url("postgres", driver=""), autocommit=True) as connection:
                connection.execute(f"ALTER DATABASE {DATABASE}_loading RENAME TO {DATABASE}_{arguments.rows}")
        url = address.url(f"{DATABASE}_{arguments.rows}", driver="")
        application, admin = (
            stack.enter_context(psycopg.connect(url, prepare_threshold=None, options="-c jit=off"))
            for _ in range(2)
        )
        for number in (1, 2):
            key = UUID(f"00000000-0000-7000-8000-{number:012x}")
            admin.rollback()
            row = admin.execute("SELECT count(*) FROM incidents WHERE tenant_id = %s", [key]).fetchone()
            print(f"\ntenant of {row[0] if row else 0:,} incidents among {arguments.rows:,}")
            print(f"{'':<28} {'library':>8} {'naive':>8} {'plain, ms':>10} {'rows':>5}")
            for case in cases(arguments.rows):
                ours, naive, plain, count = compare(case, key, arguments.rounds, application, admin)
                print(f"{case.name:<28} {ours:>8.2f} {naive:>8.1f} {plain:>10.2f} {count:>5.0f}", flush=True)


if __name__ == "__main__":
    main()
