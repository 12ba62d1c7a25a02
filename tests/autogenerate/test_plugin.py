"""Alembic finds the plugin by itself, pays nothing for it until it compares, and users can switch off its parts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import Rewriter
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Integer, MetaData, Table

from dbschema import autogenerate
from dbschema.autogenerate.operations import AlterObjectOp, CreateObjectOp, DropObjectOp
from dbschema.ddl import Function, Grant, Policy, Role, RowSecurity, Trigger, declare_for

if TYPE_CHECKING:
    from alembic.operations import ops

    from conftest import Scenario

FUNCTION = Function("f", returns="trigger", body="BEGIN RETURN NEW; END")
CLERK = Role(f"shop_clerk_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}")
OBJECTS = {
    "roles": CLERK,
    "functions": FUNCTION,
    "row_security": RowSecurity("goods"),
    "policies": Policy("own", "goods", using="true"),
    "triggers": Trigger("t", "goods", FUNCTION.name),
    "grants": Grant(("SELECT",), "TABLE", "goods", CLERK.name),
}


def models() -> MetaData:
    metadata = MetaData()
    declare_for(Table("goods", metadata, Column("id", Integer, primary_key=True)), *OBJECTS.values())
    return metadata


def kinds(upgrade_ops: ops.UpgradeOps | None) -> set[str]:
    assert upgrade_ops is not None
    return {item[0] for item in upgrade_ops.as_diffs()}


ALL = {
    "add_table",
    "add_role",
    "add_function",
    "add_row_level_security",
    "add_policy",
    "add_trigger",
    "add_grant",
}


def test_importing_alembic_imports_no_more_than_the_plugin_itself() -> None:
    program = (
        "import sys, alembic, alembic.command, alembic.autogenerate\n"
        "print(*sorted(n for n in sys.modules if n.startswith(('dbschema', 'geoalchemy2', 'sqlalchemy.orm.decl'))))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["dbschema", "dbschema.autogenerate"]


@pytest.mark.parametrize(
    "module", ["dbschema.autogenerate", "dbschema.autogenerate.context", "dbschema.migrations.alembic_env"]
)
def test_every_module_can_be_imported_first(module: str) -> None:
    """Alembic imports the plugin while it is itself half imported, whichever of the two begins."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import {module}, alembic.command"], check=False
    )

    assert done.returncode == 0


@pytest.mark.parametrize("plugins", [["dbschema.*"], ["dbschema"], ["dbschema", "dbschema.*"]])
def test_it_compares_though_alembic_s_own_plugins_are_switched_off(
    scenario: Scenario, plugins: list[str]
) -> None:
    metadata = models()
    metadata.tables["goods"].create(scenario.connection)
    scenario.execute("DROP POLICY own ON goods")

    found = kinds(scenario.autogenerate(metadata, autogenerate_plugins=plugins).upgrade_ops)

    assert found == {"add_policy"}


def test_everything_is_found_once(scenario: Scenario) -> None:
    upgrade_ops = scenario.autogenerate(
        models(), autogenerate_plugins=["alembic.autogenerate.*", "dbschema", "dbschema.*"]
    ).upgrade_ops

    assert upgrade_ops is not None
    assert sorted(item[0] for item in upgrade_ops.as_diffs()) == sorted(ALL)


@pytest.mark.parametrize("name", OBJECTS)
def test_each_kind_can_be_switched_off(scenario: Scenario, name: str) -> None:
    (kind,) = {re.sub(r"\W", "_", f"add_{item.kind}") for key, item in OBJECTS.items() if key == name}

    found = kinds(
        scenario.autogenerate(
            models(), autogenerate_plugins=["alembic.autogenerate.*", "dbschema.*", f"~dbschema.{name}"]
        ).upgrade_ops
    )

    assert found == ALL - {kind}


def test_every_kind_has_a_plugin() -> None:
    assert set(autogenerate.KINDS) == {*OBJECTS, "checks", "extensions"}


def test_several_metadatas_are_compared_as_one(scenario: Scenario) -> None:
    other = MetaData()
    declare_for(Table("others", other, Column("id", Integer, primary_key=True)), RowSecurity("others"))

    script = scenario.autogenerate([models(), other])  # type: ignore[arg-type]  # as env.py may give them
    scenario.run(scenario.source(script.upgrade_ops))

    assert scenario.autogenerate([models(), other]).upgrade_ops.as_diffs() == []  # type: ignore[arg-type,union-attr]


def test_a_rewriter_can_change_our_operations(scenario: Scenario) -> None:
    writer = Rewriter()

    @writer.rewrites(CreateObjectOp)
    def without_grants(context: object, revision: object, op: CreateObjectOp) -> list[CreateObjectOp]:
        return [] if op.identity.kind == "grant" else [op]

    script = scenario.autogenerate(models())
    writer(None, (), [script])  # type: ignore[arg-type]  # neither is looked at

    assert kinds(script.upgrade_ops) == ALL - {"add_grant"}


def test_operations_can_be_invoked_without_a_revision(scenario: Scenario) -> None:
    operations = Operations(MigrationContext.configure(scenario.connection))

    operations.invoke(CreateObjectOp(Function("g", "text", "SELECT ':name' || '%'", language="sql")))

    assert scenario.connection.exec_driver_sql("SELECT g()").scalar() == ":name%"


def test_an_operation_and_its_reverse_undo_each_other() -> None:
    policy = OBJECTS["policies"]
    alter = AlterObjectOp(policy, policy, ["forward"], ["backward"], {"using": ("old", "new")})

    assert CreateObjectOp(policy).reverse().statements == DropObjectOp(policy).statements
    assert DropObjectOp(policy).reverse().statements == CreateObjectOp(policy).statements
    assert alter.reverse().statements == ("backward",)
    assert alter.to_diff_tuple() == ("modify_policy", "own", "goods", {"using": ("old", "new")})
    assert alter.reverse().reverse().to_diff_tuple() == alter.to_diff_tuple()
