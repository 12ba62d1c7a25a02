"""Which tenants there are."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from dbschema.ddl.tenancy import OPERATOR_ROLE
from dbschema.models import Tenant
from dbschema.tools.tenants.errors import no_such_tenant, tenants_hidden, translating
from dbschema.tools.tenants.session import become, take_role

if TYPE_CHECKING:
    from sqlalchemy import Engine


# For the operators' role a policy holds that hides nothing.
_HIDDEN = text(
    "SELECT row_security_active('tenants') AND pg_has_role(to_regrole(:operator), 'USAGE') IS NOT TRUE"
)


def list_tenants(engine: Engine) -> list[Tenant]:
    """All tenants by their slugs, as objects of no session.

    Raises:
        TenantsHidden: row security binds the role, which therefore sees none.
    """
    with Session(engine) as session, translating("tenants"):
        if session.scalar(_HIDDEN, {"operator": OPERATOR_ROLE.name}):
            raise tenants_hidden(str(session.scalar(select(func.current_user()))))
        found = list(session.scalars(select(Tenant).order_by(Tenant.slug)))
        session.expunge_all()
        return found


def find_tenant(engine: Engine, name: str | UUID) -> Tenant:
    """The tenant with this id or slug, as an object of no session.

    A role that is bound by row security finds it by its id only.

    Raises:
        NoSuchTenant: it is not there, or hidden.
    """
    key = _as_id(name)
    with Session(engine) as session, translating("tenants"):
        take_role(session.connection(), Tenant.__tablename__)
        if key is not None:
            become(session.connection(), Tenant.__tablename__, key)
        where = Tenant.slug == name if key is None else Tenant.id == key
        found = session.scalars(select(Tenant).where(where)).one_or_none()
        if found is None:
            raise no_such_tenant(name)
        session.expunge_all()
        return found


def _as_id(name: str | UUID) -> UUID | None:
    if isinstance(name, UUID):
        return name
    try:
        return UUID(name)
    except ValueError:
        return None
