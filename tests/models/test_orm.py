"""What an application sees through the ORM."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, func, inspect, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidRequestError, StatementError
from sqlalchemy.orm import Session, configure_mappers, load_only, selectinload
from sqlalchemy.orm.exc import StaleDataError

from dbschema.models import (
    AgentClass,
    AgentDefinition,
    AuditLog,
    Base,
    Conversation,
    Document,
    Fulfillment,
    GeoPoint,
    ImageEvidence,
    Incident,
    IncidentStatus,
    Message,
    MessageRole,
    OnboardingEvent,
    OnboardingSession,
    Order,
    Project,
    RoleMetricVisibility,
    Team,
    Tenant,
    User,
    UserRole,
    UserTransaction,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
# The registry holds a set, which each worker of pytest-xdist would read in another order.
MAPPERS = sorted(Base.registry.mappers, key=lambda mapper: mapper.class_.__name__)


@pytest.fixture
def session(connection: Connection) -> Iterator[Session]:
    """A session of the superuser, whom row-level security does not concern."""
    with Session(connection) as session:
        yield session


@pytest.fixture
def tenant(session: Session) -> Tenant:
    tenant = Tenant(tenant_name="Acme", slug="acme")
    session.add(tenant)
    session.flush()
    return tenant


@pytest.fixture
def user(session: Session, tenant: Tenant) -> User:
    user = User(tenant=tenant, username="ann", email="Ann@Example.com")
    session.add(user)
    session.flush()
    return user


def agent(tenant: Tenant, **values: Any) -> AgentDefinition:
    values = {
        "agent_id": "a",
        "agent_name": "A",
        "agent_class": AgentClass.QUERY,
        "system_prompt": "…",
        **values,
    }
    return AgentDefinition(tenant_id=tenant.id, **values)


def test_all_mappers_configure_without_a_warning() -> None:
    configure_mappers()


@pytest.mark.parametrize("mapper", MAPPERS, ids=lambda mapper: mapper.class_.__name__)
def test_relationships_raise_instead_of_loading_behind_the_back(mapper: Any) -> None:
    assert {relationship.lazy for relationship in inspect(mapper).relationships} <= {"raise"}


@pytest.mark.parametrize("mapper", MAPPERS, ids=lambda mapper: mapper.class_.__name__)
def test_every_foreign_key_has_a_relationship_that_joins_on_all_its_columns(mapper: Any) -> None:
    joined = {
        frozenset(local.name for local, _ in relationship.local_remote_pairs) | {"tenant_id"}
        for relationship in inspect(mapper).relationships
        if relationship.direction.name == "MANYTOONE"
    }

    for key in mapper.local_table.foreign_key_constraints:
        assert frozenset(key.column_keys) in joined, key.name


def test_ids_are_time_ordered_and_made_before_the_insert(session: Session, tenant: Tenant) -> None:
    teams = [Team(tenant=tenant, team_name=str(n)) for n in range(50)]
    session.add_all(teams)
    session.flush()

    assert all(team.id.version == 7 for team in teams)
    assert sorted(teams, key=lambda team: team.id.int >> 80) is not None
    assert teams[0].id.int >> 80 <= teams[-1].id.int >> 80


def test_the_database_gives_an_id_where_none_is_given(session: Session) -> None:
    made = session.scalar(text("INSERT INTO tenants (tenant_name, slug) VALUES ('T', 't') RETURNING id"))

    assert isinstance(made, UUID)


def test_a_flush_of_500_rows_is_one_insert_statement(session: Session, tenant: Tenant) -> None:
    statements: list[str] = []
    event.listen(session.get_bind(), "before_cursor_execute", lambda _c, _k, sql, *_: statements.append(sql))

    session.add_all(
        Incident(tenant_id=tenant.id, domain_id="d", title=str(n), location=(7 + n / 1000, 47))
        for n in range(500)
    )
    session.flush()

    assert [sql.split()[0] for sql in statements] == ["INSERT"]


def test_get_finds_a_row_by_tenant_and_id(session: Session, user: User) -> None:
    session.expire_all()

    found = session.get(User, (user.tenant_id, user.id))

    assert found is user


def test_closed_sets_are_enums_in_python_and_lower_case_text_in_the_database(
    session: Session, user: User
) -> None:
    user.role = "Finance"  # type: ignore[assignment]  # an application may pass what its own API was given
    session.flush()
    session.refresh(user)

    assert user.role is UserRole.FINANCE
    assert session.scalar(text("SELECT role FROM users")) == "finance"


def test_a_value_outside_its_set_is_refused_before_it_is_sent(session: Session, user: User) -> None:
    with pytest.raises(ValueError, match=r"'owner' is not a UserRole; use one of finance, operations"):
        user.role = "owner"  # type: ignore[assignment]  # the point of the test
    with pytest.raises(StatementError, match=r"'owner' is not a UserRole; use one of finance, operations"):
        session.execute(update(User).values(role="owner"))


def test_a_value_outside_its_set_is_refused_by_the_database_too(session: Session, user: User) -> None:
    with pytest.raises(IntegrityError, match="ck_users_role"):
        session.execute(text("UPDATE users SET role = 'owner'"))


def test_an_enum_can_be_compared_with_its_text(session: Session, tenant: Tenant) -> None:
    session.add(Incident(tenant=tenant, domain_id="d"))
    session.flush()

    assert session.scalar(select(func.count()).where(Incident.status == "open")) == 1
    assert session.scalar(select(Incident.status)) is IncidentStatus.OPEN


def test_an_email_is_stored_in_lower_case_and_found_in_any(session: Session, user: User) -> None:
    session.refresh(user)

    assert user.email == "ann@example.com"
    assert session.scalar(select(User).where(User.email == "ANN@example.COM")) is user
    with pytest.raises(IntegrityError, match="ck_users_email"):
        session.execute(text("UPDATE users SET email = 'Ann@example.com'"))


def test_updated_at_is_the_databases_and_is_not_stale_after_a_flush(
    session: Session, connection: Connection
) -> None:
    tenant = Tenant(tenant_name="Acme", slug="acme", updated_at=LONG_AGO)
    session.add(tenant)
    session.flush()

    tenant.tenant_name, tenant.updated_at = "Acme Ltd", datetime(1999, 1, 1, tzinfo=UTC)
    session.flush()

    assert "updated_at" not in inspect(tenant).unloaded
    assert tenant.updated_at == connection.scalar(select(func.now()))


def test_a_core_update_moves_updated_at_too(session: Session, tenant: Tenant) -> None:
    session.execute(text("ALTER TABLE tenants DISABLE TRIGGER USER"))
    session.execute(update(Tenant).values(updated_at=LONG_AGO))
    session.execute(text("ALTER TABLE tenants ENABLE TRIGGER USER"))

    session.execute(update(Tenant).values(tenant_name="Other"))

    assert session.scalar(select(Tenant.updated_at == func.now()))


def test_the_version_rises_with_each_change_and_only_then(session: Session, tenant: Tenant) -> None:
    definition = agent(tenant)
    session.add(definition)
    session.flush()
    versions = [definition.version]

    for name in ("B", "C"):
        definition.agent_name = name
        session.flush()
        versions.append(definition.version)
    session.execute(text("UPDATE agent_definitions SET agent_name = agent_name, version = 70"))
    session.refresh(definition)

    assert versions == [1, 2, 3]
    assert definition.version == 3


def test_a_forged_version_is_neither_kept_nor_held(session: Session, tenant: Tenant) -> None:
    definition = agent(tenant)
    session.add(definition)
    session.flush()

    definition.agent_name, definition.version = "B", 41
    session.flush()

    assert definition.version == 2
    session.refresh(definition)
    assert definition.version == 2


def test_two_sessions_that_change_one_agent_collide(database: str) -> None:
    from sqlalchemy import create_engine  # noqa: PLC0415  two connections of its own

    engine = create_engine(database)
    with Session(engine) as setup, setup.begin():
        tenant = Tenant(tenant_name="Acme", slug="acme")
        setup.add(tenant)
        setup.flush()
        setup.add(agent(tenant))
    with Session(engine) as first, Session(engine) as second:
        mine, theirs = (
            first.scalars(select(AgentDefinition)).one(),
            second.scalars(select(AgentDefinition)).one(),
        )
        theirs.agent_name = "Theirs"
        second.commit()

        mine.agent_name = "Mine"

        with pytest.raises(StaleDataError):
            first.flush()
        first.rollback()
        assert first.scalar(select(AgentDefinition.agent_name)) == "Theirs"
    engine.dispose()


def test_an_agent_cannot_depend_on_itself(session: Session, tenant: Tenant) -> None:
    session.add(agent(tenant, agent_dependencies=["b", "a"]))

    with pytest.raises(IntegrityError, match="ck_agent_definitions_no_self_dependency"):
        session.flush()


def test_json_has_its_default_and_sees_changes_in_place(session: Session, tenant: Tenant) -> None:
    incident = Incident(tenant=tenant, domain_id="d")
    team = Team(tenant=tenant, team_name="T")
    session.add_all([incident, team])
    session.flush()
    empty = incident.structured_data, team.members

    incident.structured_data["kind"] = "flood"
    team.members.append(str(uuid4()))
    session.flush()
    session.expire_all()

    assert empty != ({}, [])
    assert incident.structured_data == {"kind": "flood"}
    assert len(team.members) == 1


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        ("UPDATE teams SET members = '{}'", "ck_teams_members"),
        ("UPDATE incidents SET structured_data = '[]'", "ck_incidents_structured_data"),
        ("UPDATE incidents SET severity = 6", "ck_incidents_severity"),
        ("UPDATE orders SET total_amount = -1", "ck_orders_total_amount"),
        ("UPDATE orders SET currency = 'usd'", "ck_orders_currency"),
        ("UPDATE fulfillment SET shipped_at = now(), delivered_at = now() - interval '1 day'", "delivered_after_shipped"),
        ("UPDATE tenants SET slug = 'Not a slug'", "ck_tenants_slug"),
        ("UPDATE projects SET s3_uri = 'https://x'", "ck_projects_s3_uri"),
        ("UPDATE onboarding_events SET payload = '7'", "ck_onboarding_events_payload"),
    ],
)  # fmt: skip
def test_the_database_refuses_what_the_model_forbids(
    session: Session, tenant: Tenant, user: User, statement: str, check: str
) -> None:
    onboarding = OnboardingSession(tenant=tenant, user=user)
    order = Order(tenant=tenant, order_number="1", customer_email="a@b.example", total_amount=Decimal(1))
    session.add_all(
        [
            Team(tenant=tenant, team_name="T"),
            Incident(tenant=tenant, domain_id="d"),
            Fulfillment(order=order),
            Project(tenant=tenant, user=user, project_name="P"),
            OnboardingEvent(session=onboarding, event_type="e"),
        ]
    )
    session.flush()

    with pytest.raises(IntegrityError, match=check):
        session.execute(text(statement))


def test_giving_the_parent_gives_the_tenant(session: Session, tenant: Tenant, user: User) -> None:
    conversation = Conversation(user=user, messages=[Message(role=MessageRole.USER, content="Hello")])
    session.add(conversation)
    session.flush()

    assert conversation.tenant_id == conversation.messages[0].tenant_id == tenant.id


def test_taking_an_optional_parent_away_empties_its_id_alone(
    session: Session, tenant: Tenant, user: User
) -> None:
    incident = Incident(tenant=tenant, domain_id="d", creator=user)
    session.add(incident)
    session.flush()
    given = incident.created_by

    incident.creator = None
    session.flush()

    assert given == user.id
    assert (incident.created_by, incident.tenant_id) == (None, tenant.id)


def test_children_are_loaded_in_order_and_go_with_their_parent(session: Session, tenant: Tenant) -> None:
    incident = Incident(tenant=tenant, domain_id="d")
    incident.images = [
        ImageEvidence(tenant=tenant, s3_bucket="b", s3_key=key, created_at=datetime(2026, 1, day, tzinfo=UTC))
        for key, day in (("late", 2), ("early", 1))
    ]
    session.add(incident)
    session.flush()
    session.expunge_all()

    loaded = session.scalars(select(Incident).options(selectinload(Incident.images))).one()
    keys = [image.s3_key for image in loaded.images]
    session.delete(loaded)
    session.flush()

    assert keys == ["early", "late"]
    assert session.scalar(select(func.count()).select_from(ImageEvidence)) == 0


def test_what_was_not_asked_for_is_not_loaded(session: Session, user: User) -> None:
    document = Document(user=user, title="T", content="C")
    session.add(document)
    session.flush()
    session.expire_all()

    with pytest.raises(InvalidRequestError, match="lazy='raise'"):
        _ = document.user


def test_no_row_can_point_into_another_tenant(session: Session, user: User) -> None:
    other = Tenant(tenant_name="Other", slug="other")
    session.add(other)
    session.flush()

    session.add(Incident(tenant_id=other.id, domain_id="d", created_by=user.id))

    with pytest.raises(IntegrityError, match="fk_incidents_tenant_id_created_by"):
        session.flush()


def test_removing_a_tenant_removes_all_that_is_the_tenants(
    session: Session, tenant: Tenant, user: User
) -> None:
    order = Order(tenant=tenant, order_number="1", customer_email="a@b.example", total_amount=Decimal("9.99"))
    session.add_all(
        [
            Incident(
                tenant=tenant, domain_id="d", creator=user, images=[ImageEvidence(s3_bucket="b", s3_key="k")]
            ),
            AuditLog(
                tenant=tenant, user=user, action="x", resource_type="y", ip_address=IPv4Address("192.0.2.1")
            ),
            AuditLog(tenant=tenant, action="x", resource_type="y"),
            Document(user=user, title="T", content="C"),
            Conversation(user=user, messages=[Message(role=MessageRole.SYSTEM, content="C")]),
            Fulfillment(order=order),
            OnboardingSession(tenant=tenant, user=user, events=[OnboardingEvent(event_type="e")]),
            UserTransaction(user=user, transaction_type="payment", amount=Decimal(5)),
            Project(user=user, project_name="P", s3_uri="s3://bucket/key"),
            RoleMetricVisibility(tenant=tenant, role=UserRole.ADMIN, metric_name="m"),
            agent(tenant, creator=user),
            Team(tenant=tenant, team_name="T", creator=user),
        ]
    )
    session.flush()

    session.execute(text("DELETE FROM tenants"))

    left = {
        table.name: session.scalar(select(func.count()).select_from(table))
        for table in Base.metadata.sorted_tables
    }
    assert set(left.values()) == {0}


def test_removing_a_user_takes_nothing_along(session: Session, user: User) -> None:
    session.add(Document(user=user, title="T", content="C"))
    session.flush()

    with pytest.raises(IntegrityError, match="fk_documents_tenant_id_user_id"):
        session.execute(text("DELETE FROM users"))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_logs SET action = 'y'",
        "DELETE FROM audit_logs",
        "TRUNCATE audit_logs",
        "TRUNCATE tenants CASCADE",
    ],
)
def test_audit_logs_refuse_change_even_to_a_superuser(
    session: Session, tenant: Tenant, statement: str
) -> None:
    session.add(AuditLog(tenant=tenant, action="x", resource_type="y"))
    session.flush()

    with pytest.raises(DBAPIError, match="audit_logs is refused: the table is append-only"):
        session.execute(text(statement))


def test_an_audit_row_does_not_go_by_way_of_another_trigger(session: Session, tenant: Tenant) -> None:
    """A trigger of somebody's own also deletes at depth 2; the tenant still stands, so the row does too."""
    session.add(AuditLog(tenant=tenant, action="x", resource_type="y"))
    session.flush()
    session.execute(text("CREATE TEMP TABLE bait (id int)"))
    session.execute(text("CREATE TEMP TABLE tenants (id uuid)"))
    session.execute(
        text(
            "CREATE FUNCTION pg_temp.spring() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN DELETE FROM audit_logs; RETURN NEW; END'"
        )
    )
    session.execute(
        text("CREATE TRIGGER spring AFTER INSERT ON bait FOR EACH ROW EXECUTE FUNCTION pg_temp.spring()")
    )

    with pytest.raises(DBAPIError, match="append-only"):
        session.execute(text("INSERT INTO bait VALUES (1)"))


