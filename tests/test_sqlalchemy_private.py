"""Private names of SQLAlchemy: the behaviour that `dbschema._sqlalchemy` relies on, without a database."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.orm import (
    DeclarativeBase,
    LoaderCriteriaOption,
    Mapped,
    Session,
    aliased,
    mapped_column,
    relationship,
)
from sqlalchemy.orm.interfaces import CriteriaOption
from sqlalchemy.util import greenlet_spawn

from dbschema import _sqlalchemy as private


class Base(DeclarativeBase):
    pass


class Parent(Base):
    __tablename__ = "parents"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Child(Base):
    __tablename__ = "children"

    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(sa.ForeignKey("parents.id"))
    parent: Mapped[Parent] = relationship()


PARENT: Any = sa.inspect(Parent)
CHILD: Any = sa.inspect(Child)


@pytest.fixture
def session() -> Any:
    engine = sa.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Parent(id=1, name="a"), Parent(id=2, name="b"), Child(id=1, parent_id=2)])
        session.commit()
        yield session
    engine.dispose()


def sql(statement: Any) -> str:
    return " ".join(str(statement.compile(dialect=postgresql.dialect())).split())


# --- the dialect ---


def test_a_metadata_connection_hands_over_each_statement_of_create_all() -> None:
    dialect = private.offline_dialect(psycopg.dialect())
    sent: list[str] = []

    connection = private.MetadataConnection(
        dialect, lambda element, *_, **__: sent.append(type(element).__name__)
    )
    Base.metadata.create_all(connection, checkfirst=False)

    assert sent == ["CreateTable", "CreateTable"], "MockConnection(dialect, execute) changed"
    assert connection.dialect is dialect


def test_an_offline_dialect_compiles_by_what_the_real_one_learned() -> None:
    real = psycopg.dialect()
    real.server_version_info = (9, 1)
    real.default_schema_name = "house"
    real._backslash_escapes = True

    dialect = private.offline_dialect(real)

    assert (dialect.server_version_info, dialect.default_schema_name) == ((9, 1), "house")
    text = sa.literal("a\\b").compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    assert str(text) == "'a\\\\b'", (
        "the dialect's _backslash_escapes no longer decides how a literal is written"
    )
    real._backslash_escapes = False
    text = sa.literal("a\\b").compile(
        dialect=private.offline_dialect(real), compile_kwargs={"literal_binds": True}
    )
    assert str(text) == "'a\\b'"


def test_an_offline_dialect_writes_no_concurrently_and_single_percent_signs() -> None:
    dialect = private.offline_dialect(psycopg.dialect())
    table = sa.Table("t", sa.MetaData(), sa.Column("a", sa.Integer))
    index = sa.Index("ix", table.c.a % 2, postgresql_concurrently=True)
    create = sa.schema.CreateIndex(index)

    assert "CONCURRENTLY" in str(create.compile(dialect=psycopg.dialect()))
    assert str(create.compile(dialect=dialect)) == "CREATE INDEX ix ON t ((a % 2))", (
        "the dialect's _supports_create_index_concurrently no longer turns CONCURRENTLY off"
    )


def test_a_constraint_that_the_ddl_compiler_answers_with_none_is_left_out() -> None:
    class Compiler(private.PGDDLCompiler):
        def visit_unique_constraint(self, constraint: Any, **kw: Any) -> Any:
            assert self.define_unique_body(constraint) == "UNIQUE (a)"
            return None

        def visit_primary_key_constraint(self, constraint: Any, **kw: Any) -> Any:
            assert self.define_primary_key_body(constraint) == "PRIMARY KEY (b)"
            return super().visit_primary_key_constraint(constraint, **kw)

    dialect = private.offline_dialect(psycopg.dialect())
    dialect.ddl_compiler = Compiler
    columns = sa.Column("a", sa.Text), sa.Column("b", sa.Text)
    table = sa.Table("t", sa.MetaData(), *columns, sa.UniqueConstraint("a"), sa.PrimaryKeyConstraint("b"))

    written = " ".join(str(sa.schema.CreateTable(table).compile(dialect=dialect)).split())

    assert written == "CREATE TABLE t ( a TEXT, b TEXT NOT NULL, PRIMARY KEY (b) )"


def test_the_json_serializer_is_the_one_of_create_engine() -> None:
    engine = sa.create_engine("postgresql+psycopg://", json_serializer=json.dumps)

    assert private.json_serializer(engine.dialect) is json.dumps, "the dialect's _json_serializer is gone"
    assert private.json_serializer(sa.create_engine("postgresql+psycopg://").dialect) is None


def test_a_ddl_event_tells_a_table_of_its_own_from_one_of_its_metadata() -> None:
    metadata = sa.MetaData()
    table = sa.Table("t", metadata, sa.Column("a", sa.Integer))
    events: list[tuple[str, bool]] = []
    for name in ("before_create", "after_create", "before_drop"):
        sa.event.listen(
            table,
            name,
            lambda *_, _name=name, **context: events.append((_name, private.is_part_of_metadata(context))),
        )

    with sa.create_engine("sqlite://").begin() as connection:
        metadata.create_all(connection)
        metadata.drop_all(connection)
        of_metadata = list(events)
        events.clear()
        table.create(connection)
        table.drop(connection)

    names = ["before_create", "after_create", "before_drop"]
    assert of_metadata == [(name, True) for name in names], (
        "the keyword _is_metadata_operation of DDL events is gone"
    )
    assert events == [(name, False) for name in names]


def test_await_only_waits_for_a_coroutine_within_a_greenlet_of_sqlalchemy() -> None:
    async def main() -> str:
        return await greenlet_spawn(lambda: private.await_only(asyncio.sleep(0, "slept")))

    assert asyncio.run(main()) == "slept"


# --- statements ---


def test_all_options_of_a_statement_are_returned_and_replaced() -> None:
    first, second = sa.orm.joinedload(Child.parent), sa.orm.raiseload("*")
    statement = sa.select(Child).options(first, second)

    assert private.options_of(sa.select(Child)) == ()
    assert private.options_of(statement) == (first, second), "_with_options is gone"
    changed = private.replace_options(statement, [second])
    assert private.options_of(changed) == (second,)
    assert private.options_of(statement) == (first, second), "_generate() no longer copies"
    assert "JOIN" in sql(statement)
    assert "JOIN" not in sql(changed), "a replaced option still takes part"


def test_a_statement_without_options_compiles_anew_after_the_replacement() -> None:
    """The copy must not keep the cache key of the original."""
    statement = sa.select(Child).options(sa.orm.joinedload(Child.parent))
    statement._generate_cache_key()

    changed = private.replace_options(statement, [])

    assert changed._generate_cache_key() != statement._generate_cache_key()


def test_the_element_of_from_statement_is_replaced_in_a_copy() -> None:
    inner = sa.insert(Parent).values(id=3, name="c").returning(Parent)
    statement = sa.select(Parent).from_statement(inner)

    changed = private.replace_element(statement, inner.values(name="d"))

    assert changed.element is not inner
    assert statement.element is inner
    assert type(changed) is type(statement)
    assert "d" in changed.element.compile().params.values()


@pytest.mark.parametrize(
    "extend",
    [
        lambda statement: statement.returning(Parent.id),
        lambda statement: statement.add_cte(sa.delete(Child).cte()),
        lambda statement: statement.options(sa.orm.raiseload("*")),
    ],
    ids=["returning", "cte", "options"],
)
@pytest.mark.parametrize("make", [sa.update, sa.delete])
def test_a_statement_is_extended_by_options_returning_and_ctes(make: Any, extend: Any) -> None:
    statement = make(Parent).where(Parent.id == 1)

    assert not private.is_extended(statement)
    assert private.is_extended(extend(statement)), "_with_options, _returning or _independent_ctes changed"


@pytest.mark.parametrize("make", [sa.select, sa.update, sa.delete])
def test_conditions_are_returned_one_by_one_and_as_they_were_given(make: Any) -> None:
    first, second = Parent.id == 1, Parent.name == "a"
    statement = make(Parent).where(first).where(second)

    assert [str(each) for each in private.conditions_of(statement)] == [str(first), str(second)], (
        "_where_criteria is gone"
    )
    assert private.conditions_of(make(Parent)) == ()
    assert private.conditions_of(sa.insert(Parent)) == ()


def test_the_values_of_an_insert_and_an_update_are_returned_by_column() -> None:
    for statement in (sa.insert(Parent).values(name="a"), sa.update(Parent).values(name="a")):
        ((column, value),) = private.values_of(statement).items()
        assert (getattr(column, "key", column), getattr(value, "value", value)) == ("name", "a"), (
            "_values is gone"
        )
    assert private.values_of(sa.insert(Parent)) == {}
    assert private.values_of(sa.delete(Parent)) == {}


def test_the_rows_of_an_insert_are_returned_and_replaced_in_a_copy() -> None:
    statement = sa.insert(Parent).values([{"name": "a"}, {"name": "b"}])

    assert private.rows_of_values(sa.insert(Parent).values(name="a")) == ()
    (rows,) = private.rows_of_values(statement)
    names = [[value for key, value in row.items() if getattr(key, "key", key) == "name"] for row in rows]
    assert names == [["a"], ["b"]], "_multi_values changed"

    changed = private.replace_rows(statement, ([{**row, "id": 7} for row in rows],))

    assert sql(changed).count("%(id") == 2, "_multi_values is not what the compiler reads"
    assert "%(id" not in sql(statement), "the statement itself was changed"


def test_a_lambda_statement_resolves_to_the_statement_that_it_makes(session: Session) -> None:
    statement = sa.lambda_stmt(lambda: sa.select(Parent.id))

    resolved = private.resolve_lambda(statement)

    assert isinstance(resolved, sa.Select), "LambdaElement._resolved is gone"
    assert session.scalars(resolved.where(Parent.id == 1)).all() == [1]


def test_order_by_is_recognised() -> None:
    assert private.has_order_by(sa.select(Parent).order_by(Parent.id)), "_order_by_clauses is gone"
    union = sa.union(sa.select(Parent.id), sa.select(Child.id))
    assert private.has_order_by(union.order_by("id"))
    assert not private.has_order_by(union)
    assert not private.has_order_by(sa.select(Parent))
    assert not private.has_order_by(sa.update(Parent))


# --- the ORM ---


def test_the_entity_of_a_table_a_column_and_an_alias_is_found() -> None:
    other = aliased(Parent)
    message = "_annotations['parententity'] changed"

    assert private.entity_of(sa.update(Parent).table) is PARENT, message
    assert private.entity_of(Parent.id.expression) is PARENT, message
    assert private.entity_of(other.id.expression) is sa.inspect(other), message
    assert private.entity_of(Parent.__table__.c.id) is None
    assert private.entity_of(sa.literal(1), PARENT) is PARENT


def test_the_entity_of_a_condition_s_columns_is_found() -> None:
    (condition,) = private.conditions_of(sa.update(Parent).where(Parent.id == Child.parent_id))

    entities = {private.entity_of(each) for each in condition.get_children()}

    assert entities == {PARENT, CHILD}


def test_get_and_lazy_loads_are_key_lookups_and_a_written_condition_is_not(session: Session) -> None:
    lookups: list[bool] = []

    @sa.event.listens_for(session, "do_orm_execute")
    def _(state: Any) -> None:
        (condition,) = private.conditions_of(state.statement)
        lookups.append(private.is_key_lookup(state.bind_mapper, condition))

    session.get(Parent, 1)
    child = session.scalars(sa.select(Child).where(Child.id == 1)).one()
    assert child.parent.name == "b"
    session.scalars(sa.select(Parent).where(Parent.id == 1)).one()

    assert lookups == [True, False, True, False], (
        "Mapper._get_clause is not the element of get() and lazy loads"
    )


class OnlyTwo(private.ResolvedCriterion, LoaderCriteriaOption):
    inherit_cache = False

    def __init__(self, parameter: Any) -> None:
        self.root_entity, self.entity = Base, None
        self.include_aliases = self.propagate_to_loaders = True
        self.made_of = parameter

    def condition(self, entity: Any) -> Any:
        return entity.entity.id == self.made_of


class WithId(private.ParameterCacheKey, CriteriaOption):
    propagate_to_loaders = False

    def __init__(self, value: int) -> None:
        self.parameter = sa.bindparam("only", value, sa.Integer(), unique=True)
        self.criterion = OnlyTwo(self.parameter)

    def process_compile_state(self, compile_state: Any) -> None:
        self.get_global_criteria(compile_state.global_attributes)

    def process_compile_state_replaced_entities(self, compile_state: Any, _entities: Any) -> None:
        self.process_compile_state(compile_state)

    def get_global_criteria(self, attributes: Any) -> None:
        attributes.setdefault(private.criteria_key(PARENT), []).append(self.criterion)


def test_a_criterion_is_added_to_the_mapper_of_its_key_and_its_aliases(session: Session) -> None:
    other = aliased(Parent)

    assert session.scalars(sa.select(Parent.id).options(WithId(2))).all() == [2], (
        "the key additional_entity_criteria or _resolve_where_criteria() changed"
    )
    assert session.scalars(sa.select(other.id).options(WithId(1))).all() == [1]
    assert session.scalars(sa.select(Child.id).options(WithId(7))).all() == [1], (
        "another mapper is not restricted"
    )


@pytest.mark.parametrize("make", [sa.update, sa.delete])
def test_a_criterion_is_added_to_an_update_and_a_delete(session: Session, make: Any) -> None:
    session.execute(sa.delete(Child))
    statement = make(Parent) if make is sa.delete else make(Parent).values(name="c")

    for _ in range(2):  # the second time from the cache
        session.execute(statement.options(WithId(2)))

    left = session.execute(sa.select(Parent.id, Parent.name).order_by(Parent.id)).all()
    assert [tuple(row) for row in left] == ([(1, "a")] if make is sa.delete else [(1, "a"), (2, "c")])


def test_options_with_another_value_share_a_compiled_statement_and_bring_their_own_value(
    session: Session,
) -> None:
    first = sa.select(Parent.id).options(WithId(1))
    second = sa.select(Parent.id).options(WithId(2))
    keys: Any = [each._generate_cache_key() for each in (first, second)]

    assert keys[0] == keys[1], "_gen_cache_key() of options is not asked"
    assert [[each.value for each in key.bindparams] for key in keys] == [[1], [2]]
    cache: dict[Any, Any] = {}
    for statement, expected in ((first, 1), (second, 2), (first, 1)):
        found = session.scalars(statement, execution_options={"compiled_cache": cache}).all()
        assert found == [expected], "a statement from the cache has the value of another option"
    assert len(cache) == 1


def test_a_criterion_without_a_condition_says_so() -> None:
    with pytest.raises(NotImplementedError):
        private.ResolvedCriterion().condition(PARENT)


def test_an_annotated_parameter_would_not_be_that_of_the_cache_key() -> None:
    """Why `ResolvedCriterion` replaces SQLAlchemy's method: remove it when this test fails."""
    parameter = sa.bindparam("only", UUID(int=0), sa.Uuid(), unique=True)
    table = sa.table("t", sa.column("id", sa.Uuid))
    plain: Any = LoaderCriteriaOption(Parent, table.c.id == parameter)

    resolved = plain._resolve_where_criteria(PARENT)

    found = [each for each in sa.sql.visitors.iterate(resolved) if isinstance(each, sa.BindParameter)]
    assert found
    assert all(each is not parameter for each in found)
