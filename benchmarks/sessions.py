"""Measure the cost of a tenant session over a plain one that sets role and tenant by hand, in microseconds for each transaction.

    python benchmarks/sessions.py [--rounds 2000] [--url postgresql://login:password@host/database]

Each kind of work is done in four ways in turn, one transaction of each in a round, in one process and through one connection, so
that other load slows all of them. The output has medians over the rounds, and the median of the differences within a round.

- bare: a plain session that sets nothing (and sees nothing): the difference is the cost of SET LOCAL itself
- two statements: a plain session that executes SET LOCAL ROLE and SET LOCAL app.tenant_id as texts, the usual code
- at once: the cheapest by hand, both in one string directly to the driver; queries name the tenant themselves
- tenant session: this library

Limit: a tenant session takes at most 60 µs more than 'at once'. It may take less: a condition on the tenant that is written by hand is
built and hashed with the query each time; the session's criterion is added once, when a statement is compiled. With --url the database
is at the head and the login a member of dbschema_app; without, a private server is started in a temporary folder.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
from sqlalchemy import make_url, select, text, update
from sqlalchemy.orm import Session

from dbschema.migrations import runner
from dbschema.models import Incident, Tenant
from dbschema.sessions import create_engine, tenant_session
from dbschema.tools.server import PrivateServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    Work = Callable[[Session, "Scene", bool], object]

BAR = 60
LOGIN = "CREATE ROLE benchmark LOGIN NOINHERIT PASSWORD 'secret' IN ROLE dbschema_app"
ONE = text("SELECT 1")


class Scene:
    """A tenant with a few rows, and an engine with one connection."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.tenant_id = engine, uuid4()
        with tenant_session(engine, self.tenant_id) as session, session.begin():
            session.add(Tenant(tenant_name="Benchmark", slug=f"b{self.tenant_id.hex}"))
            session.flush()
            session.add_all(Incident(domain_id="roads", title=f"{number}") for number in range(20))
            session.flush()
            self.key: UUID = session.scalars(select(Incident.id).limit(1)).one()


def nothing(session: Session, _scene: Scene, _by_hand: bool) -> None:
    session.execute(ONE)


def get(session: Session, scene: Scene, _by_hand: bool) -> None:
    session.get(Incident, (scene.tenant_id, scene.key))


def columns(session: Session, scene: Scene, by_hand: bool) -> None:
    query = select(Incident.id, Incident.title).limit(1)
    session.execute(query.where(Incident.tenant_id == scene.tenant_id) if by_hand else query).all()


def newest(session: Session, scene: Scene, by_hand: bool) -> None:
    query = select(Incident).order_by(Incident.created_at.desc()).limit(10)
    session.scalars(query.where(Incident.tenant_id == scene.tenant_id) if by_hand else query).all()


def change(session: Session, scene: Scene, by_hand: bool) -> None:
    statement = update(Incident).where(Incident.id == scene.key).values(title="changed")
    session.execute(statement.where(Incident.tenant_id == scene.tenant_id) if by_hand else statement)
    session.rollback()


def insert(session: Session, scene: Scene, by_hand: bool) -> None:
    tenant: dict[str, Any] = {"tenant_id": scene.tenant_id} if by_hand else {}
    session.add(Incident(domain_id="roads", title="new", **tenant))
    session.flush()
    session.rollback()


WORKS: dict[str, Work] = {
    "SELECT 1": nothing,
    "get by key": get,
    "two columns of a row": columns,
    "newest ten": newest,
    "update, rolled back": change,
    "insert, rolled back": insert,
}


def bare(scene: Scene, _work: Work) -> None:
    with Session(scene.engine) as session:
        session.execute(ONE)


def two_statements(scene: Scene, work: Work) -> None:
    with Session(scene.engine) as session:
        session.execute(text("SET LOCAL ROLE dbschema_app"))
        session.execute(text(f"SET LOCAL app.tenant_id = '{scene.tenant_id}'"))
        work(session, scene, True)


def at_once(scene: Scene, work: Work) -> None:
    with Session(scene.engine) as session:
        driver: Any = session.connection().connection.driver_connection
        driver.execute(
            f"SET LOCAL ROLE dbschema_app; SET LOCAL app.tenant_id = '{scene.tenant_id}'", prepare=False
        )
        work(session, scene, True)


def of_tenant(scene: Scene, work: Work) -> None:
    with tenant_session(scene.engine, scene.tenant_id) as session:
        work(session, scene, False)


WAYS = (bare, two_statements, at_once, of_tenant)


def measure(scene: Scene, work: Work, rounds: int) -> dict[Any, list[float]]:
    """Measure the microseconds of one transaction, for each way in each round."""
    times: dict[Any, list[float]] = {way: [] for way in WAYS}
    for number in range(-20, rounds):
        for way in WAYS[number % 4 :] + WAYS[: number % 4]:
            began = perf_counter_ns()
            way(scene, work)
            if number >= 0:  # earlier rounds compile and prepare the statements
                times[way].append((perf_counter_ns() - began) / 1000)
    return times


def report(url: str, rounds: int) -> None:
    engine = create_engine(url, pool_size=1, max_overflow=0, pool_pre_ping=False)
    scene = Scene(engine)
    print(
        f"{'µs a transaction':22}{'bare':>8}{'two statements':>16}{'at once':>9}{'tenant session':>16}{'over':>8}"
    )
    for name, work in WORKS.items():
        times = measure(scene, work, rounds)
        over = median(mine - hand for mine, hand in zip(times[of_tenant], times[at_once], strict=True))
        found = [median(times[way]) for way in WAYS]
        print(f"{name:22}{found[0]:8.0f}{found[1]:16.0f}{found[2]:9.0f}{found[3]:16.0f}{over:+8.0f}")
    print(f"over: tenant session less at once, at most +{BAR} µs; bare executes SELECT 1 alone")
    engine.dispose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--url")
    arguments = parser.parse_args()
    if arguments.url:
        report(arguments.url, arguments.rounds)
        return
    with tempfile.TemporaryDirectory(prefix="dbschema-benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server may run as another user
        server = PrivateServer(folder / "server", options={"fsync": "off"})
        try:
            address = server.start()
            runner.upgrade(address.url(driver="psycopg"))
            with psycopg.connect(address.url(driver=""), autocommit=True) as connection:
                connection.execute(LOGIN)
            url = make_url(address.url(driver="")).set(username="benchmark", password="secret")
            report(url.render_as_string(hide_password=False), arguments.rounds)
        finally:
            server.destroy()


if __name__ == "__main__":
    main()
