"""What `AppendOnly` promises: rows are added and never changed, and go only with the tenant that they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.ddl.objects import Function, Trigger
from dbschema.ddl.registry import declare_for

if TYPE_CHECKING:
    from sqlalchemy import Table

APPEND_ONLY_FUNCTION = Function(
    name="refuse_change",
    returns="trigger",
    # A row may go when the foreign key to its tenant removes it: then this trigger runs inside that key's own trigger
    # (depth 2) and the tenant is no longer there. The look-up must not be filtered: who changes app.tenant_id in the
    # middle of a DELETE would make the tenant invisible; with row_security off that is an error instead. Within the
    # key's own trigger PostgreSQL spares the owner FORCE, and the look-up sees all.
    # The table of tenants is looked up beside this one, whatever the caller's search_path offers in its place.
    body=(
        "\nDECLARE\n"
        "    tenant_stands boolean;\n"
        "BEGIN\n"
        "    IF TG_OP = 'DELETE' AND pg_trigger_depth() > 1 THEN\n"
        "        EXECUTE format('SELECT EXISTS (SELECT FROM %I.tenants WHERE id = $1)', TG_TABLE_SCHEMA)\n"
        "            INTO tenant_stands USING OLD.tenant_id;\n"
        "        IF NOT tenant_stands THEN\n"
        "            RETURN OLD;\n"
        "        END IF;\n"
        "    END IF;\n"
        "    RAISE EXCEPTION '% on % is refused: the table is append-only', TG_OP, TG_TABLE_NAME\n"
        "        USING ERRCODE = 'insufficient_privilege',\n"
        "              HINT = 'Rows go only with the tenant they belong to. Add a row that corrects the earlier one.';\n"
        "END\n"
    ),
    settings=(("search_path", "pg_catalog"), ("row_security", "off")),
    comment="Refuses UPDATE, DELETE and TRUNCATE, but for the removal of the tenant itself",
)


def append_only_triggers(table: Table) -> tuple[Trigger, Trigger]:
    """The triggers `refuse_<table>_change` (per row) and `refuse_<table>_truncate` (per statement)."""
    function = APPEND_ONLY_FUNCTION.name
    return (
        Trigger(
            f"refuse_{table.name}_change",
            table.name,
            function,
            events=("UPDATE", "DELETE"),
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


def keep_append_only(table: Table) -> None:
    """Declare function and triggers for a table with a column `tenant_id`, in a schema with the table `tenants`."""
    declare_for(table, APPEND_ONLY_FUNCTION, *append_only_triggers(table))
