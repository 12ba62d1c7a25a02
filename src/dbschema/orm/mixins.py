"""Mixins for models: columns, keys, and the database objects that enforce their rules.

A mixin works with `dbschema.orm.base.Base` and with any other declarative base. Its database objects are declared when the
class is mapped (`after_mapper_constructed`), whichever way of mapping the class uses.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, cast
from uuid import UUID

from sqlalchemy import (
    DateTime,
    FetchedValue,
    ForeignKeyConstraint,
    Integer,
    Table,
    Uuid,
    event,
    func,
    inspect,
    text,
)
from sqlalchemy.orm import Mapped, declared_attr, mapped_column
from sqlalchemy.orm.attributes import set_committed_value

from dbschema.ddl.audit import AuditTables, keep_append_only, keep_audited
from dbschema.ddl.maintained import keep_updated_at, keep_version
from dbschema.ddl.tenancy import READ_APPEND, READ_WRITE, isolate
from dbschema.orm.types import apply_type_checks, uuid_key

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Mapper


class Created:
    """`created_at`, set by the database."""

    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), sort_order=900, comment="When the row was made"
    )


class Timestamped(Created):
    """`created_at` and `updated_at`; a trigger maintains `updated_at`."""

    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True),
        server_default=func.now(),
        # An UPDATE changes the value in the database: the ORM has to read it again.
        server_onupdate=FetchedValue(),
        sort_order=901,
        comment="When the row was last changed; kept by a trigger",
    )


class Versioned:
    """`version`, incremented by the database on each change; the ORM rejects an update of an outdated version."""

    version: Mapped[int] = mapped_column(
        Integer,
        server_default=text("1"),
        server_onupdate=FetchedValue(),
        comment="Starts at 1; raised by a trigger on each update that changes the row",
    )

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        inherited = dict(getattr(super(), "__mapper_args__", {}))
        return {
            **inherited,
            "eager_defaults": True,
            "version_id_col": cast("Any", cls).version,
            "version_id_generator": False,
        }


class TenantRoot:
    """The table of tenants itself: its `id` is the tenant, and row-level security shows each tenant only its own row."""

    id: Mapped[UUID] = uuid_key()


class TenantScoped:
    """A table whose rows belong to a tenant: the primary key is `tenant_id` and `id`, and row-level security applies.

    A foreign key on the tenant deletes the row with the tenant. It is omitted if the table has such a key already, or a
    composite key with ON DELETE CASCADE whose columns are NOT NULL.
    """

    __tenant_reference__: ClassVar[str | None] = "tenants.id"
    """The column that `tenant_id` references; None for a MetaData without a table of tenants."""

    __app_privileges__: ClassVar[tuple[str, ...]] = READ_WRITE
    """The privileges of the application's role on the table."""

    tenant_id: Mapped[UUID] = mapped_column(
        Uuid(), primary_key=True, sort_order=-100, comment="The tenant that the row belongs to"
    )
    id: Mapped[UUID] = uuid_key()


class AppendOnly(TenantScoped):
    """A table whose rows are never updated, and deleted only with their tenant."""

    __app_privileges__ = READ_APPEND


class Audited:
    """The database records each change of a row in the audit log: the user, the action, the old and the new values.

    For `TenantScoped` models in the same MetaData as the tables of `__audit_tables__`. The user is the setting
    `app.user_id`, which a session sets (`tenant_session(…, user_id=…)`).
    """

    __audit_exclude__: ClassVar[tuple[str, ...]] = ()
    """Names of columns in the database whose values are never recorded; the fact of a change is recorded."""

    __audit_tables__: ClassVar[AuditTables] = AuditTables()
    """The tables of the audit log, the tenants and the users; by default those of `dbschema.models`."""


def foreign_key(column: str, table: str, *, cascade: bool = False) -> ForeignKeyConstraint:
    """Return a composite foreign key to another tenant table: a row cannot reference a row of another tenant.

    Args:
        column: the column of this table that holds the id of the referenced row.
        table: the referenced table; its primary key is (tenant_id, id).
        cascade: delete the row with the referenced row; otherwise the reference prevents its deletion.
    """
    return ForeignKeyConstraint(
        ["tenant_id", column],
        [f"{table}.tenant_id", f"{table}.id"],
        ondelete="CASCADE" if cascade else None,
    )


