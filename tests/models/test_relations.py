"""Relationships over composite keys, in shapes that our own models do not have."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import Column, ForeignKeyConstraint, MetaData, Table, Text, Uuid, create_engine, func, select
from sqlalchemy.exc import IntegrityError, InvalidRequestError, SAWarning
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    configure_mappers,
    declared_attr,
    joinedload,
    mapped_column,
    relationship,
    selectinload,
)

from dbschema import TenantRoot, TenantScoped, foreign_key
from dbschema.ddl.tenancy import isolate
from dbschema.errors import BadRelationship
from dbschema.orm.relations import belongs_to, owns
from dbschema.sessions import TenantSession, tenant_session
from dbschema.sql import NAMING_CONVENTION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {UUID: Uuid(), str: Text()}  # noqa: RUF012  as SQLAlchemy declares it


class Tenant(TenantRoot, Base):
    __tablename__ = "tenants"

    name: Mapped[str]


class Person(TenantScoped, Base):
    __tablename__ = "people"

    name: Mapped[str]

    watching: Mapped[list[Task]] = relationship(
        secondary="watchers", back_populates="watchers", order_by="Task.name", lazy="raise"
    )


class Place(TenantScoped, Base):
    """A natural key: the id is a word."""

    __tablename__ = "places"

    id: Mapped[str] = mapped_column("code", primary_key=True)  # type: ignore[assignment]  # as an application may


class Reviewed:
    """A mixin with a key."""

    reviewed_by: Mapped[UUID | None]

    @declared_attr
    @classmethod
    def reviewer(cls) -> Mapped[Person | None]:
        return belongs_to(cls.__name__, "reviewed_by", "Person", optional=True)


class Task(Reviewed, TenantScoped, Base):
    __tablename__ = "tasks"
    __table_args__ = (
        foreign_key("created_by", "people"),
        foreign_key("assigned_to", "people"),
        foreign_key("reviewed_by", "people"),
        foreign_key("parent_id", "tasks", cascade=True),
        ForeignKeyConstraint(["tenant_id", "place"], ["places.tenant_id", "places.code"]),
    )

    name: Mapped[str]
    created_by: Mapped[UUID]
    assigned_to: Mapped[UUID | None]
    parent_id: Mapped[UUID | None]
    place: Mapped[str | None]

    creator: Mapped[Person] = belongs_to("Task", "created_by", "Person")
    assignee: Mapped[Person | None] = belongs_to("Task", "assigned_to", "Person", optional=True)
    location: Mapped[Place | None] = belongs_to("Task", "place", "Place", optional=True)
    parent: Mapped[Task | None] = belongs_to(
        "Task", "parent_id", "Task", back_populates="children", optional=True
    )
    children: Mapped[list[Task]] = owns(
        "Task", "Task", "parent_id", back_populates="parent", order_by="Task.name"
    )
    task_labels: Mapped[list[TaskLabel]] = owns("Task", "TaskLabel", "task_id", back_populates="task")
    labels: AssociationProxy[list[Label]] = association_proxy(
        "task_labels", "label", creator=lambda label: TaskLabel(label=label)
    )
    watchers: Mapped[list[Person]] = relationship(
        secondary="watchers", back_populates="watching", order_by="Person.name", lazy="raise"
    )


class Label(TenantScoped, Base):
    __tablename__ = "labels"

    name: Mapped[str]

    task_labels: Mapped[list[TaskLabel]] = owns("Label", "TaskLabel", "label_id", back_populates="label")


class TaskLabel(Reviewed, TenantScoped, Base):
    """Two parents that both own it, and the mixin's key."""

    __tablename__ = "task_labels"
    __table_args__ = (
        foreign_key("task_id", "tasks", cascade=True),
        foreign_key("label_id", "labels", cascade=True),
        foreign_key("reviewed_by", "people"),
    )

    task_id: Mapped[UUID]
    label_id: Mapped[UUID]

    task: Mapped[Task] = belongs_to("TaskLabel", "task_id", "Task", back_populates="task_labels")
    label: Mapped[Label] = belongs_to("TaskLabel", "label_id", "Label", back_populates="task_labels")


