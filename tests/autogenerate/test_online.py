"""A change of tables that are in use is written as revisions that stall nobody: right in both directions, from every point."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    Engine,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    NullPool,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    create_engine,
    event,
    text,
)
from tests.autogenerate.conftest import differences

from dbschema.autogenerate.online_ddl import named
from dbschema.autogenerate.text import escaped
from dbschema.catalog import introspect
from dbschema.ddl import Policy, RowSecurity, declare
from dbschema.sql import NAMING_CONVENTION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dbschema.catalog import Catalog

ENVIRONMENT = """
from alembic import context
from dbschema.migrations import alembic_env

attributes = context.config.attributes
alembic_env.run(context, attributes["metadata"], **attributes["options"])
"""
TEMPLATE = Path(__file__).parents[2] / "alembic" / "script.py.mako"
ROWS = """
INSERT INTO owners (id, code) SELECT n, 'c' || n FROM generate_series(1, 5) n;
INSERT INTO items (id, owner_id, number, note) SELECT n, 1 + n % 5, n, 'n' || n FROM generate_series(1, 20) n
"""
PLAIN = re.compile(r"op\.(?!execute|get_context|drop|f\(|add_column|create_table)\w+\(")


def models(*extra: Any, code: Column[Any] | None = None, **columns: Column[Any]) -> MetaData:
    """Two tables, with what a change adds; a column of the same name takes the place of the one before."""
    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    code = Column("code", Text) if code is None else code
    Table("owners", metadata, Column("id", Integer, primary_key=True), code)
    found: dict[str, Column[Any]] = {
        "id": Column("id", BigInteger, primary_key=True),
        "owner_id": Column("owner_id", Integer),
        "number": Column("number", BigInteger),
        "note": Column("note", Text),
        **columns,
    }
    objects = [item for item in extra if isinstance(item, (Policy, RowSecurity))]
    tabular = [item for item in extra if not isinstance(item, (Policy, RowSecurity))]
    Table("items", metadata, *found.values(), *tabular)
    declare(metadata, *objects)
    return metadata


class History:
    """A database with rows, as the revisions of a folder make it."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        (folder / "versions").mkdir(parents=True)
        (folder / "env.py").write_text(ENVIRONMENT, encoding="utf-8")
        (folder / "script.py.mako").write_text(TEMPLATE.read_text(encoding="utf-8"), encoding="utf-8")
        self.config = Config(attributes={"options": {}, "compare": False})
        self.config.set_main_option("script_location", str(folder).replace("%", "%%"))
        self.config.set_main_option("path_separator", "os")
        self.config.attributes["url"] = engine.url.render_as_string(hide_password=False)

    def begin(self, metadata: MetaData, rows: str = ROWS) -> Catalog:
        """The tables with rows, made by a first revision."""
        self.write(metadata)
        command.upgrade(self.config, "head")
        with self.engine.begin() as connection:
            for statement in rows.split(";"):
                connection.execute(text(statement))
        return self.catalog()

    def write(self, metadata: MetaData, message: str = "a change", **arguments: Any) -> list[Path]:
        """The revisions that autogenerate writes, in their order."""
        self.config.attributes["metadata"] = metadata
        written = command.revision(self.config, message, autogenerate=True, **arguments)
        return [
            Path(script.path) for script in (written if isinstance(written, list) else [written]) if script
        ]

    def catalog(self, *schemas: str) -> Catalog:
        with self.engine.connect() as connection:
            return introspect.read(connection, schemas={None: None} | {name: name for name in schemas})

    def expected(self, metadata: MetaData) -> Catalog:
        """What `create_all()` makes of the models."""
        with self.engine.connect() as connection, connection.begin() as transaction:
            connection.execute(text("DROP TABLE IF EXISTS items, owners, alembic_version CASCADE"))
            metadata.create_all(connection)
            catalog = introspect.read(connection)
            transaction.rollback()
        return catalog

    def check(
        self, before: MetaData, after: MetaData, rows: str = ROWS, points: Iterable[int] | None = None
    ) -> list[Path]:
        """From one to the other and back, and from points on the way back up again; gives the revisions.

        Args:
            before, after: the models.
            rows: what is in the tables.
            points: how many revisions are taken back before they are applied again; None: every number.
        """
        expected, found = without_versions(self.expected(after)), self.begin(before, rows)
        start = self.current()
        written = self.write(after)
        command.upgrade(self.config, "head")
        assert differences(expected, without_versions(self.catalog())) == []
        command.check(self.config)
        for there in range(1, len(written)) if points is None else points:
            if there < len(written):
                command.downgrade(self.config, f"-{there}")
                command.upgrade(self.config, "head")
                assert differences(expected, without_versions(self.catalog())) == []
        command.downgrade(self.config, start)
        assert differences(found, self.catalog()) == []
        return written

    def current(self) -> str:
        with self.engine.connect() as connection:
            return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())