def _deleted_with_tenant(table: Table, reference: str) -> bool:
    for key in table.foreign_key_constraints:
        if "tenant_id" not in key.column_keys:
            continue
        if len(key.elements) == 1 and key.elements[0].target_fullname == reference:
            return True
        if key.ondelete == "CASCADE" and not any(column.nullable for column in key.columns):
            return True
    return False


def _discard_assigned_value(instance: object, name: str) -> None:
    """Discard a value that the application assigned to a trigger-maintained column; the flush reads the actual value.

    Otherwise the session and the database would hold different values.
    """
    state = inspect(instance)
    history = state.attrs[name].history
    if not history.has_changes():
        return
    if history.deleted:
        set_committed_value(instance, name, history.deleted[0])
    elif state.session is not None:
        state.session.expire(instance, [name])


@event.listens_for(Timestamped, "before_update", propagate=True)
def _discard_updated_at(_mapper: Mapper[Any], _connection: Connection, target: Timestamped) -> None:
    _discard_assigned_value(target, "updated_at")


@event.listens_for(Versioned, "mapper_configured", propagate=True)
def _skip_load_of_old_version(_mapper: Mapper[Any], cls: type[Versioned]) -> None:
    # On assignment, SQLAlchemy would load the old version, which asyncio does not allow there. The flush loads it.
    attribute: Any = cls.version
    attribute.impl.active_history = False


@event.listens_for(Versioned, "before_update", propagate=True)
def _discard_version(_mapper: Mapper[Any], _connection: Connection, target: Versioned) -> None:
    _discard_assigned_value(target, "version")


def _own_table(mapper: Mapper[Any]) -> Table | None:
    """Return the table that the mapper adds; None if the class shares the table of its base class."""
    table = mapper.local_table
    if not isinstance(table, Table) or (mapper.inherits is not None and mapper.inherits.local_table is table):
        return None
    return table


@event.listens_for(Timestamped, "after_mapper_constructed", propagate=True)
def _keep_updated_at(mapper: Mapper[Any], _cls: type[Timestamped]) -> None:
    if (table := _own_table(mapper)) is not None:
        keep_updated_at(table)


@event.listens_for(Versioned, "after_mapper_constructed", propagate=True)
def _keep_version(mapper: Mapper[Any], _cls: type[Versioned]) -> None:
    if (table := _own_table(mapper)) is not None:
        keep_version(table)


@event.listens_for(TenantScoped, "after_mapper_constructed", propagate=True)
def _isolate(mapper: Mapper[Any], cls: type[TenantScoped]) -> None:
    if (table := _own_table(mapper)) is None:
        return
    apply_type_checks(table)
    reference = cls.__tenant_reference__
    if reference is not None and not _deleted_with_tenant(table, reference):
        table.append_constraint(ForeignKeyConstraint(["tenant_id"], [reference], ondelete="CASCADE"))
    isolate(table, app_privileges=cls.__app_privileges__)


@event.listens_for(TenantRoot, "after_mapper_constructed", propagate=True)
def _isolate_root(mapper: Mapper[Any], _cls: type[TenantRoot]) -> None:
    if (table := _own_table(mapper)) is not None:
        isolate(table, column="id", distribution="reference")


@event.listens_for(AppendOnly, "after_mapper_constructed", propagate=True)
def _keep_append_only(mapper: Mapper[Any], cls: type[AppendOnly]) -> None:
    if (table := _own_table(mapper)) is not None:
        keep_append_only(table, cls.__tenant_reference__)


@event.listens_for(Audited, "after_mapper_constructed", propagate=True)
def _keep_audited(mapper: Mapper[Any], cls: type[Audited]) -> None:
    if (table := _own_table(mapper)) is not None:
        unremarkable = ("updated_at",) if issubclass(cls, Timestamped) else ()
        keep_audited(
            table, hidden=cls.__audit_exclude__, unremarkable=unremarkable, tables=cls.__audit_tables__
        )
