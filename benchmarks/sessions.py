"""What a tenant session costs over a plain one that sets role and tenant by hand, in microseconds a transaction.

    python benchmarks/sessions.py [--rounds 40] [--repeat 50] [--url postgresql://…]

Each scenario runs in both ways in turn, round by round in one process and on one connection each, so that a busy machine
slows both; medians over the rounds are printed. 'by hand' is the least that an application can write: a plain session
that executes the two statements in one text, and adds the tenant to its queries. Bar: at most 60 µs over SET LOCAL's own
cost, which the last column shows as well. With --url the database must be at the head, and the login a
member of dbschema_app; without, a private server is started in a temporary folder.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from dbschema.models import Incident, Tenant
from dbschema.sessions import create_engine, tenant_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

BAR = 60.0
LOGIN = "CREATE ROLE application LOGIN NOINHERIT PASSWORD 'secret' IN ROLE dbschema_app"


def nothing(_session: Session, _tenant_id: UUID, _key: UUID) -> None:
    """The transaction's own cost: one statement of Core."""


def get(session: Session, tenant_id: UUID, key: UUID) -> None:
    session.get(Incident, (tenant_id, key))


def newest(session: Session, tenant_id: UUID, _key: UUID) -> None:
    query = select(Incident).where(Incident.tenant_id == tenant_id)
    session.scalars(query.order_by(Incident.created_at.desc()).limit(10)).all()


def newest_of_session(session: Session, _tenant_id: UUID, _key: UUID) -> None:
    session.scalars(select(Incident).order_by(Incident.created_at.desc()).limit(10)).all()


def columns(session: Session, tenant_id: UUID, _key: UUID) -> None:
    session.execute(select(Incident.id, Incident.title).where(Incident.tenant_id == tenant_id).limit(1)).all()


def columns_of_session(session: Session, _tenant_id: UUID, _key: UUID) -> None:
    session.execute(select(Incident.id, Incident.title).limit(1)).all()


def insert(session: Session, tenant_id: UUID, _key: UUID) -> None:
    session.add(Incident(tenant_id=tenant_id, domain_id="roads", title="Pothole"))
    session.flush()


def insert_of_session(session: Session, _tenant_id: UUID, _key: UUID) -> None:
    session.add(Incident(domain_id="roads", title="Pothole"))
    session.flush()


SCENARIOS = {
    "one Core statement": (nothing, nothing),
    "session.get": (get, get),
    "columns of one row": (columns, columns_of_session),
    "newest ten": (newest, newest_of_session),
    "one insert": (insert, insert_of_session),
}
ONE = text("SELECT 1")


def without(engine: Engine, tenant_id: UUID, key: UUID, work: Callable[..., None]) -> None:
    """A plain session that sets nothing: for SET LOCAL's own cost. It sees no rows."""
    with Session(engine) as session, session.begin():
        session.execute(ONE)


def by_hand(engine: Engine, tenant_id: UUID, key: UUID, work: Callable[..., None]) -> None:
    with Session(engine) as session, session.begin():
        session.execute(text("SET LOCAL ROLE dbschema_app"))
        session.execute(text(f"SET LOCAL app.tenant_id = '{tenant_id}'"))
        session.execute(ONE)
        work(session, tenant_id, key)


def by_hand_at_once(engine: Engine, tenant_id: UUID, key: UUID, work: Callable[..., None]) -> None:
    """The cheapest by hand: the driver itself, both at once."""
    opening = f"SET LOCAL ROLE dbschema_app; SET LOCAL app.tenant_id = '{tenant_id}'"
    with Session(engine) as session, session.begin():
        session.connection().connection.driver_connection.execute(opening, prepare=False)
        session.execute(ONE)
        work(session, tenant_id, key)


def of_tenant(engine: Engine, tenant_id: UUID, key: UUID, work: Callable[..., None]) -> None:
    with tenant_session(engine, tenant_id) as session, session.begin():
        session.execute(ONE)
        work(session, tenant_id, key)
