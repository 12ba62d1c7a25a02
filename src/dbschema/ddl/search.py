"""Searches that state the tenant themselves, for conditions whose index row security would not use.

PostgreSQL checks a policy before any condition that is not leakproof; those of PostGIS, JSONB and full text are not, and
under a policy their indexes lie idle. Such a search is therefore a SECURITY DEFINER function. It belongs to a role that no
one can log in as, whose own policy lets it see every row: the condition in the function is the only guard, so
`search_function` writes it, and a search only adds to it.
"""

# ruff: noqa: S608  what is put together here are declarations of this package

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.ddl.functions import Argument, Function
from dbschema.ddl.grants import Grant
from dbschema.ddl.registry import declare_for
from dbschema.ddl.roles import Role
from dbschema.ddl.row_security import Policy
from dbschema.ddl.tenancy import APP_ROLE, TENANT_SETTING
from dbschema.sql import sql_string

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Table

SEARCH_ROLE = Role("dbschema_search")
SEARCH_POLICY = "search_functions"
LARGEST_PAGE = 1000
"""What a search gives at most, whatever it was asked for."""


def searchable(table: Table) -> None:
    """Declare that search functions may read `table`, all of it."""
    declare_for(
        table,
        SEARCH_ROLE,
        Grant(("USAGE",), "SCHEMA", None, SEARCH_ROLE.name, schema=table.schema),
        Grant(("SELECT",), "TABLE", table.name, SEARCH_ROLE.name, schema=table.schema),
        Policy(
            SEARCH_POLICY,
            table.name,
            using="true",
            command="SELECT",
            roles=(SEARCH_ROLE.name,),
            schema=table.schema,
            comment="Search functions see all rows, and state the tenant themselves",
        ),
    )


def search_function(
    name: str,
    table: str,
    arguments: Iterable[Argument],
    *,
    condition: str,
    order: str,
    nearest_first: bool = False,
    values: Iterable[str] = (),
    refused: str | None = None,
    plans: str = "auto",
    extensions: tuple[str, ...] = (),
    comment: str,
) -> Function:
    """A function that gives a page of rows of the tenant that the session has set, and without a tenant none.

    The rows can be asked for as if the function were the table; conditions of the caller come after the page was cut.

    Args:
        name: of the function.
        table: the table; its rows are called `item`.
        arguments: those of the search; `page_size` follows them.
        condition: which rows, besides that they are the tenant's.
        order: of the rows, as in ORDER BY.
        nearest_first: `order` is a distance, and rows as far as each other are put in the order of their ids in a
            second step: an index that knows distances gives no order beyond them.
        values: more variables, as plpgsql declares them.
        refused: a condition on the arguments under which the search is refused; it is the message, too.
        plans: `plan_cache_mode`; 'force_custom_plan' where the best index depends on the arguments, 'force_generic_plan' where
            it never does.
        extensions: those whose types and operators it uses.
        comment: COMMENT ON FUNCTION.
    """
    size = f"least(greatest(page_size, 0), {LARGEST_PAGE})"
    rows = f"SELECT item.* FROM {table} item\n    WHERE item.tenant_id = tenant AND {condition}\n    ORDER BY {order}"
    if nearest_first:
        # Whoever stands at the same place as the last one belongs to those who compete for the last place.
        rows = (
            f"SELECT item.* FROM (\n    {rows} FETCH FIRST ({size}) ROWS WITH TIES\n    ) item\n"
            f"    ORDER BY {order}, item.id"
        )
    guard = ""
    if refused is not None:
        guard = (
            f"    IF {refused} THEN\n"
            f"        RAISE program_limit_exceeded USING MESSAGE = {sql_string(f'{name}: {refused}')};\n"
            "    END IF;\n"
        )
    variables = "".join(f"    {value};\n" for value in values)
    return Function(
        name,
        f"SETOF {table}",
        (
            "\nDECLARE\n"
            # Read once: whatever the caller's own expressions set meanwhile, a page is of one tenant.
            f"    tenant CONSTANT uuid := nullif(current_setting('{TENANT_SETTING}', true), '')::uuid;\n"
            f"{variables}BEGIN\n{guard}    RETURN QUERY {rows}\n    LIMIT {size};\nEND\n"
        ),
        (*arguments, Argument("page_size", "integer", "50")),
        volatility="STABLE",
        parallel="RESTRICTED",
        security_definer=True,
        settings=(
            ("jit", "off"),
            *((("plan_cache_mode", plans),) if plans != "auto" else ()),
        ),
        # Names are looked up in pg_catalog first and among the caller's temporary objects last.
        pinned_to=extensions,
        cost=1000,
        rows=50,
        owner=SEARCH_ROLE.name,
        executable_by=(APP_ROLE.name,),
        table=table,
        comment=comment,
    )
