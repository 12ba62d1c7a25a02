"""The relationship that every tenant table has: to its tenant."""

from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Mapped, declared_attr, relationship

from dbschema.orm.mixins import TenantScoped

if TYPE_CHECKING:
    from dbschema.models.identity import Tenant


class OfTenant(TenantScoped):
    """`TenantScoped`, with the tenant as an object."""

    @declared_attr
    @classmethod
    def tenant(cls) -> Mapped["Tenant"]:
        owner: Any = cls
        return relationship(
            "Tenant",
            primaryjoin=f"foreign({owner.__name__}.tenant_id) == Tenant.id",
            lazy="raise",
        )
