"""What an application writes, checked by mypy --strict and never run: each line is a promise of the public types."""

from datetime import datetime
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from typing import Any, assert_type
from uuid import UUID

from sqlalchemy import Engine, Select, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import Mapped, Session, mapped_column, selectinload

import dbschema
from dbschema import (
    AsyncOperatorSession,
    AsyncTenantSession,
    OperatorSession,
    TenantSession,
    async_operator_session,
    async_tenant_session,
    create_async_engine,
    create_engine,
    operator_session,
    tenant_session,
)
from dbschema.ddl import Function, Trigger, declare
from dbschema.models import (
    AgentDefinition,
    AuditLog,
    Conversation,
    Document,
    GeoPoint,
    Incident,
    IncidentStatus,
    Message,
    MessageRole,
    Order,
    Tenant,
    User,
    UserRole,
)
from dbschema.orm.base import Base
from dbschema.orm.mixins import TenantScoped, Timestamped, foreign_key
from dbschema.queries import TimeCursor, audit, conversations, entity_of, incidents
from dbschema.queries.documents import with_words
from dbschema.testing import Factory


class Invoice(TenantScoped, Timestamped, Base):
    """A table of the application's own."""

    __tablename__ = "invoices"
    __table_args__ = (foreign_key("order_id", "orders", cascade=True),)

    order_id: Mapped[UUID]
    number: Mapped[str] = mapped_column(comment="Number on the paper")


def read(session: Session, tenant: UUID, key: UUID) -> None:
    incident = session.get_one(Incident, (tenant, key))
    assert_type(incident.id, UUID)
    assert_type(incident.tenant_id, UUID)
    assert_type(incident.status, IncidentStatus)
    assert_type(incident.severity, int | None)
    assert_type(incident.location, GeoPoint | None)
    assert_type(incident.structured_data, dict[str, Any])
    assert_type(incident.occurred_at, datetime | None)
    assert_type(incident.updated_at, datetime)
    assert_type(incident.creator, User | None)
    assert_type(incident.tenant, Tenant)
    if incident.location is not None:
        longitude, latitude = incident.location
        assert_type((longitude, latitude), tuple[float, float])


def write(session: Session, user: User) -> None:
    conversation = Conversation(user=user, messages=[Message(role=MessageRole.USER, content="Hello")])
    session.add(conversation)
    assert_type(conversation.messages, list[Message])
    assert_type(conversation.messages[0].conversation, Conversation)
    incident = Incident(tenant_id=user.tenant_id, domain_id="roads", location=GeoPoint(7.45, 46.95))
    incident.status = IncidentStatus.RESOLVED
    session.add(incident)


def query(session: Session) -> None:
    orders = session.execute(
        select(Order.order_number, Order.total_amount).where(Order.currency == "EUR")
    ).all()
    for number, total in orders:
        assert_type(number, str)
        assert_type(total, Decimal)
    roles = session.scalars(select(User.role)).all()
    assert_type(roles[0], UserRole)
    agents = session.scalars(select(AgentDefinition).options(selectinload(AgentDefinition.creator))).all()
    assert_type(agents[0].version, int)
    assert_type(agents[0].tools, list[Any])
    addresses = session.scalars(select(AuditLog.ip_address)).all()
    assert_type(addresses[0], IPv4Address | IPv6Address | None)


def search(session: Session, conversation: UUID) -> None:
    near = incidents.near(GeoPoint(7.45, 46.95), within=500)
    assert_type(near, Select[Incident, float])
    hits = entity_of(near)
    assert_type(hits, type[Incident])
    for incident, distance in session.execute(near.where(hits.severity >= 4)):
        assert_type(incident, Incident)
        assert_type(distance, float)
    page = session.scalars(incidents.newest(limit=10)).all()
    cursor = TimeCursor.of(page[-1])
    assert_type(incidents.by_domain("roads", after=cursor), Select[Incident])
    assert_type(incidents.by_data({"code": 7}, after=str(cursor)), Select[Incident])
    assert_type(entity_of(incidents.newest()), type[Incident])
    assert_type(with_words("flood"), Select[Document])
    assert_type(conversations.messages(conversation), Select[Message])
    assert_type(audit.trail("incident", "7"), Select[AuditLog])
    TimeCursor.of(session.scalars(with_words("flood")).one())


declare(
    Base.metadata,
    Function("stamp", "trigger", "BEGIN RETURN NEW; END"),
    Trigger("stamp_invoices", "invoices", "stamp", events=("INSERT", "UPDATE")),
)
assert_type(Invoice.number.key, str)


def sessions(tenant: UUID, key: UUID) -> None:
    engine = create_engine(pool_size=3)
    assert_type(engine, Engine)
    with tenant_session(engine, tenant) as session, session.begin():
        assert_type(session, TenantSession)
        assert_type(session.tenant_id, UUID)
        assert_type(session.get(Incident, key), Incident | None)
        assert_type(session.get_one(Incident, key), Incident)
        assert_type(session.merge(Incident()), Incident)
        assert_type(session.scalars(select(Incident)).one(), Incident)
    with tenant_session(engine, str(tenant), role="dbschema_readonly", expire_on_commit=False) as session:
        session.commit()
    with tenant_session(engine, tenant, user_id=key, ip_address="192.0.2.7") as session:
        assert_type(session.user_id, UUID | None)
        assert_type(session.ip_address, IPv4Address | IPv6Address | None)
    with operator_session(engine, reason="ticket", user_id=str(key)) as operator:
        assert_type(operator, OperatorSession)
        assert_type(operator.user_id, UUID | None)
    operator_session(engine)  # type: ignore[call-arg]  # there must be a reason
    tenant_session(engine, None)  # type: ignore[arg-type]  # there must be a tenant
    tenant_session(engine, 7)  # type: ignore[arg-type]  # a number is none
    session.tenant_id = tenant  # type: ignore[misc]  # it stays for the session's life
    tenant_session(engine, tenant, user_id=7)  # type: ignore[arg-type]  # a number is no user
    tenant_session(engine, tenant, ip_address=b"")  # type: ignore[arg-type]  # bytes are no address
    session.user_id = key  # type: ignore[misc]  # it stays for the session's life
    takes_plain(session)


def takes_plain(session: Session) -> None:
    """A tenant's session goes wherever a session goes."""


async def async_sessions(tenant: UUID, key: UUID) -> None:
    engine = create_async_engine("postgresql://localhost/app", application_name="orders")
    assert_type(engine, AsyncEngine)
    async with async_tenant_session(engine, tenant) as session, session.begin():
        assert_type(session, AsyncTenantSession)
        assert_type(session.tenant_id, UUID)
        assert_type(await session.get(Incident, key), Incident | None)
        assert_type((await session.scalars(select(Incident))).one(), Incident)
    async with async_tenant_session(engine, tenant, user_id=key, ip_address=IPv4Address(7)) as session:
        assert_type(session.user_id, UUID | None)
        assert_type(session.ip_address, IPv4Address | IPv6Address | None)
    async with async_operator_session(engine, reason="ticket", user_id=key) as operator:
        assert_type(operator, AsyncOperatorSession)
        assert_type(operator.user_id, UUID | None)
    assert_type(dbschema.create_engine(), Engine)


def test(factory: Factory) -> None:
    assert_type(factory.make(Incident, title="Pothole"), Incident)
    assert_type(factory.many(3, Invoice), list[Invoice])
