"""Declare search functions that filter by tenant themselves, for conditions whose index a policy would disable.

PostgreSQL checks a policy before every condition that is not leakproof. The operators of PostGIS, JSONB and full text are
not leakproof, so a policy prevents the use of their indexes. Such a search is therefore a SECURITY DEFINER function. Its
owner is a role without login whose policy shows it every row: the tenant condition in the function is the only
protection. `search_function` writes this condition; a search can only add conditions to it.
"""

# ruff: noqa: S608  the statements consist of declarations of this package

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
"""The maximum number of rows of a page; a larger `page_size` is reduced to it."""


def searchable(table: Table) -> None:
    """Declare that search functions may read all rows of `table`."""
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
    rejected_if: str | None = None,
    plans: str = "auto",
    extensions: tuple[str, ...] = (),
    comment: str,
) -> Function:
    """Declare a function that returns a page of rows of the session's tenant; without a tenant it returns no rows.

    A caller selects from the function as from the table. Conditions of the caller apply after the page was limited.

    Args:
        name: name of the function.
        table: the table; the alias of its rows is `item`.
        arguments: the arguments of the search; `page_size` is appended.
        condition: the condition on the rows, in addition to the tenant.
        order: the order of the rows, as in ORDER BY.
        nearest_first: `order` is a distance. Rows with the same distance are sorted by id in a second step, because an
            index on distances provides no further order.
        values: additional variables, as plpgsql declarations.
        rejected_if: a condition on the arguments; if it is true, the function raises an error with this condition as
            its message.
        plans: `plan_cache_mode`: 'force_custom_plan' if the best index depends on the arguments, 'force_generic_plan'
            if it never does.
        extensions: the extensions whose types and operators the function uses.
        comment: text of COMMENT ON FUNCTION.
    """
    size = f"least(greatest(page_size, 0), {LARGEST_PAGE})"
    rows = f"SELECT item.* FROM {table} item\n    WHERE item.tenant_id = tenant AND {condition}\n    ORDER BY {order}"
    if nearest_first:
        # Rows with the same distance as the last row compete for the last place of the page.
        rows = (
            f"SELECT item.* FROM (\n    {rows} FETCH FIRST ({size}) ROWS WITH TIES\n    ) item\n"
            f"    ORDER BY {order}, item.id"
        )
    check = ""
    if rejected_if is not None:
        check = (
            f"    IF {rejected_if} THEN\n"
            f"        RAISE program_limit_exceeded USING MESSAGE = {sql_string(f'{name}: {rejected_if}')};\n"
            "    END IF;\n"
        )
    variables = "".join(f"    {value};\n" for value in values)
    return Function(
        name,
        f"SETOF {table}",
        (
            "\nDECLARE\n"
            # Read once, so that expressions of the caller cannot change the tenant within a page.
            f"    tenant CONSTANT uuid := nullif(current_setting('{TENANT_SETTING}', true), '')::uuid;\n"
            f"{variables}BEGIN\n{check}    RETURN QUERY {rows}\n    LIMIT {size};\nEND\n"
        ),
        (*arguments, Argument("page_size", "integer", "50")),
        volatility="STABLE",
        parallel="RESTRICTED",
        security_definer=True,
        settings=(
            ("jit", "off"),
            *((("plan_cache_mode", plans),) if plans != "auto" else ()),
        ),
        # PostgreSQL searches pg_catalog first and the caller's temporary objects last.
        pinned_to=extensions,
        cost=1000,
        rows=50,
        owner=SEARCH_ROLE.name,
        executable_by=(APP_ROLE.name,),
        table=table,
        comment=comment,
    )