WATCHERS = Table(
    "watchers",
    Base.metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("task_id", Uuid(), primary_key=True),
    Column("person_id", Uuid(), primary_key=True),
    foreign_key("task_id", "tasks", cascade=True),
    foreign_key("person_id", "people", cascade=True),
)
isolate(WATCHERS)

MODELS = (Tenant, Person, Place, Task, Label, TaskLabel)


@pytest.fixture(scope="module")
def engine(server: Any) -> Iterator[Engine]:
    """An engine on a database that has the tables of this module."""
    name = f"relations_{server.port}"
    server.admin.execute(f"CREATE DATABASE {name}")
    engine = create_engine(server.url(name))
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()
    server.admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session of the superuser, to which no tenant is known; what it writes is rolled back."""
    with engine.connect() as connection, connection.begin() as transaction:
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            yield session
        transaction.rollback()


@pytest.fixture
def ann(session: Session) -> Person:
    tenant = Tenant(name="Acme")
    session.add(tenant)
    session.flush()
    ann = Person(tenant_id=tenant.id, name="Ann")
    session.add(ann)
    session.flush()
    return ann


def task(creator: Person, name: str = "t", **values: Any) -> Task:
    return Task(creator=creator, name=name, **values)


def count(session: Session, model: type[Base] | Table) -> int:
    return session.scalar(select(func.count()).select_from(model)) or 0


def reload(session: Session, found: Task, *options: Any) -> Task:
    session.flush()
    session.expunge_all()
    return session.scalars(select(Task).where(Task.id == found.id).options(*options)).one()


def test_all_shapes_configure_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        configure_mappers()


@pytest.mark.parametrize("model", MODELS[3:], ids=lambda model: model.__name__)
def test_every_join_compares_the_tenant_and_every_relationship_raises(model: Any) -> None:
    for relation in model.__mapper__.relationships:
        pairs = {(local.name, remote.name) for local, remote in relation.local_remote_pairs}
        assert ("tenant_id", "tenant_id") in pairs, relation
        assert relation.lazy == "raise"


def test_a_required_parent_gives_the_tenant_through_generations_that_are_all_new(session: Session) -> None:
    tenant = Tenant(name="Acme")
    session.add(tenant)
    session.flush()
    ann = Person(tenant_id=tenant.id, name="Ann")
    label = Label(tenant_id=tenant.id, name="urgent")
    grandchild = task(ann, "c")
    root = task(ann, "a", children=[task(ann, "b", children=[grandchild])])
    root.labels.append(label)

    session.add(root)
    session.flush()

    assert grandchild.tenant_id == root.tenant_id == root.task_labels[0].tenant_id == tenant.id


def test_an_owner_gives_the_tenant_where_the_key_of_the_child_is_optional(
    session: Session, ann: Person
) -> None:
    root = task(ann)
    session.add(root)
    session.flush()

    child = Task(created_by=ann.id, name="b", parent=root)
    session.add(child)
    session.flush()

    assert (child.tenant_id, child.parent_id) == (root.tenant_id, root.id)


def test_an_optional_parent_alone_gives_no_tenant(session: Session, ann: Person) -> None:
    session.add(Task(created_by=ann.id, name="t", assignee=ann))

    # SQLAlchemy tells of the NULL in the primary key before the database does, as a warning, which is an error here.
    with pytest.raises((IntegrityError, SAWarning), match="tenant_id"):
        session.flush()


def test_a_parent_that_has_expired_gives_its_tenant_too(session: Session, ann: Person) -> None:
    session.commit()

    made = task(ann)
    session.add(made)
    session.flush()

    assert made.tenant_id == ann.tenant_id


def test_the_same_class_is_parent_twice_and_each_key_is_written_alone(session: Session, ann: Person) -> None:
    ben = Person(tenant_id=ann.tenant_id, name="Ben")
    made = task(ann, assignee=ben, reviewer=ann)
    session.add(made)

    made = reload(
        session, made, joinedload(Task.creator), selectinload(Task.assignee), joinedload(Task.reviewer)
    )
    assert made.creator.name == "Ann"
    assert made.assignee is not None
    assert made.assignee.name == "Ben"

    made.assignee, made.reviewer = None, None
    session.flush()
    assert (made.assigned_to, made.reviewed_by, made.created_by) == (None, None, ann.id)
    assert made.tenant_id == ann.tenant_id


def test_a_required_parent_cannot_be_taken_away(session: Session, ann: Person) -> None:
    made = task(ann)
    session.add(made)
    session.flush()

    made.creator = None  # type: ignore[assignment]  # the point of the test

    with pytest.raises(IntegrityError, match="created_by"):
        session.flush()


def test_a_parent_with_a_natural_key_is_joined_by_it(session: Session, ann: Person) -> None:
    place = Place(tenant_id=ann.tenant_id, id="BERN")
    made = task(ann, location=place)
    session.add(made)

    made = reload(session, made, selectinload(Task.location))

    assert made.place == "BERN"
    assert made.location is not None
    assert made.location.id == "BERN"


def test_a_tree_is_loaded_down_and_up(session: Session, ann: Person) -> None:
    leaf = task(ann, "c")
    root = task(ann, "a", children=[task(ann, "d"), task(ann, "b", children=[leaf])])
    session.add(root)

    down = reload(session, root, selectinload(Task.children, recursion_depth=2))
    names = [(child.name, [each.name for each in child.children]) for child in down.children]
    up = reload(session, leaf, joinedload(Task.parent).joinedload(Task.parent))

    assert names == [("b", ["c"]), ("d", [])]
    assert up.parent is not None
    assert up.parent.parent is not None
    assert (up.parent.name, up.parent.parent.name) == ("b", "a")


def test_a_child_goes_to_another_parent_and_stays_in_the_tenant(session: Session, ann: Person) -> None:
    child = task(ann, "b")
    old, new = task(ann, "old", children=[child]), task(ann, "new")
    session.add_all([old, new])
    session.flush()

    child.parent = new
    session.flush()

    assert (child.parent_id, child.tenant_id, count(session, Task)) == (new.id, ann.tenant_id, 3)
    assert (old.children, reload(session, new, selectinload(Task.children)).children[0].id) == ([], child.id)


def test_a_part_of_a_tree_goes_whose_parent_is_not_loaded(session: Session, ann: Person) -> None:
    child = task(ann, "b", children=[task(ann, "c"), task(ann, "d")])
    session.add(task(ann, "a", children=[child]))

    session.delete(reload(session, child, selectinload(Task.children, recursion_depth=1)))
    session.flush()

    assert list(session.scalars(select(Task.name))) == ["a"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_parent_and_its_child_can_be_deleted_in_one_flush(
    session: Session, ann: Person, order: int
) -> None:
    root = task(ann, "a", children=[task(ann, "b")])
    session.add(root)
    session.flush()
    session.expunge_all()

    for each in session.scalars(select(Task).options(joinedload(Task.parent))).all()[::order]:
        session.delete(each)
    session.flush()

    assert count(session, Task) == 0


def test_a_child_becomes_a_root_by_its_column(session: Session, ann: Person) -> None:
    child = task(ann, "b")
    session.add(task(ann, "a", children=[child]))
    session.flush()

    child.parent_id = None
    session.flush()
    child = reload(session, child, joinedload(Task.parent))

    assert (child.parent_id, child.parent, count(session, Task)) == (None, None, 2)


def test_a_child_that_its_owner_gives_up_is_deleted(session: Session, ann: Person) -> None:
    root = task(ann, children=[task(ann, "b", children=[task(ann, "c")]), task(ann, "d")])
    session.add(root)
    session.flush()

    root.children.pop(0)
    session.flush()

    assert sorted(session.scalars(select(Task.name))) == ["d", "t"]


@pytest.mark.parametrize("loaded", [True, False])
def test_a_whole_tree_goes_with_its_root(session: Session, ann: Person, loaded: bool) -> None:
    label = Label(tenant_id=ann.tenant_id, name="urgent")
    child = task(ann, "b", children=[task(ann, "c")])
    child.labels.append(label)
    root = task(ann, children=[child])
    session.add(root)
    options = [selectinload(Task.children, recursion_depth=2)] if loaded else []

    session.delete(reload(session, root, *options))
    session.flush()

    assert (count(session, Task), count(session, TaskLabel), count(session, Label)) == (0, 0, 1)


@pytest.mark.parametrize("side", ["task", "label"])
def test_an_association_goes_with_either_parent_and_leaves_the_other(
    session: Session, ann: Person, side: str
) -> None:
    made, label = task(ann), Label(tenant_id=ann.tenant_id, name="urgent")
    made.labels.append(label)
    session.add(made)
    session.flush()

    session.delete(made if side == "task" else label)
    session.flush()

    left = (count(session, Task), count(session, TaskLabel), count(session, Label))
    assert left == ((0, 0, 1) if side == "task" else (1, 0, 0))


def test_an_association_is_taken_away_by_its_proxy(session: Session, ann: Person) -> None:
    made = task(ann)
    labels = [Label(tenant_id=ann.tenant_id, name=name) for name in "xy"]
    made.labels.extend(labels)
    session.add(made)
    session.flush()

    made.labels.remove(labels[0])
    session.flush()
    made = reload(session, made, selectinload(Task.task_labels).joinedload(TaskLabel.label))

    assert [label.name for label in made.labels] == ["y"]


def test_an_association_table_needs_no_helper_and_holds_the_tenant(session: Session, ann: Person) -> None:
    made = task(ann, watchers=[ann])
    session.add(made)
    session.flush()
    row = session.execute(select(WATCHERS)).one()

    made = reload(session, made, selectinload(Task.watchers))
    assert row == (ann.tenant_id, made.id, ann.id)
    assert [watcher.name for watcher in made.watchers] == ["Ann"]
    made.watchers.clear()
    session.flush()
    assert (count(session, WATCHERS), count(session, Person)) == (0, 1)


def test_a_tenant_that_is_given_is_not_overwritten_by_that_of_the_parent(
    session: Session, ann: Person
) -> None:
    other = Tenant(name="Other")
    session.add(other)
    session.flush()

    session.add(Task(tenant_id=other.id, creator=ann, name="t"))

    with pytest.raises(IntegrityError, match="fk_tasks_tenant_id_created_by"):
        session.flush()


def test_a_parent_of_another_tenant_moves_no_row(session: Session, ann: Person) -> None:
    other = Tenant(name="Other")
    session.add(other)
    session.flush()
    ben = Person(tenant_id=other.id, name="Ben")
    made = task(ann)
    session.add_all([ben, made])
    session.flush()

    made.creator = ben

    with pytest.raises(IntegrityError, match="fk_tasks_tenant_id_created_by"):
        session.flush()


def test_what_was_not_asked_for_is_not_loaded(session: Session, ann: Person) -> None:
    made = reload(session, _added(session, task(ann)))

    for name in ("creator", "parent", "children", "task_labels", "watchers"):
        with pytest.raises(InvalidRequestError, match="lazy='raise'"):
            getattr(made, name)


def _added(session: Session, made: Task) -> Task:
    session.add(made)
    return made


def test_a_query_over_a_tree_joins_aliases_of_one_table(session: Session, ann: Person) -> None:
    session.add(task(ann, "a", children=[task(ann, "b")]))
    session.flush()
    parent = aliased(Task)

    found = session.execute(
        select(Task.name, parent.name).join(Task.parent.of_type(parent)).where(parent.name == "a")
    ).one()
    parents = session.scalars(select(Task.name).where(Task.children.any(Task.name == "b"))).all()

    assert found == ("b", "a")
    assert parents == ["a"]


Shape = list[tuple[int, int, bool]]
"""A task each: the task before it that is its parent, who works on it, whether it has the label."""

SHAPES: st.SearchStrategy[Shape] = st.lists(
    st.tuples(st.integers(-1, 6), st.integers(0, 1), st.booleans()), min_size=3, max_size=7
)


def write(session: TenantSession, shape: Shape) -> list[tuple[Any, ...]]:
    """Write tasks of a shape, and give them as `read` should find them."""
    people = [Person(name="Ann"), Person(name="Ben")]
    label = Label(name="urgent")
    made: list[Task] = []
    expected: list[tuple[Any, ...]] = []
    levels: list[int] = []
    for number, (over, worker, labelled) in enumerate(shape):
        parent = made[over] if 0 <= over < number and levels[over] < 2 else None
        new = task(people[0], str(number), assignee=people[worker], parent=parent)
        expected.append(
            (str(number), parent and parent.name, people[worker].name, "urgent" if labelled else None)
        )
        if labelled:
            new.labels.append(label)
        made.append(new)
        levels.append(levels[made.index(parent)] + 1 if parent else 0)
    session.add_all([*people, label, *made])
    session.commit()
    return expected


def read(session: TenantSession) -> list[tuple[Any, ...]]:
    """Read all tasks by their relationships, from the roots down."""
    session.expunge_all()
    loading = (
        selectinload(Task.children, recursion_depth=3),
        selectinload(Task.assignee),
        selectinload(Task.task_labels).joinedload(TaskLabel.label),
    )
    tasks = session.scalars(select(Task).options(*loading)).all()
    by_parent = {child.id: each.name for each in tasks for child in each.children}
    assert {each.id for each in tasks if each.parent_id} == set(by_parent)
    return sorted(
        (
            each.name,
            by_parent.get(each.id),
            each.assignee and each.assignee.name,
            next((label.name for label in each.labels), None),
        )
        for each in tasks
    )


@pytest.fixture(scope="module")
def new_tenants(engine: Engine) -> Callable[[], list[UUID]]:
    """Makes two tenants for each example, in one database."""

    def make() -> list[UUID]:
        with Session(engine) as session:
            tenants = [Tenant(name=name) for name in ("Acme", "Other")]
            session.add_all(tenants)
            session.commit()
            return [tenant.id for tenant in tenants]

    return make


@given(mine=SHAPES, theirs=SHAPES)
@examples(max_examples=15)
def test_trees_with_two_parents_and_an_association_are_read_as_written_and_tenants_stay_apart(
    engine: Engine, new_tenants: Callable[[], list[UUID]], mine: Shape, theirs: Shape
) -> None:
    tenants = new_tenants()
    written = []
    for tenant, shape in zip(tenants, (mine, theirs), strict=True):
        with tenant_session(engine, tenant) as session:
            written.append(write(session, shape))

    for tenant, expected in zip(tenants, written, strict=True):
        with tenant_session(engine, tenant) as session:
            assert read(session) == expected


class TestMistakes:
    """Each in a registry of its own, for a mapper that cannot be configured stops all of its registry."""

    @staticmethod
    def models() -> tuple[Any, ...]:
        class Own(DeclarativeBase):
            type_annotation_map = {UUID: Uuid(), str: Text()}  # noqa: RUF012  as SQLAlchemy declares it

        class Owner(TenantScoped, Own):
            __tablename__ = "owners"
            __tenant_reference__ = None

        class Plain(Own):
            __tablename__ = "plain"

            key: Mapped[str] = mapped_column(primary_key=True)

        return Own, Owner, Plain

    def configured(self, **relationships: Any) -> str:
        own, *others = self.models()  # the registry has weak references
        columns = {"owner_id": mapped_column(Uuid()), "__tablename__": "things", "__tenant_reference__": None}
        others.append(type("Thing", (TenantScoped, own), {**columns, **relationships}))
        with pytest.raises((BadRelationship, InvalidRequestError)) as caught:
            own.registry.configure()
        own.registry.dispose()
        return str(caught.value)

    def test_a_column_that_is_missing_is_named_with_those_that_are_there(self) -> None:
        assert self.configured(owner=belongs_to("Thing", "ownr_id", "Owner")) == (
            "The relationship Thing.owner cannot be joined: Thing has no column 'ownr_id'. "
            "Name one of its columns: id, owner_id, tenant_id."
        )

    def test_a_column_that_is_missing_on_the_other_side_is_named(self) -> None:
        assert "Thing.things cannot be joined: Owner has no column 'thing_id'" in self.configured(
            things=owns("Thing", "Owner", "thing_id", back_populates="thing")
        )

    def test_a_parent_without_a_tenant_is_named(self) -> None:
        assert "Thing.plain cannot be joined: Plain has no column 'tenant_id'" in self.configured(
            plain=belongs_to("Thing", "owner_id", "Plain")
        )

    def test_the_wrong_owner_is_named(self) -> None:
        assert self.configured(owner=belongs_to("Owner", "id", "Owner")) == (
            "The relationship Thing.owner cannot be joined: its owner is Owner. "
            "Give the class that has the relationship: 'Thing'."
        )

    def test_an_unknown_class_is_named_by_sqlalchemy(self) -> None:
        assert "name 'Ownr' is not defined" in self.configured(owner=belongs_to("Thing", "owner_id", "Ownr"))
