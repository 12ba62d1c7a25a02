"""The tenant in each statement of the ORM, beside the policy that would keep it anyway.

The policy alone does not route a statement to the tenant's shard of a distributed database. Statements of Core on tables
are left as they are written: the policy keeps them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import TextClause
from sqlalchemy.orm import LoaderCriteriaOption, UserDefinedOption

from dbschema.mixins import TenantRoot, TenantScoped
from dbschema.sessions import rows
from dbschema.sessions.errors import TransactionControl

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.orm import ORMExecuteState
    from sqlalchemy.sql.base import ExecutableOption

# Mistakes, not attacks: who can run SQL of his own, can do so in a function too. What limits him is the login.
_CONTROL: Final = re.compile(
    r"(?:\s|--[^\n]*\n|/\*(?:[^*]|\*(?!/))*\*/)*(?:(?:COMMIT|END|ABORT|BEGIN|START\s+TRANSACTION|PREPARE\s+TRANSACTION|DISCARD|ROLLBACK(?!\s+(?:WORK\s+|TRANSACTION\s+)?TO\b))\b"
    r"|RESET\s+(?:ALL|ROLE|SESSION|app\.tenant_id)\b"
    r"|SET\s+(?:LOCAL\s+|SESSION\s+)?(?:ROLE|SESSION\s+AUTHORIZATION|AUTHORIZATION|app\.tenant_id)\b)",
    re.IGNORECASE,
)


class _Kept(UserDefinedOption):
    """Stands in a statement that has the tenant already: loaders of relationships take over what theirs had."""


class _ByKey(UserDefinedOption):
    """Stands in a statement that finds one row by its key, of which the tenant is a part."""

    propagate_to_loaders = False


class _OfTenant(LoaderCriteriaOption):
    """`with_loader_criteria` for one tenant. Objects hold the options that they were loaded with, and caches pickle objects."""

    # What it holds of the statement's cache key is what its parent does; SQLAlchemy looks for that in the class itself.
    _traverse_internals = LoaderCriteriaOption._traverse_internals  # noqa: SLF001  as above

    def __init__(self, entity: type[Any], tenant_id: UUID) -> None:
        self._tenant_id = tenant_id
        if entity is TenantRoot:
            super().__init__(entity, lambda one: one.id == tenant_id, include_aliases=True)
        else:
            super().__init__(entity, lambda one: one.tenant_id == tenant_id, include_aliases=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return _OfTenant, (self.root_entity, self._tenant_id)


_KEPT: Final = _Kept()
BY_KEY: Final = _ByKey()
"""The option of a statement that names the tenant itself."""


@lru_cache(maxsize=1024)
def of(tenant_id: UUID) -> tuple[ExecutableOption, ...]:
    """The options that add the tenant to a statement, for each table of it, aliases and subqueries included.

    They cost more to make than a session does, and hold nothing but the tenant.
    """
    return _OfTenant(TenantScoped, tenant_id), _OfTenant(TenantRoot, tenant_id), _KEPT


def keep(state: ORMExecuteState, options: tuple[ExecutableOption, ...], tenant_id: UUID) -> None:
    """Keep the statement that a session is about to execute to the tenant.

    Raises:
        ForeignTenant: it writes a row of another tenant.
        TransactionControl: it is text that ends the transaction or takes away its tenant or role.
    """
    statement: Any = state.statement
    if isinstance(statement, TextClause):
        if _CONTROL.match(statement.text):
            raise TransactionControl(" ".join(statement.text.split())[:60])
    elif not state.is_orm_statement or state.is_column_load:
        # Columns are loaded by the row's key, of which the tenant is a part.
        return
    elif state.is_insert or (state.is_update and _by_key(state)):
        rows.keep(state, tenant_id)
    elif not any(isinstance(option, (_Kept, _ByKey)) for option in state.user_defined_options):
        state.statement = statement.options(*options)


def _by_key(state: ORMExecuteState) -> bool:
    """Whether an UPDATE is given rows, which are found by their key."""
    strategy = state.execution_options.get("dml_strategy", "auto")
    return isinstance(state.parameters, (list, tuple)) and strategy in {"auto", "bulk"}
