"""Measure the cost of `Audited`: the same statements on two otherwise equal tables, as ratios of their times.

    python benchmarks/audit.py [--rounds 40] [--rows 5000] [--single 200] [--url postgresql://superuser@host/database]

In each round every kind of work is done on both tables in turn, through one connection in a tenant session that sets
user and address, in a transaction that is rolled back; its begin and end are not measured. The output has medians over the rounds,
and medians of ratios and differences within a round. 'single' is one statement for each row; 'bulk' is one for all rows.

The tables have twelve columns, a unique key beside the primary key, a trigger for updated_at and an index. The last line is
the minimum cost of any trigger: one INSERT … SELECT of equally many rows into audit_logs. Look-ups of the primary key are by
number here, so a bulk DELETE of rows without references is nearly free without a log, and its ratio is not meaningful.

With --url the database is empty and the login a superuser; without, a private server is started in a temporary folder.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import datetime  # noqa: TC003  SQLAlchemy reads the annotations
from decimal import Decimal  # noqa: TC003  SQLAlchemy reads the annotations
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import Connection, Index, MetaData, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from dbschema.ddl import declare, declared
from dbschema.ddl.audit import SILENCE_SETTING
from dbschema.models import metadata as models
from dbschema.orm.base import Base
from dbschema.orm.mixins import Audited, TenantScoped, Timestamped
from dbschema.sessions import create_engine, tenant_session
from dbschema.sql import NAMING_CONVENTION
from dbschema.tools.server import PrivateServer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Own(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = Base.type_annotation_map


class Goods(TenantScoped, Timestamped):
    """The columns of both tables."""

    number: Mapped[int]
    title: Mapped[str]
    status: Mapped[str]
    price: Mapped[Decimal]
    currency: Mapped[str]
    customer: Mapped[str | None]
    attributes: Mapped[Any | None] = mapped_column(JSONB)
    ordered_at: Mapped[datetime | None]


class Plain(Goods, Own):
    __tablename__ = "plain"
    __table_args__ = (
        UniqueConstraint("tenant_id", "number"),
        Index("idx_plain_status", "tenant_id", "status"),
    )


class Watched(Audited, Goods, Own):
    __tablename__ = "watched"
    __table_args__ = (
        UniqueConstraint("tenant_id", "number"),
        Index("idx_watched_status", "tenant_id", "status"),
    )


INSERT = """
    INSERT INTO {table} (tenant_id, id, number, title, status, price, currency, customer, attributes, ordered_at)
    SELECT '{tenant}', gen_random_uuid(), n, 'Goods number ' || n, 'pending', n * 1.25, 'EUR', 'c' || n || '@example.com',
           jsonb_build_object('weight', n, 'colour', 'red'), now()
    FROM generate_series({first}, {last}) AS n
"""
UPDATE = "UPDATE {table} SET status = 'paid', price = price + 1 WHERE number BETWEEN {first} AND {last}"
SAME = "UPDATE {table} SET status = status WHERE number BETWEEN {first} AND {last}"
DELETE = "DELETE FROM {table} WHERE number BETWEEN {first} AND {last}"
WORKS = {
    "INSERT": INSERT,
    "UPDATE of two columns": UPDATE,
    "UPDATE that changes nothing": SAME,
    "DELETE": DELETE,
}
FLOOR = """
    INSERT INTO audit_logs (tenant_id, user_id, action, resource_type, resource_id, details, ip_address)
    SELECT '{tenant}', '{user}', 'insert', 'watched', gen_random_uuid()::text,
           jsonb_build_object('new', to_jsonb(w)), '192.0.2.7'
    FROM watched AS w WHERE number BETWEEN 1 AND {rows}
