"""Add the tenant criterion to each ORM statement of a session, in addition to the policy.

The policy alone does not route a statement to the tenant's shard of a distributed database. The criterion covers all
mapped models of tenants, the application's own included. Tables that a statement names through Core stay unchanged: the
policy covers them.

A statement gets one option, whose cache key is the same for all tenants. SQLAlchemy compiles the condition once for all
tenants; each execution passes its tenant as a parameter. The option is not stored with loaded objects, because each
statement passes through the session.
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


class _Models:
    """The cached models of tenants, with the number of mapped models at the time of the search."""

    mapped = 0
    cached: tuple[int, frozenset[Key]] = (-1, frozenset())


def tenant_keys() -> frozenset[Key]:
    """Return the keys of SQLAlchemy's global criteria for all mapped `TenantScoped` and `TenantRoot` models."""
    mapped, (cached_at, keys) = _Models.mapped, _Models.cached
    if cached_at != mapped:
        keys = frozenset(
            criteria_key(mapper) for mixin in (TenantScoped, TenantRoot) for mapper in _mappers(mixin)
        )
        # The number from before the search: a model that was mapped during the search causes another one.
        _Models.cached = mapped, keys
    return keys


def _mappers(mixin: type[Any]) -> Iterator[Mapper[Any]]:
    for model in mixin.__subclasses__():
        mapper = inspect(model, raiseerr=False)
        if mapper is None:
            yield from _mappers(model)
        else:
            yield from mapper.self_and_descendants


@event.listens_for(TenantScoped, "after_mapper_constructed", propagate=True)
@event.listens_for(TenantRoot, "after_mapper_constructed", propagate=True)
def _count(_mapper: Mapper[Any], _cls: type[Any]) -> None:
    _Models.mapped += 1


class _Criterion(ResolvedCriterion, LoaderCriteriaOption):
    """The condition that `with_loader_criteria` would add to each table, its aliases and its joins."""

    inherit_cache = False  # no statement contains it: statements contain the option

    def __init__(self, tenant: BindParameter[UUID]) -> None:
        self.tenant = tenant
        self.root_entity, self.entity = TenantScoped, None
        self.include_aliases = self.propagate_to_loaders = True
        # SQLAlchemy asks for each UPDATE and DELETE, compiled or not; they usually repeat a model.
        self._last: tuple[Any, ColumnElement[bool] | None] = (None, None)

    def condition(self, entity: Any) -> ColumnElement[bool]:
        """Make the condition on a model or an alias."""
        last, condition = self._last
        if last is not entity or condition is None:
            column = getattr(entity.entity, cast("str", attribute(entity.mapper.class_)))
            condition = cast("ColumnElement[bool]", column == self.tenant)
            if entity.is_mapper:
                self._last = entity, condition
        return condition


class TenantOption(ParameterCacheKey, CriteriaOption):
    """The statement option that adds the tenant criterion to each model, with aliases and subqueries.

    Args:
        tenant_id: the tenant.
    """

    def __init__(self, tenant_id: UUID) -> None:
        self.tenant_id = tenant_id
        self.parameter = bindparam("tenant_id", tenant_id, Uuid(), unique=True)
        self._criterion = _Criterion(self.parameter)

    def process_compile_state(self, compile_state: Any) -> None:
        """Add the criteria; SQLAlchemy calls it when it compiles a statement."""
        self.get_global_criteria(compile_state.global_attributes)

    def process_compile_state_replaced_entities(self, compile_state: Any, _entities: Any) -> None:
        """Add the criteria; SQLAlchemy calls it for a statement with replaced columns."""
        self.process_compile_state(compile_state)

    def get_global_criteria(self, attributes: MutableMapping[Any, Any]) -> None:
        """Add the criteria for the whole statement; for UPDATE and DELETE SQLAlchemy calls it at each execution."""
        keys = tenant_keys()
        if keys.isdisjoint(attributes):
            attributes.update(zip(keys, map(list, repeat((self._criterion,))), strict=False))
        else:
            for key in keys:
                attributes.setdefault(key, []).append(self._criterion)

    def single_table_condition(self, statement: Any) -> ColumnElement[bool] | None:
        """Return the condition for an UPDATE or DELETE that reads only its own table; None if it may read another.

        Such a statement does not need the option, which SQLAlchemy would call several times.
        """
        entity = entity_of(statement.table)
        if (
            entity is None
            or not entity.is_mapper
            or is_extended(statement)
            or attribute(entity.class_) is None
        ):
            return None
        elements = [*conditions_of(statement), *values_of(statement).values()]
        while elements:
            element = elements.pop()
            if isinstance(element, BindParameter):
                continue
            if not isinstance(element, ColumnElement):
                return None
            if entity_of(element, entity) is not entity:
                return None
            if not isinstance(element, ColumnClause):
                elements += element.get_children()
            elif entity_of(element) is None:  # a column of a table outside the ORM
                return None
        return self._criterion.condition(entity)

    def other_conditions(self, statement: Any) -> Iterator[ColumnElement[bool]]:
        """Make the conditions on the models that an UPDATE or DELETE reads besides the table it writes.

        SQLAlchemy adds criteria only to the table that the statement writes.
        """
        seen = {None, entity_of(statement.table)}
        elements = [*conditions_of(statement), *values_of(statement).values()]
        while elements:
            element = elements.pop()
            entity = entity_of(element)
            if entity not in seen:
                seen.add(entity)
                if attribute(entity.mapper.class_) is not None:
                    yield self._criterion.condition(entity)
            # Subqueries are not column expressions: they get the criteria of their own models.
            if isinstance(element, ColumnElement) and not isinstance(element, (ColumnClause, BindParameter)):
                elements += element.get_children()