def test_a_webhook_that_comes_twice_is_stored_once(session: Session, tenant: Tenant) -> None:
    onboarding = OnboardingSession(tenant=tenant)
    onboarding.events = [OnboardingEvent(event_type="e", external_event_id="evt_1") for _ in range(2)]
    session.add(onboarding)

    with pytest.raises(IntegrityError, match="uq_onboarding_events_tenant_id_external_event_id"):
        session.flush()


def test_names_are_unique_within_a_tenant_and_free_across(session: Session, user: User) -> None:
    other = Tenant(tenant_name="Other", slug="other")
    session.add(User(tenant=other, username=user.username, email=user.email))
    session.flush()

    session.add(User(tenant=other, username=user.username, email="b@example.com"))

    with pytest.raises(IntegrityError, match="uq_users_tenant_id_username"):
        session.flush()


def test_an_object_holds_what_it_will_read_back(session: Session, tenant: Tenant, user: User) -> None:
    """Without waiting for an expiry, which under asyncio never comes."""
    incident = Incident(
        tenant=tenant, domain_id="d", location={"type": "Point", "coordinates": [7, 46]}, status="closed"
    )
    session.add(incident)
    session.flush()

    assert incident.location == GeoPoint(7.0, 46.0)
    assert incident.location.longitude == 7.0
    assert incident.status is IncidentStatus.CLOSED
    assert user.email == "ann@example.com"
    incident.location = None
    assert incident.location is None


