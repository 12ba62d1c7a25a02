"""Which models belong to tenants: all that are mapped, the application's own too, at the time of asking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import event, inspect

from dbschema._sqlalchemy import criteria_key
from dbschema.orm.mixins import TenantRoot, TenantScoped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Mapper

    Key = tuple[str, Mapper[Any]]


class _Known:
    """The models that were found, and how many had been mapped before."""

    mapped = 0
    found: tuple[int, frozenset[Key]] = (-1, frozenset())


def of_tenants() -> frozenset[Key]:
    """The mappers of all models that are `TenantScoped` or a `TenantRoot`, as the keys of what SQLAlchemy adds to each."""
    mapped, (known, found) = _Known.mapped, _Known.found
    if known != mapped:
        found = frozenset(
            criteria_key(mapper) for mixin in (TenantScoped, TenantRoot) for mapper in _below(mixin)
        )
        # With the number from before the search: a model that was mapped meanwhile has it done again.
        _Known.found = mapped, found
    return found


def _below(mixin: type[Any]) -> Iterator[Mapper[Any]]:
    for model in mixin.__subclasses__():
        mapper = inspect(model, raiseerr=False)
        if mapper is None:
            yield from _below(model)
        else:
            yield from mapper.self_and_descendants


@event.listens_for(TenantScoped, "after_mapper_constructed", propagate=True)
@event.listens_for(TenantRoot, "after_mapper_constructed", propagate=True)
def _another(_mapper: Mapper[Any], _cls: type[Any]) -> None:
    _Known.mapped += 1
