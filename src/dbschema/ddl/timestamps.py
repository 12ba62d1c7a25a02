"""What `Timestamped` promises: `updated_at` is set by the database on every update, and a client cannot forge it."""

from __future__ import annotations

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
    """The trigger `update_<table>_updated_at`."""
    return Trigger(
        f"update_{table.name}_updated_at", table.name, UPDATED_AT_FUNCTION.name, schema=table.schema
    )


def keep_updated_at(table: Table) -> None:
    """Declare function and trigger for a table that has a column `updated_at`."""
    declare_for(table, UPDATED_AT_FUNCTION, updated_at_trigger(table))
