"""What a model gets by naming a mixin: columns, key, and the database objects that keep what they promise.

A mixin works with `dbschema.orm.base.Base` and with any other declarative base. What it promises is declared when the class
is mapped (`after_mapper_constructed`), for every way to map a class.
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
    """`created_at`, given by the database."""

    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), sort_order=900, comment="When the row was made"
    )


class Timestamped(Created):
    """`created_at` and `updated_at`; a trigger keeps the latter."""

    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True),
        server_default=func.now(),
        # Tells the ORM that an UPDATE changes the value, so that it is read back.
        server_onupdate=FetchedValue(),
        sort_order=901,
        comment="When the row was last changed; kept by a trigger",
    )


class Versioned:
    """`version`, raised by the database on each change; the ORM refuses an update of a version that is no longer there."""

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
    """The table of tenants itself: its own `id` is the tenant, and row security shows each tenant its own row."""

    id: Mapped[UUID] = uuid_key()


class TenantScoped:
    """A table whose rows belong to a tenant: `tenant_id` and `id`, together the primary key, and row security.

    The tenant is a foreign key that removes the row with the tenant, unless a composite key that is NOT NULL and
    cascades leads there already.
    """

    __tenant_reference__: ClassVar[str | None] = "tenants.id"
    """The column that names tenants; None for a MetaData without such a table."""

    __app_privileges__: ClassVar[tuple[str, ...]] = READ_WRITE
    """What the application's role may do with the table."""

    tenant_id: Mapped[UUID] = mapped_column(
        Uuid(), primary_key=True, sort_order=-100, comment="The tenant that the row belongs to"
    )
    id: Mapped[UUID] = uuid_key()


class AppendOnly(TenantScoped):
    """Rows are added and never changed; they go only with their tenant."""

    __app_privileges__ = READ_APPEND


class Audited:
    """Each change of a row is recorded in the audit log by the database: who, what, the old and the new values.

    For models that are `TenantScoped`, beside the tables of `dbschema.models`. Who acts is what a session is told
    (`tenant_session(…, user_id=…)`): the setting `app.user_id`.
    """

    __audit_exclude__: ClassVar[tuple[str, ...]] = ()
    """Columns, by their names in the database, whose values are never recorded; that they changed is."""

    __audit_tables__: ClassVar[AuditTables] = AuditTables()
    """The log, the tenants and the users; those of `dbschema.models`, unless the model names others."""


def foreign_key(column: str, table: str, *, cascade: bool = False) -> ForeignKeyConstraint:
    """A composite key into another tenant table, so that no row can point into another tenant.

    Args:
        column: the column of this table that holds the other row's id.
        table: the other table, whose primary key is (tenant_id, id).
        cascade: the row goes with the one it points to; else that one cannot go before.
    """
    return ForeignKeyConstraint(
        ["tenant_id", column],
        [f"{table}.tenant_id", f"{table}.id"],
        ondelete="CASCADE" if cascade else None,
    )


def _leads_to_tenant(table: Table, reference: str) -> bool:
    for key in table.foreign_key_constraints:
        if "tenant_id" not in key.column_keys:
            continue
        if len(key.elements) == 1 and key.elements[0].target_fullname == reference:
            return True
        if key.ondelete == "CASCADE" and not any(column.nullable for column in key.columns):
            return True
    return False


def _leave_to_the_database(instance: object, name: str) -> None:
    """Forget what the application wrote into a column that a trigger decides, so that the flush reads the truth back.

    Otherwise the session would hold the application's value, and the database another.
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
def _forget_updated_at(_mapper: Mapper[Any], _connection: Connection, target: Timestamped) -> None:
    _leave_to_the_database(target, "updated_at")


@event.listens_for(Versioned, "mapper_configured", propagate=True)
def _read_no_version_when_one_is_written(_mapper: Mapper[Any], cls: type[Versioned]) -> None:
    # SQLAlchemy would read the old version at the assignment, where asyncio cannot wait for it. The flush reads it.
    attribute: Any = cls.version
    attribute.impl.active_history = False


@event.listens_for(Versioned, "before_update", propagate=True)
def _forget_version(_mapper: Mapper[Any], _connection: Connection, target: Versioned) -> None:
    _leave_to_the_database(target, "version")


def _own_table(mapper: Mapper[Any]) -> Table | None:
    """The table that this mapper brings along; None where a class shares the table of the one it inherits from."""
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
    if reference is not None and not _leads_to_tenant(table, reference):
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
