"""Prepare blocks of rows for sending: fill in defaults, check the tenant, encode the values.

Problems are collected by row and column. After the first invalid row nothing more is sent, but the rest of the input is
still read, so that the error can name further invalid rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from uuid_utils import uuid7

from dbschema.ddl.tenancy import TENANT_SETTING
from dbschema.loading.errors import BadRows, Problem
from dbschema.loading.fields import OMITTED, TENANT, Context, Field, Omitted, PythonDefault, Shape
from dbschema.loading.values import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dbschema.loading.reading import Columns, Reader


@dataclass(frozen=True)
class EncodedBatch:
    """A block of encoded rows.

    Args:
        fields: the columns after the first one, which is the number of the row.
        marks_omissions: whether the last column marks the columns that a row omits.
        rows: the encoded rows.
        first: the number of the first row.
        last: the number of the last row.
        size: approximate size in memory: the bytes and characters of the values.
    """

    fields: tuple[Field, ...]
    marks_omissions: bool
    rows: Iterable[Sequence[Any]]
    first: int
    last: int
    size: int


class BatchEncoder:
    """Encodes blocks; records the columns and the number of the rows.

    Args:
        shape: the columns of the model.
        reader: reads the rows of a block.
        limit: the maximum number of problems in an error.
        same_columns: require the columns of the first row in each row.
    """

    def __init__(self, shape: Shape, reader: Reader, *, limit: int, same_columns: bool) -> None:
        self._shape, self._reader, self._limit = shape, reader, limit
        self._same_columns = same_columns
        self._problems: list[Problem] = []
        self._staged = [
            item for item in shape.fields if item.python_default is not None and not shape.is_fixed(item)
        ]
        for item in self._staged:
            item.staged_from = 1
        self._marks_omissions = False
        self.count = 0

    @property
    def staged(self) -> tuple[Field, ...]:
        """The columns of the staging table so far."""
        return tuple(self._staged)

    def encode(self, blocks: Iterable[Sequence[Any]]) -> Iterator[EncodedBatch]:
        """Encode each block.

        Raises:
            BadRows: rows are invalid; raised at the end of the input, or after more than `limit` problems.
        """
        for rows in blocks:
            first = self.count + 1
            self.count += len(rows)
            batch = self._encode_block(rows, first)
            if len(self._problems) > self._limit:
                break
            if batch is not None and not self._problems:
                yield batch
        if self._problems:
            self._problems.sort(key=lambda problem: problem.row)
            raise BadRows(
                self._shape.table.name,
                self._problems[: self._limit],
                more=len(self._problems) > self._limit,
            )

    def _encode_block(self, rows: Sequence[Any], first: int) -> EncodedBatch | None:
        columns, problems = self._reader.read(rows, first)
        self._problems += problems
        if self._same_columns:
            self._check_same_columns(columns, first)
        self._stage(columns, first)
        self._check_tenant(columns, len(rows), first)
        context = Context(columns)
        marks = _Marks(len(rows), len(self._shape.fields))
        encoded: list[Sequence[Any]] = [range(first, first + len(rows))]
        for item in self._staged:
            values = columns.get(item)
            if values is None and item.is_uuid7:
                encoded.append([uuid7().bytes for _ in rows])
                continue
            if values is None:
                values = (OMITTED,) * len(rows)
            omits = Omitted in set(map(type, values))
            if omits and item.python_default is not None:
                values, omits = _with_default(item.python_default, values, context), False
            if omits and item.sql_default is not None:
                marks.add(item, values)
            encoded.append(self._encode_column(item, values, first, omits=omits))
        self._marks_omissions = self._marks_omissions or marks.present
        if self._marks_omissions:
            encoded.append(marks.encoded())
        if self._problems:
            return None
        return EncodedBatch(
            fields=tuple(self._staged),
            marks_omissions=self._marks_omissions,
            rows=zip(*encoded, strict=True),
            first=first,
            last=self.count,
            size=sum(
                sum(map(len, filter(None, values)))
                for item, values in zip(self._staged, encoded[1:], strict=False)
                if item.encoder.wire in ("text", "bytea")
            ),
        )

    def _stage(self, columns: Columns, first: int) -> None:
        """Add the columns that no row before `first` has."""
        for item in columns:
            item.provided = True
            if not item.staged_from and not self._shape.is_fixed(item):
                item.staged_from = first
                self._staged.append(item)

    def _encode_column(self, item: Field, values: Sequence[Any], first: int, *, omits: bool) -> Sequence[Any]:
        try:
            if not omits:
                return item.encoder.encode_column(values)
            present = iter(item.encoder.encode_column([value for value in values if value is not OMITTED]))
            return [None if value is OMITTED else next(present) for value in values]
        except InvalidValue:
            pass  # the loop below finds the rows
        for index, value in enumerate(values):
            if value is OMITTED or (value is None and not item.encoder.none_is_data):
                continue
            try:
                item.encoder.encode(value)
            except InvalidValue as error:
                self._problems.append(Problem(first + index, item.name, str(error)))
        return ()

    def _check_tenant(self, columns: Columns, count: int, first: int) -> None:
        """Reject rows of another tenant before they are sent; the policy rejects them too."""
        if not self._shape.is_of_tenant:
            return
        item = self._shape.names[TENANT]
        values = columns.get(item, (OMITTED,) * count)
        tenant = self._shape.tenant
        if tenant is not None and all(value == tenant for value in values if value is not OMITTED):
            return
        for index, value in enumerate(values):
            row_tenant = None if value is OMITTED else value
            if row_tenant is None and tenant is None:
                reason = f"is missing, and the session has not set {TENANT_SETTING}"
            elif row_tenant is None or tenant is None:
                continue
            else:
                try:
                    same = item.encoder.encode(row_tenant) == tenant.bytes
                    reason = "" if same else "is not the session's tenant"
                except InvalidValue as error:
                    reason = str(error)
            if reason:
                self._problems.append(Problem(first + index, item.name, reason))

    def _check_same_columns(self, columns: Columns, first: int) -> None:
        """Reject rows with other columns than the first row: an upsert could not tell which columns to change."""
        expected = {item for item in self._shape.fields if item.provided} if first > 1 else set(columns)
        for item in self._shape.fields:
            values = columns.get(item)
            if item in expected and values is None:
                self._problems.append(Problem(first, item.name, "is missing, and an earlier row has it"))
            elif item not in expected and values is not None:
                self._problems.append(Problem(first, item.name, "is present, and row 1 does not have it"))
            elif values is not None and Omitted in set(map(type, values)):
                index = next(place for place, value in enumerate(values) if value is OMITTED)
                self._problems.append(Problem(first + index, item.name, "is missing, and another row has it"))


def _with_default(python_default: PythonDefault, values: Sequence[Any], context: Context) -> list[Any]:
    """Replace the omitted values of a column by the model's default."""
    completed = []
    for index, value in enumerate(values):
        if value is OMITTED:
            context.index = index
            completed.append(python_default(context))
        else:
            completed.append(value)
    return completed


class _Marks:
    """The columns that each row of a block leaves to the database's defaults: one bit for each column of the table."""

    def __init__(self, rows: int, columns: int) -> None:
        self._bits = [0] * rows
        self._length = (columns + 7) // 8
        self.present = False

    def add(self, item: Field, values: Sequence[Any]) -> None:
        """Mark the rows that omit a column."""
        item.omitted = self.present = True
        for index, value in enumerate(values):
            if value is OMITTED:
                self._bits[index] |= 1 << item.number

    def encoded(self) -> list[bytes | None]:
        """The bits of each row, in the order of PostgreSQL's get_bit(); None for a row without marks."""
        return [bits.to_bytes(self._length, "little") if bits else None for bits in self._bits]