def without_versions(catalog: Catalog) -> Catalog:
    kept = {
        identity: facts
        for identity, facts in catalog.entries.items()
        if "alembic_version" not in (identity.table, identity.name)
    }
    return type(catalog)(kept)


@pytest.fixture
def history(fresh_database: str, tmp_path: Path) -> Iterator[History]:
    engine = create_engine(fresh_database, poolclass=NullPool)
    yield History(engine, tmp_path / "scripts")
    engine.dispose()


def sources(written: list[Path]) -> list[tuple[str, str]]:
    """Of each revision, the operations of both directions without what is always there."""
    found = []
    for path in written:
        _, _, body = path.read_text(encoding="utf-8").partition("def upgrade() -> None:\n")
        up, _, down = body.partition("def downgrade() -> None:\n")
        found.append((code(up), code(down)))
    return found


def code(body: str) -> str:
    lines = (line for line in body.splitlines() if line.strip() and not line.strip().startswith("# ###"))
    return "\n".join(line.removeprefix("    ").rstrip() for line in lines)


def messages(written: list[Path]) -> list[str]:
    return [path.read_text(encoding="utf-8").split('"""')[1].splitlines()[0] for path in written]


def test_an_index_is_built_beside_the_traffic(history: History) -> None:
    written = history.check(models(), models(Index("idx_items_number", "number")))

    assert sources(written) == [
        (
            (
                "with op.get_context().autocommit_block():\n"
                "    op.drop_index('idx_items_number', table_name='items', postgresql_concurrently=True, if_exists=True)\n"
                "    op.create_index('idx_items_number', 'items', ['number'], unique=False, postgresql_concurrently=True)"
            ),
            (
                "with op.get_context().autocommit_block():\n"
                "    op.drop_index('idx_items_number', table_name='items', postgresql_concurrently=True, if_exists=True)"
            ),
        )
    ]
    assert messages(written) == ["a change"]


def test_a_foreign_key_is_added_and_then_validated(history: History) -> None:
    after = models(owner_id=Column("owner_id", Integer, ForeignKey("owners.id", ondelete="SET NULL")))

    written = history.check(models(), after)

    assert sources(written) == [
        (
            (
                "op.execute('ALTER TABLE items ADD CONSTRAINT fk_items_owner_id"
                " FOREIGN KEY(owner_id) REFERENCES owners (id) ON DELETE SET NULL NOT VALID')"
            ),
            "op.execute('ALTER TABLE items DROP CONSTRAINT fk_items_owner_id')",
        ),
        ("op.execute('ALTER TABLE items VALIDATE CONSTRAINT fk_items_owner_id')", "pass"),
    ]
    assert messages(written) == ["a change", "a change: validation"]


def test_a_check_is_added_and_then_validated(history: History) -> None:
    condition = "note <> '100%:x' AND number >= 0"

    written = history.check(models(), models(CheckConstraint(condition, name="sane")))

    (first, _), (second, _) = sources(written)
    assert "NOT VALID" in first
    assert "VALIDATE CONSTRAINT ck_items_sane" in second


def test_a_condition_that_changes_goes_and_comes(history: History) -> None:
    before, after = "note <> '100%:x'", r"note <> E'a\\:b' AND note::text <> ':c'"

    written = history.check(
        models(CheckConstraint(text(escaped(before)), name="sane")),
        models(CheckConstraint(text(escaped(after)), name="sane")),
    )

    assert messages(written) == ["a change: removals", "a change", "a change: validation"]