@lru_cache(maxsize=1024)
def option_for(tenant_id: UUID) -> TenantOption:
    """Return the option of a tenant. It is cached: it costs more than a session, and depends only on the tenant."""
    return TenantOption(tenant_id)


def add_tenant(state: ORMExecuteState, option: TenantOption) -> None:
    """Restrict the statement that a session is about to execute to the tenant.

    Raises:
        ForeignTenant: the statement writes a row of another tenant.
        TransactionControl: a textual statement ends the transaction, or changes its tenant or role.
    """
    statement: Any = state.statement
    if isinstance(statement, TextClause):
        transaction.check(statement.text, tenant=True)
        return
    if isinstance(statement, LambdaElement):
        statement = resolve_lambda(statement)
    if not state.is_orm_statement:
        # The models of a subquery get the option from the enclosing statement.
        if not isinstance(statement, (SelectBase, UpdateBase)):
            return
    elif statement.is_dml:
        if state.is_update and _is_by_key(state):
            flush.add_tenant(state, statement, option.tenant_id)
            return
        condition = (
            option.single_table_condition(statement) if isinstance(statement, (Update, Delete)) else None
        )
        if condition is not None:
            state.statement = statement.where(condition)
            return
        statement = _with_dml_tenant(state, statement, option)
    elif _is_key_lookup(state, statement, option.tenant_id) or state.is_column_load:
        # The key of the row includes the tenant.
        return
    state.statement = _with_option(statement, option)


def _with_dml_tenant(state: ORMExecuteState, statement: Any, option: TenantOption) -> Any:
    """Add the tenant to the rows of an INSERT, or the conditions on other tables to an UPDATE or DELETE."""
    if statement.is_from_statement:  # select(Model).from_statement(insert(Model)…)
        return replace_element(statement, _with_dml_tenant(state, statement.element, option))
    if state.is_insert:
        return flush.add_tenant(state, statement, option.tenant_id)
    conditions = tuple(option.other_conditions(statement))
    return statement.where(*conditions) if conditions else statement


def _is_key_lookup(state: ORMExecuteState, statement: Any, tenant_id: UUID) -> bool:
    """Whether a statement looks up one row by its whole key, with this tenant: `get()` and lazy loads."""
    conditions = conditions_of(statement)
    mapper = state.bind_mapper
    return (
        len(conditions) == 1
        and mapper is not None
        and is_key_lookup(mapper, conditions[0])
        and isinstance(state.parameters, dict)
        and tenant_id in state.parameters.values()
        # Options may join other tables to the row.
        and not options_of(statement)
    )


def _with_option(statement: Any, option: TenantOption) -> Any:
    """Add the option of this tenant to a statement, and remove the options of other tenants."""
    present = options_of(statement)
    if not present:
        return statement.options(option)
    # Relationship loaders copy the options of the statement that loaded their objects.
    if option in present:
        return statement
    others = [other for other in present if not isinstance(other, TenantOption)]
    if len(others) < len(present):
        statement = replace_options(statement, others)
    return statement.options(option)


def _is_by_key(state: ORMExecuteState) -> bool:
    """Whether an UPDATE has a list of rows, which SQLAlchemy finds by their key."""
    strategy = state.execution_options.get("dml_strategy", "auto")
    return isinstance(state.parameters, (list, tuple)) and strategy in {"auto", "bulk"}