"""


class Scene:
    """A tenant with a user, and `rows` rows in each table."""

    def __init__(self, url: str, rows: int) -> None:
        self.engine = create_engine(url, pool_size=1, max_overflow=0, pool_pre_ping=False)
        self.tenant, self.user, self.rows = uuid4(), uuid4(), rows
        for table in models.sorted_tables:
            table.to_metadata(Own.metadata)
        declare(Own.metadata, *declared(models))
        Own.metadata.create_all(self.engine)
        with self.engine.begin() as connection:
            self._fill(connection)
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))

    def _fill(self, connection: Connection) -> None:
        made = {"tenant": self.tenant, "user": self.user}
        connection.execute(
            text("INSERT INTO tenants (id, tenant_name, slug) VALUES (:tenant, 't', 't')"), made
        )
        connection.execute(
            text("INSERT INTO users (tenant_id, id, username, email) VALUES (:tenant, :user, 'u', 'u@b.c')"),
            made,
        )
        connection.execute(text(f"SET LOCAL {SILENCE_SETTING} = '{self.tenant}'"))
        for table in ("plain", "watched"):
            connection.exec_driver_sql(self.statement(INSERT, table, 1, self.rows))

    def statement(self, pattern: str, table: str, first: int, last: int) -> str:
        return pattern.format(
            table=table, tenant=self.tenant, user=self.user, first=first, last=last, rows=self.rows
        )

    def run(self, statements: Sequence[str]) -> float:
        """Measure the statements in a transaction that is rolled back, in microseconds."""
        with tenant_session(self.engine, self.tenant, user_id=self.user, ip_address="192.0.2.7") as session:
            connection = session.connection()
            began = perf_counter_ns()
            for statement in statements:
                connection.exec_driver_sql(statement)
            return (perf_counter_ns() - began) / 1000


def bulk(scene: Scene, pattern: str, table: str, _single: int) -> float:
    """Run one statement for all rows; return microseconds for each row."""
    first = scene.rows + 1 if pattern is INSERT else 1
    return scene.run([scene.statement(pattern, table, first, first + scene.rows - 1)]) / scene.rows


def single(scene: Scene, pattern: str, table: str, count: int) -> float:
    """Run `count` statements for one row each; return microseconds for each statement."""
    first = scene.rows + 1 if pattern is INSERT else 1
    numbers = range(first, first + count)
    return scene.run([scene.statement(pattern, table, number, number) for number in numbers]) / count


def report(scene: Scene, rounds: int, count: int) -> None:
    ways: dict[str, Callable[[Scene, str, str, int], float]] = {"single": single, "bulk": bulk}
    print(f"{'µs a row':36}{'unaudited':>10}{'audited':>9}{'ratio':>7}{'added':>7}")
    for way, measure in ways.items():
        for name, pattern in WORKS.items():
            pairs = []
            for number in range(-2, rounds):
                tables = ("plain", "watched") if number % 2 else ("watched", "plain")
                took = {table: measure(scene, pattern, table, count) for table in tables}
                if number >= 0:  # earlier rounds warm plans and pages
                    pairs.append((took["plain"], took["watched"]))
            plain, watched = (median(column) for column in zip(*pairs, strict=True))
            ratio = median(after / before for before, after in pairs)
            added = median(after - before for before, after in pairs)
            print(f"{way + ' ' + name:36}{plain:10.1f}{watched:9.1f}{ratio:7.2f}{added:7.1f}")
    floor = [scene.run([scene.statement(FLOOR, "", 0, 0)]) / scene.rows for _ in range(rounds)]
    print(f"{'INSERT … SELECT into audit_logs':36}{'':10}{median(floor):9.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--single", type=int, default=200)
    parser.add_argument("--url")
    arguments = parser.parse_args()
    if arguments.url:
        report(Scene(arguments.url, arguments.rows), arguments.rounds, arguments.single)
        return
    with tempfile.TemporaryDirectory(prefix="dbschema-benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server may run as another user
        server = PrivateServer(folder / "server", options={"fsync": "off"})
        try:
            url = server.start().url(driver="psycopg")
            report(Scene(url, arguments.rows), arguments.rounds, arguments.single)
        finally:
            server.destroy()


if __name__ == "__main__":
    main()
