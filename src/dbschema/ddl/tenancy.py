"""Declare the isolation of tenants (`TenantScoped`): a session reads and writes only the rows of its tenant.

Row-level security is enabled and forced (for the table's owner too). A policy compares the row's tenant with the setting
`app.tenant_id`, and the group roles get their privileges. A session without a tenant sees no rows. Operators have their
own role with a second policy: policies of other roles do not become part of an application's query.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.ddl.base import quote
from dbschema.ddl.grants import Grant
from dbschema.ddl.registry import declare_for
from dbschema.ddl.roles import Role
from dbschema.ddl.row_security import Policy, RowSecurity
from dbschema.errors import DeclarationError
from dbschema.sql import sql_string

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from sqlalchemy import Table

TENANT_SETTING = "app.tenant_id"
POLICY_NAME = "tenant_isolation"
OPERATOR_POLICY_NAME = "operator_access"
DISTRIBUTIONS = ("tenant", "reference")

# The sub-select is evaluated once per query instead of once per row. RESET leaves an empty setting; nullif turns it into
# NULL: no rows, and no error that reveals information.
CURRENT_TENANT = f"(SELECT nullif(current_setting('{TENANT_SETTING}', true), '')::uuid)"

APP_ROLE = Role("dbschema_app", settings=(("jit", "off"),))
READONLY_ROLE = Role("dbschema_readonly", settings=(("jit", "off"),))
OPERATOR_ROLE = Role("dbschema_operator", settings=(("jit", "off"),))
READ_WRITE = ("SELECT", "INSERT", "UPDATE", "DELETE")
READ_APPEND = ("SELECT", "INSERT")


def setting(tenant: UUID | str | None) -> str:
    """Return the SQL statement that sets the tenant until the end of the transaction; None: no tenant.

    The tenant is a literal: SET accepts no parameters, and a distributed database does not propagate `set_config()` to
    its workers.
    """
    return f"SET LOCAL {TENANT_SETTING} = {sql_string(str(tenant or ''))}"


def isolation_policy(table: Table, column: str = "tenant_id") -> Policy:
    """Return the policy `tenant_isolation`: `column` equals the tenant of the session."""
    condition = f"{quote(column)} = {CURRENT_TENANT}"
    return Policy(POLICY_NAME, table.name, using=condition, check=condition, schema=table.schema)


def operator_policy(table: Table) -> Policy:
    """Return the policy `operator_access`: the operators' role reads and writes the rows of all tenants."""
    return Policy(
        OPERATOR_POLICY_NAME,
        table.name,
        using="true",
        check="true",
        roles=(OPERATOR_ROLE.name,),
        schema=table.schema,
    )


def isolate(
    table: Table,
    *,
    column: str = "tenant_id",
    distribution: str = "tenant",
    app_privileges: Sequence[str] = READ_WRITE,
) -> None:
    """Declare row-level security, policies, roles and grants for `table`.

    Args:
        table: the table.
        column: the column that holds the tenant.
        distribution: 'tenant', or 'reference' for the table of tenants itself; stored in the table's `info`.
        app_privileges: the privileges of the application's role and of the operators' role.

    Raises:
        DeclarationError: the distribution is not one of these two.
    """
    if distribution not in DISTRIBUTIONS:
        raise DeclarationError(
            f"The distribution {distribution!r} of table {table.name!r} is unknown",
            "Say 'tenant' or 'reference'",
        )
    table.info.setdefault("distribution", distribution)
    declare_for(
        table,
        APP_ROLE,
        READONLY_ROLE,
        OPERATOR_ROLE,
        Grant(("USAGE",), "SCHEMA", None, APP_ROLE.name, schema=table.schema),
        Grant(("USAGE",), "SCHEMA", None, READONLY_ROLE.name, schema=table.schema),
        Grant(("USAGE",), "SCHEMA", None, OPERATOR_ROLE.name, schema=table.schema),
        RowSecurity(table.name, schema=table.schema),
        isolation_policy(table, column),
        operator_policy(table),
        Grant(tuple(app_privileges), "TABLE", table.name, APP_ROLE.name, schema=table.schema),
        Grant(("SELECT",), "TABLE", table.name, READONLY_ROLE.name, schema=table.schema),
        Grant(tuple(app_privileges), "TABLE", table.name, OPERATOR_ROLE.name, schema=table.schema),
    )
