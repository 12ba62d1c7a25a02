"""Declare the triggers that maintain `updated_at` (`Timestamped`) and `version` (`Versioned`).

The database computes both values on each update; a client cannot forge them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dbschema.ddl.functions import Function
from dbschema.ddl.registry import declare_for
from dbschema.ddl.triggers import Trigger

if TYPE_CHECKING:
    from sqlalchemy import Table


UPDATED_AT_FUNCTION = Function(
    name="update_updated_at_column",
    returns="trigger",
    body="\nBEGIN\n    NEW.updated_at := now();\n    RETURN NEW;\nEND\n",
    settings=(("search_path", "pg_catalog"),),
    comment="Sets updated_at to the time of the transaction, whatever the client wrote",
)


def updated_at_trigger(table: Table) -> Trigger:
    """Return the trigger `update_<table>_updated_at`."""
    return Trigger(
        f"update_{table.name}_updated_at", table.name, UPDATED_AT_FUNCTION.name, schema=table.schema
    )


def keep_updated_at(table: Table) -> None:
    """Declare the function and the trigger for a table with a column `updated_at`."""
    declare_for(table, UPDATED_AT_FUNCTION, updated_at_trigger(table))


VERSION_FUNCTION = Function(
    name="raise_version_column",
    returns="trigger",
    # The trigger first restores the old version: a version from the client does not count as a change.
    # In a BEFORE trigger, NEW has NULL in generated columns; OLD must have NULL there too.
    # The comparison is by bytes (*<>): some types (json, point) have no equality operator, and a collation may treat
    # different texts as equal.
    body=(
        "\nBEGIN\n"
        "    NEW.version := OLD.version;\n"
        "    IF TG_NARGS > 0 THEN\n"
        "        OLD := jsonb_populate_record(OLD, TG_ARGV[0]::jsonb);\n"
        "    END IF;\n"
        "    IF NEW *<> OLD THEN\n"
        "        NEW.version := OLD.version + 1;\n"
        "    END IF;\n"
        "    RETURN NEW;\n"
        "END\n"
    ),
    settings=(("search_path", "pg_catalog"),),
    comment="Raises version by one where the row changes, whatever the client wrote",
)


def version_trigger(table: Table) -> Trigger:
    """Return the trigger `raise_<table>_version`; its argument lists the generated columns, if the table has any.

    Triggers fire in the order of their names: this one fires before `update_<table>_updated_at`, which changes the row.
    """
    computed = {column.name: None for column in table.columns if column.computed is not None}
    return Trigger(
        f"raise_{table.name}_version",
        table.name,
        VERSION_FUNCTION.name,
        arguments=(json.dumps(computed, ensure_ascii=False),) if computed else (),
        schema=table.schema,
    )


def keep_version(table: Table) -> None:
    """Declare the function and the trigger for a table with a column `version`."""
    declare_for(table, VERSION_FUNCTION, version_trigger(table))
