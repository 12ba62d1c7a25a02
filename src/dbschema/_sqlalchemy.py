"""Wrap each private name of SQLAlchemy in a typed function or class.

No other module uses a private name of SQLAlchemy or GeoAlchemy2. For each wrapper, tests/test_sqlalchemy_private.py tests
the behaviour that this package relies on: a release of SQLAlchemy that changes it fails there first.

This module does not import `sqlalchemy.orm`: `dbschema.ddl` imports it and needs Core only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.dialects.postgresql.base import PGDDLCompiler
from sqlalchemy.engine.mock import MockConnection
from sqlalchemy.util import await_only

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlalchemy import BindParameter, ColumnElement, Dialect
    from sqlalchemy.orm import Mapper

__all__ = [
    "MetadataConnection",
    "PGDDLCompiler",
    "ParameterCacheKey",
    "ResolvedCriterion",
    "await_only",
    "conditions_of",
    "criteria_key",
    "entity_of",
    "has_order_by",
    "is_extended",
    "is_key_lookup",
    "is_part_of_metadata",
    "json_serializer",
    "offline_dialect",
    "options_of",
    "replace_element",
    "replace_options",
    "replace_rows",
    "resolve_lambda",
    "rows_of_values",
    "values_of",
]

_LEARNED = (
    "server_version_info",
    "default_schema_name",
    "supports_smallserial",
    "supports_identity_columns",
    "supports_virtual_generated_columns",
    "_backslash_escapes",
)


class MetadataConnection(MockConnection):
    """A connection without a database: it passes each statement of `create_all()` to a function.

    Private: the class and its constructor (since SQLAlchemy 1.4). The public `create_mock_engine()` makes the dialect from
    a URL; here the dialect of a real server is necessary.

    Args:
        dialect: compiles the statements.
        execute: receives each statement.
    """

    def __init__(self, dialect: Dialect, execute: Callable[..., Any]) -> None:
        super().__init__(dialect, execute)


def offline_dialect(initialised: Dialect) -> Any:
    """Create a dialect that compiles as `initialised` does, for statements that are sent without parameters.

    Percent signs stay single, because no driver formats the statements, and no index is created CONCURRENTLY.

    Private: `_backslash_escapes` (since 0.9), which the dialect reads from the server, and
    `_supports_create_index_concurrently` (since 1.4), the only switch for CONCURRENTLY.
    """
    dialect: Any = psycopg.dialect(paramstyle="named")  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    for name in _LEARNED:
        if hasattr(initialised, name):
            setattr(dialect, name, getattr(initialised, name))
    dialect._supports_create_index_concurrently = False
    return dialect


def json_serializer(dialect: Dialect) -> Callable[[Any], str] | None:
    """Return the `json_serializer` that the engine was created with; None for the default.

    Private: `_json_serializer` (since 1.3). `create_engine()` takes the function; no public name returns it.
    """
    serializer: Callable[[Any], str] | None = getattr(dialect, "_json_serializer", None)
    return serializer


def is_part_of_metadata(context: Mapping[str, Any]) -> bool:
    """Return whether a DDL event of a table belongs to a `create_all()` or `drop_all()` of its metadata.

    Private: the keyword `_is_metadata_operation` of the event (since 0.9). No public keyword distinguishes the two cases.

    Args:
        context: the keywords of the event.
    """
    return bool(context.get("_is_metadata_operation"))


# --- statements ---


def options_of(statement: Any) -> tuple[Any, ...]:
    """Return all options of a statement.

    Private: `_with_options` (since 1.4). `ORMExecuteState.user_defined_options` omits internal options.
    """
    options: tuple[Any, ...] = statement._with_options
    return options


def replace_options(statement: Any, options: Iterable[Any]) -> Any:
    """Return a copy of a statement with its options replaced.

    Private: `_generate()` and `_with_options` (since 1.4). `options()` appends and cannot remove.
    """
    copy = statement._generate()
    copy._with_options = tuple(options)
    return copy


def replace_element(statement: Any, element: Any) -> Any:
    """Return a copy of `select(Model).from_statement(element)` around another element.

    Private: `_generate()` (since 1.4). A `FromStatement` has no public method for it.
    """
    copy = statement._generate()
    copy.element = element
    return copy


def is_extended(statement: Any) -> bool:
    """Return whether an UPDATE or DELETE has options, RETURNING or common table expressions.

    Private: `_with_options`, `_returning` and `_independent_ctes` (since 1.4). The public names compile or copy them.
    """
    return bool(statement._with_options or statement._returning or statement._independent_ctes)


def conditions_of(statement: Any) -> tuple[ColumnElement[Any], ...]:
    """Return the conditions of WHERE as a tuple; empty if the kind of statement has no WHERE.

    Private: `_where_criteria` (since 1.4). The public `whereclause` joins them into a new element on each call.
    """
    conditions: tuple[ColumnElement[Any], ...] = getattr(statement, "_where_criteria", ())
    return conditions


def values_of(statement: Any) -> Mapping[Any, Any]:
    """Return the values that `values()` set in an INSERT or UPDATE, by column; empty if there are none, or for a DELETE.

    Private: `_values` (since 1.4). SQLAlchemy has no public name for them.
    """
    return getattr(statement, "_values", None) or {}


def rows_of_values(statement: Any) -> tuple[Sequence[Any], ...]:
    """Return the rows that `values([...])` added to an INSERT, a list for each call; empty for a single row or none.

    Private: `_multi_values` (since 1.4). SQLAlchemy has no public name for them.
    """
    rows: tuple[Sequence[Any], ...] = statement._multi_values
    return rows


def replace_rows(statement: Any, rows: Iterable[Sequence[Any]]) -> Any:
    """Return a copy of an INSERT with these rows after VALUES, in the form of `rows_of_values`.

    Private: `_generate()` and `_multi_values` (since 1.4). `values()` appends and cannot replace.
    """
    copy = statement._generate()
    copy._multi_values = tuple(rows)
    return copy


def resolve_lambda(statement: Any) -> Any:
    """Return the statement that a `lambda_stmt()` makes.

    Private: `_resolved` (since 1.4). A lambda accepts no options, and has no public name for its statement.
    """
    return statement._resolved


def has_order_by(statement: Any) -> bool:
    """Return whether a statement has ORDER BY; False if the kind of statement cannot have it.

    Private: `_order_by_clauses` (since 1.4). SQLAlchemy has no public name for them.
    """
    return bool(getattr(statement, "_order_by_clauses", ()))


# --- the ORM ---


def entity_of(element: Any, default: Any = None) -> Any:
    """Return the mapper or alias that an element of an ORM statement belongs to.

    Private: `_annotations` and its key `parententity` (since 1.0). SQLAlchemy has no public name for them.

    Args:
        element: a table, column or expression.
        default: the result for an element of SQLAlchemy Core.
    """
    return element._annotations.get("parententity", default)


def is_key_lookup(mapper: Mapper[Any], condition: ColumnElement[Any]) -> bool:
    """Return whether a condition is the mapper's own lookup of a row by its whole key, as in `get()` and lazy loads.

    Private: `_get_clause` (since 0.5), the element that the ORM uses for all of them. Only its identity marks the lookup.
    """
    return condition is mapper._get_clause[0]


def criteria_key(mapper: Mapper[Any]) -> tuple[str, Mapper[Any]]:
    """Return the key of a mapper's additional criteria in the attributes of a statement's compilation.

    Private: the string `additional_entity_criteria` (since 1.4). `with_loader_criteria()` writes it too, but searches the
    mappers of a mixin again for each statement.
    """
    return "additional_entity_criteria", mapper


class ResolvedCriterion:
    """A base of a `LoaderCriteriaOption` with a method for its condition: derive from this class first.

    Private: `_resolve_where_criteria()` (since 1.4). SQLAlchemy's own method annotates the whole condition; a bind
    parameter in it would then be a new one in each statement, and not that of the statement's cache key.
    """

    def condition(self, entity: Any) -> ColumnElement[bool]:
        """Create the condition.

        Args:
            entity: the mapper or alias, as `inspect()` returns it.
        """
        raise NotImplementedError

    def _resolve_where_criteria(self, ext_info: Any) -> ColumnElement[bool]:
        return self.condition(ext_info)


class ParameterCacheKey:
    """A base of a `CriteriaOption` whose cache key is its class and a bind parameter: derive from this class first.

    The compiled statement is the same for all values. Each execution uses the value of its own option, as if the
    parameter were a part of the statement.

    Private: `_gen_cache_key()` of options and parameters (since 1.4). SQLAlchemy has no public way to write a cache key.
    """

    parameter: BindParameter[Any]

    def _gen_cache_key(self, anon_map: Any, bindparams: list[BindParameter[Any]]) -> tuple[Any, ...]:
        parameter: Any = self.parameter
        return type(self), parameter._gen_cache_key(anon_map, bindparams)