def test_not_null_is_proved_before_it_is_set(history: History) -> None:
    written = history.check(models(), models(number=Column("number", BigInteger, nullable=False)))

    name = "ck_items_number_is_not_null"
    assert sources(written) == [
        (
            f"op.execute('ALTER TABLE items ADD CONSTRAINT {name} CHECK (number IS NOT NULL) NOT VALID')",
            f"op.execute('ALTER TABLE items DROP CONSTRAINT {name}')",
        ),
        (f"op.execute('ALTER TABLE items VALIDATE CONSTRAINT {name}')", "pass"),
        (
            (
                f"op.execute('ALTER TABLE items VALIDATE CONSTRAINT {name}')\n"
                "op.execute('ALTER TABLE items ALTER COLUMN number SET NOT NULL')\n"
                f"op.execute('ALTER TABLE items DROP CONSTRAINT {name}')"
            ),
            (
                "op.execute('ALTER TABLE items ALTER COLUMN number DROP NOT NULL')\n"
                f"op.execute('ALTER TABLE items ADD CONSTRAINT {name} CHECK (number IS NOT NULL) NOT VALID')"
            ),
        ),
    ]
    assert messages(written) == ["a change", "a change: validation", "a change: not null"]


def test_a_unique_constraint_takes_over_an_index(history: History) -> None:
    after = models(
        UniqueConstraint(
            "number", "note", postgresql_nulls_not_distinct=True, deferrable=True, initially="DEFERRED"
        )
    )

    written = history.check(models(), after)

    (index, _), (attached, detached) = sources(written)
    assert "op.create_index('uq_items_number_note', 'items', ['number', 'note'], unique=True" in index
    assert "postgresql_concurrently=True" in index
    assert "postgresql_nulls_not_distinct=True" in index
    assert "UNIQUE USING INDEX uq_items_number_note DEFERRABLE INITIALLY DEFERRED" in attached
    assert detached == "op.execute('ALTER TABLE items DROP CONSTRAINT uq_items_number_note')"


def test_a_foreign_key_waits_for_the_unique_constraint_that_it_needs(history: History) -> None:
    after = models(
        code=Column("code", Text, unique=True), note=Column("note", Text, ForeignKey("owners.code"))
    )
    history.begin(models(), f"{ROWS}; UPDATE items SET note = 'c1'")

    written = history.write(after)

    command.upgrade(history.config, "head")
    command.check(history.config)
    command.downgrade(history.config, f"-{len(written)}")
    assert messages(written) == [
        "a change: index uq_owners_code",
        "a change: unique constraints",
        "a change: validation",
    ]


def test_an_index_that_changes_serves_until_the_new_one_does(history: History) -> None:
    before = models(Index("idx_items_number", "number"))
    after = models(
        Index("idx_items_number", "number", "note", unique=True, postgresql_where=text("number > 3"))
    )

    written = history.check(before, after)

    ((up, down),) = sources(written)
    order = [line.strip().partition(",")[0] for line in up.splitlines()[1:]]
    assert order == [
        "op.drop_index('idx_items_number_next'",
        "op.create_index('idx_items_number_next'",
        "op.drop_index('idx_items_number'",
        "op.execute('ALTER INDEX idx_items_number_next RENAME TO idx_items_number')",
    ]
    assert "postgresql_where" not in down


def test_an_index_whose_column_goes_is_made_anew(history: History) -> None:
    before = models(Index("idx_items_extra", "number", "extra"), extra=Column("extra", Text))
    after = models(Index("idx_items_extra", "number"))

    written = history.check(before, after)

    assert messages(written) == ["a change: removals", "a change", "a change: index idx_items_extra"]


def test_what_goes_comes_back_beside_the_traffic(history: History) -> None:
    before = models(
        Index("idx_items_note", "note"),
        CheckConstraint("number >= 0", name="number"),
        UniqueConstraint("number"),
        ForeignKeyConstraint(["note"], ["owners.code"], initially="DEFERRED", deferrable=True),
        code=Column("code", Text, unique=True, nullable=False),
    )
    rows = f"{ROWS}; UPDATE items SET note = 'c1'".replace("'n' || n FROM", "'c2' FROM")
    found = history.begin(before, rows)

    written = history.write(models())

    ((up, down),) = sources(written)
    assert "autocommit_block" not in up
    assert down.startswith("with op.get_context().autocommit_block():")
    assert PLAIN.findall(down.replace("op.create_index(", "")) == []
    command.upgrade(history.config, "head")
    command.check(history.config)
    command.downgrade(history.config, "-1")
    assert differences(found, history.catalog()) == []


