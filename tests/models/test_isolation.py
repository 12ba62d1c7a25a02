"""As the application's role: the five questions of every table that has row-level security, those added tomorrow included.

Can another tenant see, insert, update, delete, and what if no tenant is set? Rows are made from the catalog (types,
foreign keys, checks by example), so that a new table is asked too without a line here.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, Table, func, insert, select, text
from sqlalchemy.exc import DBAPIError

from dbschema.ddl.tenancy import APP_ROLE, READONLY_ROLE, TENANT_SETTING
from dbschema.models import Base
from dbschema.orm.types import CheckedText, JsonShape, LowerText, Pattern

TABLES = list(Base.metadata.sorted_tables)
each_table = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
APPEND_ONLY = {"audit_logs"}
EXAMPLES = {"currency": "EUR", "s3_uri": "s3://bucket/key", "slug": None}


def example(table: Table, column: Any) -> Any:
    """A value that the column takes."""
    unique = uuid4().hex
    if isinstance(column.type, CheckedText):
        return next(iter(column.type.enum))
    if isinstance(column.type, JsonShape):
        return [] if column.type.shapes == ("array",) else {}
    if isinstance(column.type, Pattern):
        return EXAMPLES.get(column.name) or unique
    if isinstance(column.type, LowerText):
        return f"{unique}@example.com"
    return {UUID: uuid4(), str: unique}.get(column.type.python_type, 1)


def make(connection: Connection, table: Table, tenant: UUID) -> dict[str, Any]:
    """Insert a row of `tenant`, and before it the rows that it must point to; gives its key."""
    row: dict[str, Any] = {"id": uuid4()}
    for key in table.foreign_key_constraints:
        if key.referred_table.name == "tenants":
            continue
        local = key.column_keys[1]
        if not table.columns[local].nullable:
            row[local] = make(connection, key.referred_table, tenant)["id"]
    if table.name == "tenants":
        row["id"] = tenant
    else:
        row["tenant_id"] = tenant
    for column in table.columns:
        if column.name not in row and not column.nullable and column.server_default is None:
            row[column.name] = example(table, column)
    connection.execute(insert(table).values(row))
    return row


def tenant_column(table: Table) -> Any:
    return table.columns["id" if table.name == "tenants" else "tenant_id"]


class World:
    """Two tenants with one row each in a table, and a connection that acts for one of them."""

    def __init__(self, connection: Connection, table: Table) -> None:
        self.connection, self.table = connection, table
        self.mine, self.theirs = uuid4(), uuid4()
        for tenant in (self.mine, self.theirs):
            if table.name != "tenants":
                make(connection, Base.metadata.tables["tenants"], tenant)
            make(connection, table, tenant)

    def act(self, tenant: UUID | str | None, role: str = APP_ROLE.name) -> Connection:
        self.connection.execute(text(f"SET LOCAL ROLE {role}"))
        if tenant is not None:
            self.connection.execute(text(f"SET LOCAL {TENANT_SETTING} = '{tenant}'"))
        return self.connection

    def count(self, tenant: UUID | None = None) -> int:
        query = select(func.count()).select_from(self.table)
        if tenant is not None:
            query = query.where(tenant_column(self.table) == tenant)
        return self.connection.execute(query).scalar_one()


@pytest.fixture
def world(connection: Connection, table: Table) -> World:
    return World(connection, table)


@each_table
def test_a_tenant_sees_its_own_rows_and_no_others(world: World) -> None:
    world.act(world.mine)

    assert world.count() == world.count(world.mine) == 1
    assert world.count(world.theirs) == 0


@each_table
def test_a_tenant_can_insert_a_row_of_its_own_and_none_of_another(world: World) -> None:
    new = uuid4() if world.table.name == "tenants" else world.mine
    world.act(new)

    make(world.connection, world.table, new)

    with pytest.raises(DBAPIError, match="row-level security"):
        make(world.connection, world.table, uuid4() if world.table.name == "tenants" else world.theirs)


@each_table
def test_a_tenant_cannot_update_anothers_row_nor_move_its_own_there(world: World) -> None:
    connection, column = world.act(world.mine), tenant_column(world.table)
    if world.table.name in APPEND_ONLY:
        with pytest.raises(DBAPIError, match="permission denied"):
            connection.execute(world.table.update().values(created_at=func.now()))
        return

    touched = connection.execute(world.table.update().values(created_at=func.now())).rowcount
    theirs = world.table.update().where(column == world.theirs).values(created_at=func.now())

    assert touched == 1
    assert connection.execute(theirs).rowcount == 0
    with pytest.raises(DBAPIError, match="row-level security"):
        connection.execute(world.table.update().values({column.name: world.theirs}))


@each_table
def test_a_tenant_cannot_delete_anothers_row(world: World) -> None:
    connection, column = world.act(world.mine), tenant_column(world.table)
    if world.table.name in APPEND_ONLY:
        with pytest.raises(DBAPIError, match="permission denied"):
            connection.execute(world.table.delete())
        return

    assert connection.execute(world.table.delete().where(column == world.theirs)).rowcount == 0
    assert connection.execute(world.table.delete()).rowcount == 1
    connection.execute(text("RESET ROLE"))
    assert world.count(world.theirs) == 1


@each_table
@pytest.mark.parametrize("setting", [None, ""], ids=["unset", "empty"])
def test_without_a_tenant_there_are_no_rows_and_none_can_be_made(world: World, setting: str | None) -> None:
    connection = world.act(setting)

    assert world.count() == 0
    if world.table.name not in APPEND_ONLY:
        assert connection.execute(world.table.update().values(created_at=func.now())).rowcount == 0
        assert connection.execute(world.table.delete()).rowcount == 0
    with pytest.raises(DBAPIError, match="row-level security"):
        make(connection, world.table, world.mine)


@each_table
def test_the_reading_role_reads_its_tenant_and_writes_nothing(world: World) -> None:
    connection = world.act(world.mine, READONLY_ROLE.name)

    assert world.count() == 1
    for statement in (world.table.delete(), world.table.update().values(created_at=func.now())):
        with pytest.raises(DBAPIError, match="permission denied"), connection.begin_nested():
            connection.execute(statement)


@each_table
def test_the_owner_is_bound_too(world: World, connection: Connection) -> None:
    """FORCE: a migrator that owns the tables sees no more than anybody."""
    owner = f"owner_{uuid4().hex[:8]}"
    connection.execute(text(f"CREATE ROLE {owner}; GRANT USAGE ON SCHEMA public TO {owner}"))
    connection.execute(text(f"ALTER TABLE {world.table.name} OWNER TO {owner}"))

    world.act(world.mine, owner)

    assert world.count() == 1
