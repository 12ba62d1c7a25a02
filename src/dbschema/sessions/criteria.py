"""Which models belong to tenants: all that are mapped, the application's own too, at the time of asking.

The tenant in each statement of the ORM, beside the policy that would keep it anyway.

The policy alone does not route a statement to the tenant's shard of a distributed database. Tables that a statement names
by Core are left as they are written: the policy keeps them.

A statement gets one option, whose cache key is the same for all tenants: the condition is written when the statement is
compiled, once for all of them, and each execution brings its own tenant as a parameter. The option does not stay with the objects
that are loaded, for each statement passes by the session anyway.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import repeat
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import (
    BindParameter,
    ColumnClause,
    ColumnElement,
    Delete,
    LambdaElement,
    SelectBase,
    TextClause,
    Update,
    UpdateBase,
    Uuid,
    bindparam,
    event,
    inspect,
)
from sqlalchemy.orm import LoaderCriteriaOption
from sqlalchemy.orm.interfaces import CriteriaOption

from dbschema._sqlalchemy import (
    ParameterCacheKey,
    ResolvedCriterion,
    conditions_of,
    criteria_key,
    entity_of,
    is_extended,
    is_key_lookup,
    options_of,
    replace_element,
    replace_options,
    resolve_lambda,
    values_of,
)
from dbschema.orm.mixins import TenantRoot, TenantScoped
from dbschema.sessions import flush, transaction
from dbschema.sessions.flush import attribute

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping
    from uuid import UUID

    from sqlalchemy.orm import Mapper, ORMExecuteState

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


class _Criterion(ResolvedCriterion, LoaderCriteriaOption):
    """What `with_loader_criteria` would add to each table: to its aliases too, and to the condition where it is joined."""

    inherit_cache = False  # it stands in no statement: what does is the option

    def __init__(self, tenant: BindParameter[UUID]) -> None:
        self.tenant = tenant
        self.root_entity, self.entity = TenantScoped, None
        self.include_aliases = self.propagate_to_loaders = True
        # Every UPDATE and DELETE asks again, compiled before or not; most of a tenant are of few models.
        self._last: tuple[Any, ColumnElement[bool] | None] = (None, None)

    def condition(self, entity: Any) -> ColumnElement[bool]:
        """Make the condition on a model or an alias of a tenant."""
        of, condition = self._last
        if of is not entity or condition is None:
            column = getattr(entity.entity, cast("str", attribute(entity.mapper.class_)))
            condition = cast("ColumnElement[bool]", column == self.tenant)
            if entity.is_mapper:
                self._last = entity, condition
        return condition


class OfTenant(ParameterCacheKey, CriteriaOption):
    """The option that adds a tenant to a statement, for each of its models, aliases and subqueries included.

    Args:
        tenant_id: the tenant.
    """

    def __init__(self, tenant_id: UUID) -> None:
        self.tenant_id = tenant_id
        self.parameter = bindparam("tenant_id", tenant_id, Uuid(), unique=True)
        self._criterion = _Criterion(self.parameter)

    def process_compile_state(self, compile_state: Any) -> None:
        """Called by SQLAlchemy when it compiles a statement."""
        self.get_global_criteria(compile_state.global_attributes)

    def process_compile_state_replaced_entities(self, compile_state: Any, _entities: Any) -> None:
        """Called by SQLAlchemy for a statement whose columns were replaced."""
        self.process_compile_state(compile_state)

    def get_global_criteria(self, attributes: MutableMapping[Any, Any]) -> None:
        """Called by SQLAlchemy for what is in force in the whole statement; of an UPDATE or DELETE, compiled before or not."""
        keys = of_tenants()
        if keys.isdisjoint(attributes):
            attributes.update(zip(keys, map(list, repeat((self._criterion,))), strict=False))
        else:
            for key in keys:
                attributes.setdefault(key, []).append(self._criterion)

    def alone(self, statement: Any) -> ColumnElement[bool] | None:
        """The condition on an UPDATE or DELETE that reads nothing beside the table it writes; None where it does, or might.

        Such a statement needs no option, which SQLAlchemy would ask several times.
        """
        entity = entity_of(statement.table)
        if (
            entity is None
            or not entity.is_mapper
            or is_extended(statement)
            or attribute(entity.class_) is None
        ):
            return None
        left = [*conditions_of(statement), *values_of(statement).values()]
        while left:
            element = left.pop()
            if isinstance(element, BindParameter):
                continue
            if not isinstance(element, ColumnElement):
                return None
            if entity_of(element, entity) is not entity:
                return None
            if not isinstance(element, ColumnClause):
                left += element.get_children()
            elif entity_of(element) is None:  # a column of a table that Core names
                return None
        return self._criterion.condition(entity)

    def beside(self, statement: Any) -> Iterator[ColumnElement[bool]]:
        """The conditions on the models that an UPDATE or DELETE reads beside the table it writes.

        SQLAlchemy adds criteria to the table that is written alone.
        """
        seen = {None, entity_of(statement.table)}
        left = [*conditions_of(statement), *values_of(statement).values()]
        while left:
            element = left.pop()
            found = entity_of(element)
            if found not in seen:
                seen.add(found)
                if attribute(found.mapper.class_) is not None:
                    yield self._criterion.condition(found)
            # Subqueries are no expressions of columns: they get the criteria of their own models.
            if isinstance(element, ColumnElement) and not isinstance(element, (ColumnClause, BindParameter)):
                left += element.get_children()


@lru_cache(maxsize=1024)
def of(tenant_id: UUID) -> OfTenant:
    """The option of a tenant. It costs more to make than a session does, and holds nothing but the tenant."""
    return OfTenant(tenant_id)


def keep(state: ORMExecuteState, option: OfTenant) -> None:
    """Keep the statement that a session is about to execute to the tenant.

    Raises:
        ForeignTenant: it writes a row of another tenant.
        TransactionControl: it is text that ends the transaction or takes away its tenant or role.
    """
    statement: Any = state.statement
    if isinstance(statement, TextClause):
        transaction.check(statement.text, tenant=True)
        return
    if isinstance(statement, LambdaElement):
        statement = resolve_lambda(statement)
    if not state.is_orm_statement:
        # The models of a subquery take the option from the statement around it.
        if not isinstance(statement, (SelectBase, UpdateBase)):
            return
    elif statement.is_dml:
        if state.is_update and _by_key(state):
            flush.keep(state, statement, option.tenant_id)
            return
        condition = option.alone(statement) if isinstance(statement, (Update, Delete)) else None
        if condition is not None:
            state.statement = statement.where(condition)
            return
        statement = _written(state, statement, option)
    elif _looks_up(state, statement, option.tenant_id) or state.is_column_load:
        # The tenant is a part of the row's key.
        return
    state.statement = _with(statement, option)


def _written(state: ORMExecuteState, statement: Any, option: OfTenant) -> Any:
    """An INSERT with the tenant in its rows, an UPDATE or DELETE with the conditions on what it reads beside its table."""
    if statement.is_from_statement:  # select(Model).from_statement(insert(Model)…)
        return replace_element(statement, _written(state, statement.element, option))
    if state.is_insert:
        return flush.keep(state, statement, option.tenant_id)
    beside = tuple(option.beside(statement))
    return statement.where(*beside) if beside else statement


def _looks_up(state: ORMExecuteState, statement: Any, tenant_id: UUID) -> bool:
    """Whether a statement looks up one row by its whole key, with this tenant in it: `get()` and lazy loads."""
    conditions = conditions_of(statement)
    mapper = state.bind_mapper
    return (
        len(conditions) == 1
        and mapper is not None
        and is_key_lookup(mapper, conditions[0])
        and isinstance(state.parameters, dict)
        and tenant_id in state.parameters.values()
        # Which may join other tables to the row.
        and not options_of(statement)
    )


def _with(statement: Any, option: OfTenant) -> Any:
    """`statement` with the option of this tenant, and with that of no other."""
    present = options_of(statement)
    if not present:
        return statement.options(option)
    # Loaders of relationships take over what the statement had that loaded their objects.
    if option in present:
        return statement
    others = [other for other in present if not isinstance(other, OfTenant)]
    if len(others) < len(present):
        statement = replace_options(statement, others)
    return statement.options(option)


def _by_key(state: ORMExecuteState) -> bool:
    """Whether an UPDATE is given rows, which are found by their key."""
    strategy = state.execution_options.get("dml_strategy", "auto")
    return isinstance(state.parameters, (list, tuple)) and strategy in {"auto", "bulk"}