def test_all_at_once_in_the_order_in_which_it_can_be_done(history: History) -> None:
    after = models(
        Index("idx_items_note", text("lower(note)"), postgresql_using="btree"),
        CheckConstraint("number >= 0", name="number"),
        UniqueConstraint("number"),
        RowSecurity("items"),
        Policy("few", "items", using="number > 0"),
        number=Column("number", BigInteger, nullable=False, server_default="7"),
        owner_id=Column("owner_id", Integer, ForeignKey("owners.id"), index=True),
        remark=Column("remark", Text, server_default="x", nullable=False),
    )

    written = history.check(models(), after)

    assert messages(written) == [
        "a change",
        "a change: index idx_items_note",
        "a change: index idx_items_owner_id",
        "a change: index uq_items_number",
        "a change: unique constraints",
        "a change: validation",
        "a change: not null",
    ]


def test_what_is_new_is_one_plain_revision(history: History) -> None:
    history.begin(models())
    after = models()
    Table(
        "parts",
        after,
        Column("id", Integer, primary_key=True),
        Column("item_id", BigInteger, ForeignKey("items.id"), index=True, nullable=False),
        Column("name", Text, unique=True),
    )

    written = history.write(after)

    ((up, _),) = sources(written)
    assert "op.create_index" in up
    assert "concurrently" not in up


def test_a_partitioned_table_is_changed_plainly(history: History) -> None:
    """PostgreSQL builds no index CONCURRENTLY on one."""

    def parted(*extra: Any) -> MetaData:
        metadata = MetaData(naming_convention=NAMING_CONVENTION)
        Table("parted", metadata, Column("id", Integer), *extra, postgresql_partition_by="RANGE (id)")
        return metadata

    history.begin(parted(), "SELECT 1")

    written = history.write(parted(Index("idx_parted_id", "id")))

    ((up, _),) = sources(written)
    assert "concurrently" not in up
    command.upgrade(history.config, "head")
    command.check(history.config)


def test_one_plain_revision_can_be_asked_for(history: History) -> None:
    history.begin(models())
    history.config.attributes["online"] = "no"

    written = history.write(models(Index("idx_items_number", "number"), UniqueConstraint("note")))

    ((up, _),) = sources(written)
    assert "concurrently" not in up
    assert "op.create_unique_constraint" in up


def test_a_choice_that_is_none_is_refused(history: History) -> None:
    history.begin(models())
    history.config.attributes["online"] = "perhaps"

    with pytest.raises(Exception, match="online"):
        history.write(models(Index("idx_items_number", "number")))


def test_a_check_by_alembic_tells_all_that_is_found(history: History) -> None:
    history.begin(models())
    history.config.attributes["metadata"] = models(
        Index("idx_items_number", "number"), UniqueConstraint("note")
    )

    with pytest.raises(CommandError) as caught:
        command.check(history.config)

    assert "add_index" in str(caught.value)
    assert "add_constraint" in str(caught.value)


def test_what_was_asked_of_the_revision_is_asked_of_the_first(history: History) -> None:
    history.begin(models())

    written = history.write(
        models(Index("idx_items_number", "number"), UniqueConstraint("note")),
        "faster",
        rev_id="abc",
        branch_label="shop",
    )

    texts = [path.read_text(encoding="utf-8") for path in written]
    assert "revision: str = 'abc'" in texts[0]
    assert ["'shop'" in script for script in texts] == [True, False, False]
    assert "Revises: abc" in texts[1]


def test_the_hook_of_the_environment_comes_first(history: History) -> None:
    history.begin(models())

    def only_notes(context: Any, revision: Any, scripts: list[Any]) -> None:
        for table in scripts[0].upgrade_ops.ops:
            table.ops = [op for op in table.ops if "note" in (op.index_name or "")]

    history.config.attributes["options"] = {"process_revision_directives": only_notes}
    written = history.write(models(Index("idx_items_number", "number"), Index("idx_items_note", "note")))

    ((up, _),) = sources(written)
    assert "idx_items_note" in up
    assert "idx_items_number" not in up


def test_nothing_to_do_is_one_empty_revision(history: History) -> None:
    history.begin(models())

    written = history.write(models())

    assert sources(written) == [("pass", "pass")]


class Stopped(Exception):
    """Ends a run in the middle."""


