"""What `AppendOnly` promises: rows are added and never changed, and go only with the tenant that they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.ddl.base import qualified, quote
from dbschema.ddl.functions import Function
from dbschema.ddl.registry import declare_for
from dbschema.ddl.triggers import Trigger

if TYPE_CHECKING:
    from sqlalchemy import Table

TENANT_REFERENCE = "tenants.id"
"""The column that names tenants, where nobody says otherwise."""

APPEND_ONLY_FUNCTION = Function(
    name="refuse_change",
    returns="trigger",
    # A row may go when the foreign key to its tenant removes it: then this trigger runs inside that key's own trigger
    # (depth 2) and the tenant is no longer there. The look-up must not be filtered: who changes app.tenant_id in the
    # middle of a DELETE would make the tenant invisible; with row_security off that is an error instead. Within the
    # key's own trigger PostgreSQL spares the owner FORCE, and the look-up sees all.
    # The table of tenants is the one beside this function, whatever the caller's search_path offers in its place, or the
    # one that the trigger names.
    body=(
        "\nDECLARE\n"
        "    tenant_stands boolean;\n"
        "BEGIN\n"
        "    IF TG_OP = 'DELETE' AND pg_trigger_depth() > 1 THEN\n"
        "        IF TG_NARGS = 0 THEN\n"
        "            tenant_stands := EXISTS (SELECT FROM tenants t WHERE t.id = OLD.tenant_id);\n"
        "        ELSE\n"
        "            EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE %s = $1)', TG_ARGV[0], TG_ARGV[1])\n"
        "                INTO tenant_stands USING OLD.tenant_id;\n"
        "        END IF;\n"
        "        IF NOT tenant_stands THEN\n"
        "            RETURN OLD;\n"
        "        END IF;\n"
        "    END IF;\n"
        "    RAISE EXCEPTION '% on % is refused: the table is append-only', TG_OP, TG_TABLE_NAME\n"
        "        USING ERRCODE = 'insufficient_privilege',\n"
        "              HINT = 'Rows go only with the tenant they belong to. Add a row that corrects the earlier one.';\n"
        "END\n"
    ),
    settings=(("row_security", "off"),),
    pinned_to=(),
    comment="Refuses UPDATE, DELETE and TRUNCATE, but for the removal of the tenant itself",
)


def append_only_triggers(
    table: Table, tenant_reference: str | None = TENANT_REFERENCE
) -> tuple[Trigger, Trigger]:
    """The triggers `refuse_<table>_change` (per row) and `refuse_<table>_truncate` (per statement)."""
    function = APPEND_ONLY_FUNCTION.name
    return (
        Trigger(
            f"refuse_{table.name}_change",
            table.name,
            function,
            events=("UPDATE", "DELETE"),
            arguments=_place(tenant_reference or TENANT_REFERENCE),
            schema=table.schema,
        ),
        Trigger(
            f"refuse_{table.name}_truncate",
            table.name,
            function,
            events=("TRUNCATE",),
            level="STATEMENT",
            schema=table.schema,
        ),
    )


def keep_append_only(table: Table, tenant_reference: str | None = TENANT_REFERENCE) -> None:
    """Declare function and triggers for a table with a column `tenant_id`.

    Args:
        table: the table.
        tenant_reference: the column that names tenants, as a foreign key would say it.
    """
    declare_for(table, APPEND_ONLY_FUNCTION, *append_only_triggers(table, tenant_reference))


def _place(reference: str) -> tuple[str, ...]:
    """Table and column as SQL; nothing for the table that stands beside the function."""
    if reference == TENANT_REFERENCE:
        return ()
    *schema, table, column = reference.split(".")
    return qualified(".".join(schema) or None, table), quote(column)
