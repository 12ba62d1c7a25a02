"""What `TenantScoped` promises: rows of one tenant are all that a session sees and writes.

Row security is enabled and forced (for the table's owner too), one policy compares the row's tenant with the setting
`app.tenant_id`, and the group roles get their privileges. A session that has not set a tenant sees nothing; operators
have a role of their own, for which a second policy holds: policies of other roles are no part of an application's query.
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

# The sub-select is evaluated once a query instead of once a row; nullif turns an empty setting, which is what RESET
# leaves behind, into NULL: no rows, and no error that would tell something.
CURRENT_TENANT = f"(SELECT nullif(current_setting('{TENANT_SETTING}', true), '')::uuid)"

APP_ROLE = Role("dbschema_app", settings=(("jit", "off"),))
READONLY_ROLE = Role("dbschema_readonly", settings=(("jit", "off"),))
OPERATOR_ROLE = Role("dbschema_operator", settings=(("jit", "off"),))
READ_WRITE = ("SELECT", "INSERT", "UPDATE", "DELETE")
READ_APPEND = ("SELECT", "INSERT")


def setting(tenant: UUID | str | None) -> str:
    """The statement that sets the tenant until the transaction ends, as SQL; None: no tenant.

    A literal, for SET takes no parameter, and `set_config()` is not passed on to the workers of a distributed database.
    """
    return f"SET LOCAL {TENANT_SETTING} = {sql_string(str(tenant or ''))}"


def isolation_policy(table: Table, column: str = "tenant_id") -> Policy:
    """The policy `tenant_isolation`: `column` is the tenant that the session has set."""
    condition = f"{quote(column)} = {CURRENT_TENANT}"
    return Policy(POLICY_NAME, table.name, using=condition, check=condition, schema=table.schema)


def operator_policy(table: Table) -> Policy:
    """The policy `operator_access`: whoever acts as the operators' role sees and writes the rows of all tenants."""
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
    """Declare row security, policies, roles and grants for `table`.

    Args:
        table: the table.
        column: which of its columns names the tenant.
        distribution: 'tenant', or 'reference' for the table of tenants itself; kept in the table's `info`.
        app_privileges: what the application's role may do, and the operators'.

    Raises:
        DeclarationError: the distribution is neither of the two.
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
