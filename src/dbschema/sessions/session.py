"""The session of one tenant: it reads and writes only rows of the tenant, without code in each query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy import event, inspect

from dbschema.ddl.tenancy import APP_ROLE, OPERATOR_ROLE
from dbschema.sessions import criteria, flush
from dbschema.sessions.errors import operator_role
from dbschema.sessions.flush import assign_tenant, identity
from dbschema.sessions.literals import exact
from dbschema.sessions.transaction import TransactionSession

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from ipaddress import IPv4Address, IPv6Address
    from uuid import UUID

    from sqlalchemy import Connection, Engine
    from sqlalchemy.orm import Mapper, ORMExecuteState

O = TypeVar("O", bound=object)  # noqa: E741  SQLAlchemy's name


class TenantSession(TransactionSession):
    """A SQLAlchemy `Session` for one tenant, with the application's role. See `tenant_session` for the arguments."""

    def __init__(
        self,
        bind: Engine | Connection | None = None,
        *,
        tenant_id: UUID | str,
        role: str = APP_ROLE.name,
        user_id: UUID | str | None = None,
        ip_address: IPv4Address | IPv6Address | str | None = None,
        **options: Any,
    ) -> None:
        if role == OPERATOR_ROLE.name:
            raise operator_role(role)
        self._tenant_id = exact(tenant_id)
        self._option = criteria.option_for(self._tenant_id)
        super().__init__(
            bind, role=role, tenant_id=self._tenant_id, user_id=user_id, ip_address=ip_address, **options
        )

    @property
    def tenant_id(self) -> UUID:
        """The tenant of the session; it never changes."""
        return self._tenant_id

    def get(self, entity: type[O] | Mapper[O], ident: Any, **options: Any) -> O | None:
        """See `Session.get`; for a table of tenants the row's `id` is sufficient."""
        return super().get(entity, identity(entity, ident, self._tenant_id), **options)

    def get_one(self, entity: type[O] | Mapper[O], ident: Any, **options: Any) -> O:
        """See `Session.get_one`; for a table of tenants the row's `id` is sufficient."""
        return super().get_one(entity, identity(entity, ident, self._tenant_id), **options)

    def merge(self, instance: O, **options: Any) -> O:
        """See `Session.merge`.

        Raises:
            ForeignTenant: `instance`, or an object merged with it, belongs to another tenant.
        """
        flush.check_merge(instance, self._tenant_id)
        return super().merge(instance, **options)

    def merge_all(self, instances: Iterable[O], **options: Any) -> Sequence[O]:
        """See `Session.merge_all`.

        Raises:
            ForeignTenant: an instance, or an object merged with it, belongs to another tenant.
        """
        instances = list(instances)
        for instance in instances:
            flush.check_merge(instance, self._tenant_id)
        return super().merge_all(instances, **options)

    def bulk_save_objects(self, objects: Iterable[object], *args: Any, **options: Any) -> None:
        """See `Session.bulk_save_objects`.

        Raises:
            ForeignTenant: an object belongs to another tenant.
        """
        instances = list(objects)
        for instance in instances:
            assign_tenant(instance, self._tenant_id)
        super().bulk_save_objects(instances, *args, **options)

    def bulk_insert_mappings(
        self, mapper: type[Any] | Mapper[Any], mappings: Iterable[dict[str, Any]], *args: Any, **options: Any
    ) -> None:
        """See `Session.bulk_insert_mappings`.

        Raises:
            ForeignTenant: a row belongs to another tenant.
        """
        super().bulk_insert_mappings(mapper, self._complete(mapper, mappings), *args, **options)

    def bulk_update_mappings(
        self, mapper: type[Any] | Mapper[Any], mappings: Iterable[dict[str, Any]]
    ) -> None:
        """See `Session.bulk_update_mappings`.

        Raises:
            ForeignTenant: a row belongs to another tenant.
        """
        super().bulk_update_mappings(mapper, self._complete(mapper, mappings))

    def _complete(self, mapper: Any, mappings: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        entity = inspect(mapper).class_
        return [flush.complete(row, entity, self._tenant_id) for row in mappings]


def tenant_session(
    engine: Engine | Connection,
    tenant_id: UUID | str,
    *,
    role: str = APP_ROLE.name,
    user_id: UUID | str | None = None,
    ip_address: IPv4Address | IPv6Address | str | None = None,
    **options: Any,
) -> TenantSession:
    """Open a session of one tenant, for a `with` block; it does not commit automatically.

    Args:
        engine: the engine, or for tests a connection; the session restores its role and settings at the end.
        tenant_id: the tenant, as a UUID or its text.
        role: the group role that the login takes; it must not bypass row-level security (RLS).
        user_id: the acting user of the tenant, as a UUID or its text, for the audit log; None: not set.
        ip_address: the address that the request came from, for the audit log; None: not set.
        options: options of `sqlalchemy.orm.Session`.

    Raises:
        BadIdentity: `tenant_id` or `user_id` is not a UUID, or `ip_address` is not an address.
        SessionError: `role` is the operators' role.
    """
    return TenantSession(
        engine, tenant_id=tenant_id, role=role, user_id=user_id, ip_address=ip_address, **options
    )


@event.listens_for(TenantSession, "do_orm_execute")
def _execute(state: ORMExecuteState) -> None:
    criteria.add_tenant(state, cast("TenantSession", state.session)._option)  # noqa: SLF001  its own listener


@event.listens_for(TenantSession, "before_attach")
def _attach(session: TenantSession, instance: object) -> None:
    assign_tenant(instance, session._tenant_id)  # noqa: SLF001  its own listener


@event.listens_for(TenantSession, "before_flush")
def _flush(session: TenantSession, _context: Any, _instances: Any) -> None:
    for instance in session.new:
        assign_tenant(instance, session._tenant_id)  # noqa: SLF001  its own listener
    for instance in session.dirty:
        flush.check_stored(instance, session._tenant_id)  # noqa: SLF001  its own listener
