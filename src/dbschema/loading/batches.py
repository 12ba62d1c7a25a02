"""Blocks of rows, made ready to be sent: defaults filled in, the tenant checked, every value encoded.

What is wrong is collected by row and column. Once a row is wrong nothing more is sent, but the rest of the input is
still read, so that the error can name what else is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from uuid_utils import uuid7

from dbschema.ddl.tenancy import TENANT_SETTING
from dbschema.loading.errors import BadRows, Problem
from dbschema.loading.fields import OMITTED, TENANT, Context, Field, Maker, Omitted, Shape
from dbschema.loading.values import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dbschema.loading.reading import Columns, Reader


@dataclass(frozen=True)
class EncodedBatch:
    """A block that can be sent.

    Args:
        fields: its columns, after the number of the row.
        marks_omissions: whether a column with the marks of what rows omit comes last.
        rows: the encoded rows.
        first: the number of its first row.
        last: the number of its last row.
        size: about how much memory its values take: their bytes and characters.
    """

    fields: tuple[Field, ...]
    marks_omissions: bool
    rows: Iterable[Sequence[Any]]
    first: int
    last: int
    size: int


class BatchEncoder:
    """Packs blocks, and knows afterwards which columns came and how many rows.

    Args:
        shape: the model.
        reader: reads the rows of a block.
        limit: how many problems are told.
        same_columns: every row has to bring the columns of the first.
    """

    def __init__(self, shape: Shape, reader: Reader, *, limit: int, same_columns: bool) -> None:
        self._shape, self._reader, self._limit = shape, reader, limit
        self._same_columns = same_columns
        self._problems: list[Problem] = []
        self._staged = [item for item in shape.fields if item.maker is not None and not shape.is_fixed(item)]
        for item in self._staged:
            item.staged_from = 1
        self._marks_omissions = False
        self.count = 0

    @property
    def staged(self) -> tuple[Field, ...]:
        """The columns that have been sent."""
        return tuple(self._staged)

    def pack(self, blocks: Iterable[Sequence[Any]]) -> Iterator[EncodedBatch]:
        """Each block, packed.

        Raises:
            BadRows: at the end of the input, or as soon as enough rows are known to be wrong.
        """
        for rows in blocks:
            first = self.count + 1
            self.count += len(rows)
            packed = self._block(rows, first)
            if len(self._problems) > self._limit:
                break
            if packed is not None and not self._problems:
                yield packed
        if self._problems:
            self._problems.sort(key=lambda problem: problem.row)
            raise BadRows(
                self._shape.table.name,
                self._problems[: self._limit],
                more=len(self._problems) > self._limit,
            )

    def _block(self, rows: Sequence[Any], first: int) -> EncodedBatch | None:
        columns, problems = self._reader.read(rows, first)
        self._problems += problems
        if self._same_columns:
            self._check_same(columns, first)
        self._stage(columns, first)
        self._check_tenant(columns, len(rows), first)
        context = Context(columns)
        marks = _Marks(len(rows), len(self._shape.fields))
        encoded: list[Sequence[Any]] = [range(first, first + len(rows))]
        for item in self._staged:
            values = columns.get(item)
            if values is None and item.makes_ids:
                encoded.append([uuid7().bytes for _ in rows])
                continue
            if values is None:
                values = (OMITTED,) * len(rows)
            omits = Omitted in set(map(type, values))
            if omits and item.maker is not None:
                values, omits = _made(item.maker, values, context), False
            if omits and item.sql_default is not None:
                marks.add(item, values)
            encoded.append(self._encoded(item, values, first, omits=omits))
        self._marks_omissions = self._marks_omissions or marks.there
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
        """Take columns along that no row before `first` has brought."""
        for item in columns:
            item.given = True
            if not item.staged_from and not self._shape.is_fixed(item):
                item.staged_from = first
                self._staged.append(item)

    def _encoded(self, item: Field, values: Sequence[Any], first: int, *, omits: bool) -> Sequence[Any]:
        try:
            if not omits:
                return item.encoder.many(values)
            there = iter(item.encoder.many([value for value in values if value is not OMITTED]))
            return [None if value is OMITTED else next(there) for value in values]
        except Refused:
            pass
        for index, value in enumerate(values):
            if value is OMITTED or (value is None and not item.encoder.none_is_data):
                continue
            try:
                item.encoder.one(value)
            except Refused as refused:
                self._problems.append(Problem(first + index, item.name, str(refused)))
        return ()

    def _check_tenant(self, columns: Columns, count: int, first: int) -> None:
        """Refuse a row of another tenant, here already; the policy refuses it once more."""
        if not self._shape.is_of_tenant:
            return
        item = self._shape.names[TENANT]
        values = columns.get(item, (OMITTED,) * count)
        tenant = self._shape.tenant
        if tenant is not None and all(value == tenant for value in values if value is not OMITTED):
            return
        for index, value in enumerate(values):
            named = None if value is OMITTED else value
            if named is None and tenant is None:
                reason = f"is not given, and the session has set no {TENANT_SETTING}"
            elif named is None or tenant is None:
                continue
            else:
                try:
                    reason = "" if item.encoder.one(named) == tenant.bytes else "is not the session's tenant"
                except Refused as refused:
                    reason = str(refused)
            if reason:
                self._problems.append(Problem(first + index, item.name, reason))

    def _check_same(self, columns: Columns, first: int) -> None:
        """Refuse a row that brings other columns than the first one: an upsert would have to guess what is meant."""
        wanted = {item for item in self._shape.fields if item.given} if first > 1 else set(columns)
        for item in self._shape.fields:
            values = columns.get(item)
            if item in wanted and values is None:
                self._problems.append(Problem(first, item.name, "is missing, and an earlier row has it"))
            elif item not in wanted and values is not None:
                self._problems.append(Problem(first, item.name, "is given, and row 1 has it not"))
            elif values is not None and Omitted in set(map(type, values)):
                index = next(place for place, value in enumerate(values) if value is OMITTED)
                self._problems.append(Problem(first + index, item.name, "is missing, and another row has it"))


def _made(maker: Maker, values: Sequence[Any], context: Context) -> list[Any]:
    """The column with the model's default where a row brings nothing."""
    made = []
    for index, value in enumerate(values):
        if value is OMITTED:
            context.index = index
            made.append(maker(context))
        else:
            made.append(value)
    return made


class _Marks:
    """Which columns the rows of a block leave to the database's defaults: a bit for each column of the table."""

    def __init__(self, rows: int, columns: int) -> None:
        self._bits = [0] * rows
        self._length = (columns + 7) // 8
        self.there = False

    def add(self, item: Field, values: Sequence[Any]) -> None:
        """Mark the rows that bring nothing for a column."""
        item.omitted = self.there = True
        for index, value in enumerate(values):
            if value is OMITTED:
                self._bits[index] |= 1 << item.number

    def encoded(self) -> list[bytes | None]:
        """The bits of each row as PostgreSQL's get_bit() counts them."""
        return [bits.to_bytes(self._length, "little") if bits else None for bits in self._bits]
