"""Private names of Alembic: the behaviour that `dbschema._alembic` relies on."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext

from dbschema._alembic import add_name_filter, render_operation


def context_of(connection: sa.Connection, **opts: Any) -> AutogenContext:
    defaults = {"alembic_module_prefix": "op.", "sqlalchemy_module_prefix": "sa.", "user_module_prefix": None}
    return AutogenContext(MigrationContext.configure(connection, opts={**defaults, **opts}), sa.MetaData())


def test_an_added_name_filter_is_asked_with_the_name_the_kind_and_the_parents() -> None:
    asked: list[tuple[str | None, str, str | None]] = []

    def include(name: str | None, kind: str, parents: Any) -> bool:
        asked.append((name, kind, parents["schema_name"]))
        return name != "theirs"

    with sa.create_engine("sqlite://").connect() as connection:
        context = context_of(connection)
        add_name_filter(context, include)
        included = [
            context.run_name_filters(name, "table", {"schema_name": None}) for name in ("theirs", "ours")
        ]

    assert included == [False, True], (
        "Alembic ignores AutogenContext._name_filters: correct add_name_filter()"
    )
    assert asked == [("theirs", "table", None), ("ours", "table", None)]


def test_an_added_name_filter_does_not_replace_include_name() -> None:
    with sa.create_engine("sqlite://").connect() as connection:
        context = context_of(connection, include_name=lambda name, _kind, _parents: name != "secret")
        add_name_filter(context, lambda name, _kind, _parents: name != "theirs")
        parents = {"schema_name": None}
        included = [context.run_name_filters(name, "table", parents) for name in ("secret", "theirs", "ours")]

    assert included == [False, False, True], "Alembic no longer runs each of _name_filters"


def test_an_operation_is_rendered_as_one_item_a_statement() -> None:
    with sa.create_engine("sqlite://").connect() as connection:
        operation = ops.ModifyTableOps("a", [ops.DropColumnOp("a", "b"), ops.DropColumnOp("a", "c")])
        lines = render_operation(context_of(connection), operation)

    assert lines == ["op.drop_column('a', 'b')", "op.drop_column('a', 'c')"], (
        "alembic.autogenerate.render.render_op changed: correct render_operation()"
    )
