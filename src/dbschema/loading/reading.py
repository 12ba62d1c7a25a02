"""Turn blocks of rows into columns: mappings, instances of the model, or tuples with the names of their columns.

In most inputs all rows have the same keys. A few calls transpose such a block; any other block is read row by row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import inspect
from sqlalchemy.orm import InstanceState

from dbschema.loading.errors import Problem, unknown_columns
from dbschema.loading.fields import OMITTED, Field, Shape

if TYPE_CHECKING:
    from sqlalchemy.orm import Mapper

Columns: TypeAlias = dict[Field, Sequence[Any]]
"""The values of each column, one for each row of a block; `OMITTED` if a row does not name the column."""


class Reader:
    """Reads blocks of rows.

    Args:
        shape: the columns of the model.
        columns: the names of the columns, for rows that are tuples.

    Raises:
        WrongCall: `columns` names an unknown column, or a column twice.
    """

    def __init__(self, shape: Shape, columns: Sequence[str] | None) -> None:
        self._shape = shape
        self._known: dict[tuple[Any, ...], tuple[Field, ...] | None] = {}
        self._columns: tuple[str, ...] | None = None
        if columns is not None:
            self._columns = tuple(columns)
            if self._fields(self._columns) is None:
                wrong = [
                    name
                    for place, name in enumerate(self._columns)
                    if self._rejection_reason(name) or name in self._columns[:place]
                ]
                raise unknown_columns(shape.table.name, wrong or self._columns, shape.settable)

    def read(self, rows: Sequence[Any], first: int) -> tuple[Columns, list[Problem]]:
        """Return the columns of a block and the problems of rows that cannot be read; `first` numbers the first row."""
        columns = self._tuples(rows) if self._columns is not None else self._mappings(rows)
        return (columns, []) if columns is not None else self._row_by_row(rows, first)

    def _tuples(self, rows: Sequence[Any]) -> Columns | None:
        assert self._columns is not None  # noqa: S101  the caller checks it
        if not set(map(type, rows)) <= {tuple, list} or set(map(len, rows)) != {len(self._columns)}:
            return None
        fields = self._fields(self._columns)
        return None if fields is None else dict(zip(fields, zip(*rows, strict=True), strict=True))

    def _mappings(self, rows: Sequence[Any]) -> Columns | None:
        if set(map(type, rows)) != {dict}:
            return None
        keys = tuple(rows[0])
        fields = self._fields(keys)
        if not fields or set(map(len, rows)) != {len(keys)}:
            return None
        try:
            if len(keys) == 1:
                return {fields[0]: [row[keys[0]] for row in rows]}
            return dict(zip(fields, zip(*map(itemgetter(*keys), rows), strict=True), strict=True))
        except KeyError:
            return None

    def _fields(self, keys: tuple[Any, ...]) -> tuple[Field, ...] | None:
        """Return the columns of these names; None if a name is unknown or two names mean the same column."""
        if keys not in self._known:
            fields = [self._shape.names.get(key) for key in keys]
            valid = len(set(fields)) == len(fields) and not any(map(self._rejection_reason, keys))
            self._known[keys] = tuple(item for item in fields if item is not None) if valid else None
        return self._known[keys]

    def _rejection_reason(self, name: Any) -> str | None:
        """Return the reason why a row cannot set this name; None if it can."""
        if name in self._shape.mapper.relationships:
            return "is a relationship: set the columns of its key"
        item = self._shape.names.get(name)
        if item is None:
            return f"is no column or attribute of {self._shape.table.name}"
        return "is set by the database alone" if item.target.always else None

    def _row_by_row(self, rows: Sequence[Any], first: int) -> tuple[Columns, list[Problem]]:
        columns: dict[Field, list[Any]] = {}
        problems: list[Problem] = []
        for index, row in enumerate(rows):
            try:
                for name, value in self._items(row):
                    if reason := self._rejection_reason(name):
                        problems.append(Problem(first + index, str(name)[:63], reason))
                        continue
                    item = self._shape.names[name]
                    values = columns.get(item)
                    if values is None:
                        values = columns[item] = [OMITTED] * len(rows)
                    if values[index] is not OMITTED:
                        problems.append(Problem(first + index, item.name, "is set twice"))
                    values[index] = value
            except _InvalidRow as wrong:
                problems.append(Problem(first + index, None, str(wrong)))
        return dict(columns), problems

    def _items(self, row: Any) -> Iterator[tuple[Any, Any]]:
        """Iterate over the names and values of a row.

        Raises:
            _InvalidRow: it is not a row.
        """
        if self._columns is not None:
            if not isinstance(row, Sequence) or isinstance(row, (str, bytes)):
                raise _InvalidRow(f"is not a tuple but of type {type(row).__name__}")
            if len(row) != len(self._columns):
                raise _InvalidRow(f"has {len(row)} values for {len(self._columns)} columns")
            yield from zip(self._columns, row, strict=True)
        elif isinstance(row, Mapping):
            yield from row.items()
        else:
            yield from self._attributes(row)

    def _attributes(self, row: Any) -> Iterator[tuple[str, Any]]:
        """Iterate over the attributes that are set in an instance of the model."""
        state = inspect(row, raiseerr=False)
        mapper = self._shape.mapper
        if not isinstance(state, InstanceState) or not _is_of(state.mapper, mapper):
            kind = (
                "a tuple needs 'columns'" if isinstance(row, tuple) else f"it is of type {type(row).__name__}"
            )
            raise _InvalidRow(f"is neither a mapping nor an instance of {mapper.class_.__name__}: {kind}")
        if state.session_id is not None:
            raise _InvalidRow("is an object of a session, which would write it a second time")
        held = state.dict
        for relationship in mapper.relationships:
            if held.get(relationship.key):
                raise _InvalidRow(
                    f"holds other objects as {relationship.key!r}, which are not loaded: set the columns of the key"
                )
        for prop in mapper.column_attrs:
            item = self._shape.names.get(prop.key)
            # A value that the database alone sets may come from another database.
            if prop.key in held and item is not None and not item.target.always:
                yield prop.key, held[prop.key]


def _is_of(mapper: Mapper[Any], expected: Mapper[Any]) -> bool:
    return mapper.isa(expected) and mapper.local_table is expected.local_table


class _InvalidRow(Exception):
    """An element of the input that is not a row of the model."""