@contextmanager
def ending_after(statements: int) -> Iterator[list[str]]:
    """Runs end when they have executed so many statements that change something; gives those."""
    executed: list[str] = []

    def executing(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if re.match(r"\s*(ALTER|CREATE|DROP)\s+(UNIQUE\s+)?(TABLE|INDEX)", statement):
            executed.append(statement)
            if len(executed) == statements:
                raise Stopped

    event.listen(Engine, "after_cursor_execute", executing)
    try:
        yield executed
    except Stopped:
        pass
    finally:
        event.remove(Engine, "after_cursor_execute", executing)


def test_a_run_that_ends_at_any_statement_is_made_good_by_the_next(history: History) -> None:
    before = models(Index("idx_items_id_note", "id", "note"), UniqueConstraint("note"))
    after = models(
        Index("idx_items_id_note", "note", "id"),
        CheckConstraint("number >= 0", name="number"),
        UniqueConstraint("number"),
        number=Column("number", BigInteger, nullable=False),
    )
    expected = history.expected(after)
    found = history.begin(before)
    start = history.current()
    history.write(after)

    ended = {}
    for go, target, state in ((command.upgrade, "head", expected), (command.downgrade, start, found)):
        for last in count(1):
            with ending_after(last) as executed:
                go(history.config, target)
            ended[go] = last
            go(history.config, target)
            assert differences(without_versions(state), without_versions(history.catalog())) == [], executed
            if len(executed) < last:
                break
            with ending_after(0):
                back = command.downgrade if go is command.upgrade else command.upgrade
                back(history.config, start if go is command.upgrade else "head")
    assert min(ended.values()) > 10


COLUMNS = ("owner_id", "number", "note")
CHOICES = st.fixed_dictionaries(
    {
        "nullable": st.sets(st.sampled_from(COLUMNS)),
        "indexes": st.dictionaries(
            st.sampled_from(("idx_a", "idx_b")),
            st.tuples(st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=2, unique=True), st.booleans()),
        ),
        "unique": st.sets(st.sampled_from(("number", "note"))),
        "key": st.sampled_from((None, "CASCADE", "SET NULL")),
        "check": st.sampled_from((None, "number > 0", "number > -1 AND owner_id < 9")),
        "code": st.booleans(),
    }
)


def chosen(choice: dict[str, Any]) -> MetaData:
    key = [] if choice["key"] is None else [ForeignKey("owners.id", ondelete=choice["key"])]
    nullable = choice["nullable"]
    return models(
        *(
            Index(name, "id", *columns, unique=unique)
            for name, (columns, unique) in choice["indexes"].items()
        ),
        *(UniqueConstraint(column) for column in sorted(choice["unique"])),
        *([CheckConstraint(choice["check"], name="sane")] if choice["check"] else []),
        *([ForeignKeyConstraint(["note"], ["owners.code"])] if choice["code"] else []),
        code=Column("code", Text, unique=choice["code"], nullable=False),
        owner_id=Column("owner_id", Integer, *key, nullable="owner_id" in nullable),
        number=Column("number", BigInteger, nullable="number" in nullable),
        note=Column("note", Text, nullable="note" in nullable),
    )


