"""Which tables hold the rows of a tenant, in the order of their foreign keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbschema.ddl import Trigger, declared
from dbschema.ddl.audit import APPEND_ONLY_FUNCTION, AUDIT_FUNCTION_NAME
from dbschema.ddl.base import qualified, quote
from dbschema.ddl.tenancy import isolation_policy
from dbschema.tools.tenants.errors import no_table_of_tenants

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from sqlalchemy import MetaData, Table


@dataclass(frozen=True, eq=False)
class TenantTable:
    """A table that keeps tenants apart.

    Args:
        table: as it is declared.
        column: which of its columns names the tenant.
        append_only: its rows go with their tenant only.
        audited: its changes are recorded.
    """

    table: Table
    column: str
    append_only: bool = False
    audited: bool = False

    @property
    def name(self) -> str:
        """The name of the table, with its schema."""
        return self.table.fullname

    @property
    def sql(self) -> str:
        """Its name as SQL."""
        return qualified(self.table.schema, self.table.name)

    def of(self, tenant: UUID, alias: str = "") -> str:
        """The condition for the rows of a tenant, as SQL: a literal that is made from a UUID."""
        column = f"{alias}.{quote(self.column)}" if alias else quote(self.column)
        return f"{column} = '{tenant}'::uuid"


@dataclass(frozen=True)
class Scope:
    """All tables with rows of tenants.

    Args:
        root: the table whose rows are the tenants.
        groups: all of them, the root first, each after those that its foreign keys point to; tables that point to
            each other are one group.
    """

    root: TenantTable
    groups: tuple[tuple[TenantTable, ...], ...]

    @property
    def tables(self) -> tuple[TenantTable, ...]:
        """The tables of all groups, in order."""
        return tuple(table for group in self.groups for table in group)

    def parents(self, table: TenantTable) -> tuple[TenantTable, ...]:
        """The tables that its foreign keys point to, itself left out."""
        return tuple(_parents(table, {one.name: one for one in self.tables}))


def scope_of(metadata: MetaData) -> Scope:
    """The tables of `metadata` that its policies keep apart, the application's own among them.

    Raises:
        UndeclaredTables: the metadata has no table of tenants, or several.
    """
    objects = frozenset(declared(metadata))
    calls = {(item.table_key, item.function) for item in objects if isinstance(item, Trigger)}
    tables = []
    for table in sorted(metadata.tables.values(), key=lambda table: (table.schema or "", table.name)):
        columns = [column.name for column in table.columns if isolation_policy(table, column.name) in objects]
        if columns:
            key = (table.schema, table.name)
            tables.append(
                TenantTable(
                    table,
                    columns[0],
                    append_only=(key, APPEND_ONLY_FUNCTION.name) in calls,
                    audited=(key, AUDIT_FUNCTION_NAME) in calls,
                )
            )
    roots = [one for one in tables if one.table.info.get("distribution") == "reference"]
    if len(roots) != 1:
        raise no_table_of_tenants([one.name for one in roots])
    return Scope(roots[0], tuple(_groups([roots[0], *(one for one in tables if one is not roots[0])])))


def _parents(table: TenantTable, known: Mapping[str, TenantTable]) -> Iterable[TenantTable]:
    for key in sorted(table.table.foreign_key_constraints, key=lambda key: sorted(key.column_keys)):
        target = known.get(key.elements[0].target_fullname.rpartition(".")[0])
        if target is not None and target is not table:
            yield target


def _groups(tables: list[TenantTable]) -> list[tuple[TenantTable, ...]]:
    """The strongly connected parts, each after those that it points to (Tarjan)."""
    known = {table.name: table for table in tables}
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_: list[TenantTable] = []
    found: list[tuple[TenantTable, ...]] = []

    def visit(table: TenantTable) -> None:
        number[table.name] = lowest[table.name] = len(number)
        open_.append(table)
        for parent in _parents(table, known):
            if parent.name not in number:
                visit(parent)
                lowest[table.name] = min(lowest[table.name], lowest[parent.name])
            elif parent in open_:
                lowest[table.name] = min(lowest[table.name], number[parent.name])
        if lowest[table.name] == number[table.name]:
            start = open_.index(table)
            found.append(tuple(sorted(open_[start:], key=lambda one: number[one.name])))
            del open_[start:]

    for table in tables:
        if table.name not in number:
            visit(table)
    return found