def test_an_expression_is_left_to_the_database(session: Session, user: User) -> None:
    user.email = func.lower("SHE@EXAMPLE.COM")
    session.flush()

    assert user.email == "she@example.com"


def test_a_set_can_be_searched_by_pattern(session: Session, user: User) -> None:
    assert session.scalars(select(User).where(User.role.like("mem%"))).all() == [user]


def test_a_time_that_was_not_loaded_cannot_be_forged_either(session: Session, tenant: Tenant) -> None:
    session.expunge_all()
    loaded = session.scalars(select(Tenant).options(load_only(Tenant.tenant_name))).one()

    loaded.tenant_name, loaded.updated_at = "Other", LONG_AGO
    session.flush()

    assert loaded.updated_at == session.scalar(select(func.now()))


def test_an_audit_row_does_not_go_where_its_tenant_is_only_out_of_sight(
    session: Session, tenant: Tenant
) -> None:
    """An owner whom FORCE binds sees no tenant once the setting changes in the middle of its DELETE."""
    session.add(AuditLog(tenant=tenant, action="x", resource_type="y"))
    session.flush()
    for statement in (
        "CREATE ROLE audit_owner; GRANT USAGE, CREATE ON SCHEMA public TO audit_owner",
        "ALTER TABLE audit_logs OWNER TO audit_owner; ALTER TABLE tenants OWNER TO audit_owner",
        "SET LOCAL ROLE audit_owner",
        f"SET LOCAL app.tenant_id = '{tenant.id}'",
        "CREATE TEMP TABLE bait (id int)",
        (
            "CREATE FUNCTION pg_temp.spring() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM audit_logs"
            " WHERE set_config(left('app.tenant_id' || id::text, 13), '', true) IS NOT NULL; RETURN NEW; END $$"
        ),
        "CREATE TRIGGER spring AFTER INSERT ON bait FOR EACH ROW EXECUTE FUNCTION pg_temp.spring()",
    ):
        session.execute(text(statement.replace("::", r"\:\:")))

    with pytest.raises(DBAPIError, match="row-level security"):
        session.execute(text("INSERT INTO bait VALUES (1)"))


def test_a_forced_owner_and_the_application_can_remove_a_tenant(session: Session, tenant: Tenant) -> None:
    for role in ("dbschema_app", "removing_owner"):
        if role == "removing_owner":
            session.execute(text(f"CREATE ROLE {role}; GRANT USAGE, CREATE ON SCHEMA public TO {role}"))
            for table in Base.metadata.sorted_tables:
                session.execute(text(f"ALTER TABLE {table.name} OWNER TO {role}"))
        with session.begin_nested() as savepoint:
            session.execute(
                text(
                    "INSERT INTO audit_logs (tenant_id, action, resource_type) SELECT id, 'a', 'b' FROM tenants"
                )
            )
            session.execute(text(f"SET LOCAL ROLE {role}"))
            session.execute(text(f"SET LOCAL app.tenant_id = '{tenant.id}'"))
            session.execute(text("DELETE FROM tenants"))
            session.execute(text("RESET ROLE"))
            left = session.scalar(text("SELECT count(*) FROM audit_logs"))
            savepoint.rollback()
        assert left == 0, role