@settings(
    max_examples=6,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(before=CHOICES, after=CHOICES, point=st.integers(1, 3))
def test_any_two_states_of_the_models_are_reached_from_each_other(
    server: Any, tmp_path_factory: Any, before: dict[str, Any], after: dict[str, Any], point: int
) -> None:
    rows = ROWS.replace(
        "INSERT INTO owners (id, code) SELECT n, 'c' || n FROM generate_series(1, 5)",
        ("INSERT INTO owners (id, code) SELECT n, 'n' || n FROM generate_series(1, 20)"),
    )
    name = f"online_{uuid4().hex[:8]}"
    with psycopg.connect(server.url("postgres", driver=""), autocommit=True) as cluster:
        cluster.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        engine = create_engine(server.url(name), poolclass=NullPool)
        try:
            history = History(engine, tmp_path_factory.mktemp("online") / "scripts")
            history.check(chosen(before), chosen(after), rows, [point])
        finally:
            engine.dispose()
            cluster.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("name", ["short", "n" * 60, "ü" * 40])
def test_the_name_of_what_does_not_stay_fits_and_is_its_own(name: str) -> None:
    made = named(name, "is_not_null")

    assert len(made.encode()) <= 63
    assert made.endswith("_is_not_null")
    assert made != named(f"{name}x", "is_not_null")


@pytest.mark.parametrize(
    ("change", "rewrites"),
    [
        ({"more": Column("more", Text, server_default="x")}, False),
        ({"more": Column("more", DateTime(timezone=True), server_default=text("now()"))}, False),
        ({"more": Column("more", Uuid, server_default=text("gen_random_uuid()"))}, True),
        ({"more": Column("more", Integer, Identity(always=True))}, True),
        ({"more": Column("more", Integer, Computed("owner_id + 1", persisted=True))}, True),
        ({"owner_id": Column("owner_id", BigInteger)}, True),
        ({"note": Column("note", String(40))}, True),
        ({"short": Column("short", String(20))}, False),
    ],
    ids=["constant", "stable", "volatile", "identity", "computed", "wider", "limited", "longer"],
)
def test_a_change_that_rewrites_the_table_says_so(
    history: History, change: dict[str, Column[Any]], rewrites: bool
) -> None:
    history.begin(models(short=Column("short", String(10))))

    ((up, _),) = sources(history.write(models(**{"short": Column("short", String(10)), **change})))

    assert ("# PostgreSQL rewrites items" in up) == rewrites
    assert "dbschema_rewritten" not in up


def test_a_column_that_old_rows_have_no_value_for_says_so(history: History) -> None:
    history.begin(models())

    ((up, down),) = sources(history.write(models(more=Column("more", Text, nullable=False))))

    assert up.startswith("# This fails if items has rows")
    assert "#" not in down


@pytest.mark.filterwarnings("ignore:Did not recognize type")
def test_a_column_of_a_type_that_sqlalchemy_does_not_know_can_go(history: History) -> None:
    """What would bring it back cannot be tried, and is left to the developer, as Alembic leaves it."""
    history.begin(models(), f"{ROWS}; ALTER TABLE items ADD COLUMN extra box DEFAULT '(0,0),(1,1)'")

    ((up, down),) = sources(history.write(models()))

    assert up == "op.drop_column('items', 'extra')"
    assert "NullType" in down


def test_tables_of_another_schema_are_changed_there(history: History) -> None:
    def elsewhere(*extra: Any, **columns: Column[Any]) -> MetaData:
        metadata = MetaData(naming_convention=NAMING_CONVENTION, schema="app")
        Table("owners", metadata, Column("id", Integer, primary_key=True))
        found = {
            "id": Column("id", Integer, primary_key=True),
            "number": Column("number", Integer),
            **columns,
        }
        Table("items", metadata, *found.values(), *extra)
        return metadata

    history.config.attributes["options"] = {"include_schemas": True}
    with history.engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA app"))
    history.begin(elsewhere(Index("idx_items_both", "id", "number")), "SELECT 1")
    start = history.current()
    found = history.catalog("app")

    written = history.write(
        elsewhere(
            Index("idx_items_both", "number", "id"),
            CheckConstraint("number > 0", name="number"),
            UniqueConstraint("number"),
            ForeignKeyConstraint(["number"], ["app.owners.id"]),
            number=Column("number", Integer, nullable=False),
        )
    )

    command.upgrade(history.config, "head")
    command.check(history.config)
    command.downgrade(history.config, start)
    assert differences(found, history.catalog("app")) == []
    assert len(written) == 6


STALLING = {
    "adding-foreign-key-constraint",
    "adding-not-nullable-field",
    "constraint-missing-not-valid",
    "disallowed-unique-constraint",
    "require-concurrent-index-creation",
    "require-concurrent-index-deletion",
}
"""Rules of squawk."""


@pytest.mark.parametrize("online", [True, False], ids=["online", "plain"])
def test_a_linter_for_live_tables_finds_nothing(history: History, tmp_path: Path, *, online: bool) -> None:
    history.begin(models())
    history.config.attributes["online"] = online
    start = history.current()
    history.write(
        models(
            Index("idx_items_note", "note"),
            CheckConstraint("number >= 0", name="number"),
            UniqueConstraint("number"),
            number=Column("number", BigInteger, nullable=False),
            owner_id=Column("owner_id", Integer, ForeignKey("owners.id")),
        )
    )
    script = io.StringIO()
    history.config.output_buffer = script
    command.upgrade(history.config, f"{start}:head", sql=True)
    # Not done where the revision before it has run to its end.
    lines = [line for line in script.getvalue().splitlines() if " INDEX IF NOT EXISTS " not in line]
    (tmp_path / "script.sql").write_text("\n".join(lines), encoding="utf-8")

    done = subprocess.run(
        [
            Path(sys.executable).parent / "squawk",
            "--reporter",
            "json",
            "--pg-version",
            "15",
            tmp_path / "script.sql",
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    rules = {item["rule_name"] for item in json.loads(done.stdout)}
    assert bool(rules & STALLING) != online
