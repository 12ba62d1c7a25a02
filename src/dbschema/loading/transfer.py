"""Move rows from the input through the staging table into the table, in one statement or in portions.

Large loads are written in portions. While the server writes a portion, the client reads and encodes the next one. All
portions belong to one transaction and one savepoint, and are rolled back if a portion fails.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from dbschema.ddl.registry import executable
from dbschema.loading.diagnosis import RowDiagnosis, may_be_caused_by_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from dbschema.loading.batches import EncodedBatch
    from dbschema.loading.staging import Staging
    from dbschema.loading.writing import Writing

PORTION = 10_000
"""The number of rows of the first portion, and of each one until `_SHARE` of them are sent."""

AHEAD = 4_000_000
"""The number of characters and bytes that are encoded ahead while the server writes a portion."""

# Later portions grow with the load: each is a subtransaction, and PostgreSQL caches only 64 of them.
_SHARE = 24


@dataclass
class Transfer:
    """A load.

    Args:
        connection: the session's connection.
        staging: the staging table.
        blocks: the encoded rows.
        writing: makes the INSERT for the columns in the staging table so far.
        in_portions: whether portions have the same result as one statement.
        on_sent: called with the number of the last row that was sent.
        limit: the maximum number of bad rows in an error.
    """

    connection: Connection
    staging: Staging
    blocks: Iterator[EncodedBatch]
    writing: Callable[[], Writing]
    in_portions: bool
    on_sent: Callable[[int], object]
    limit: int
    _ahead: list[EncodedBatch] = field(default_factory=list)
    _last: int = 0
    _ended: bool = False

    def run(self, before_last_write: Callable[[], object]) -> int:
        """Write all rows into the table; return the number of written rows.

        Args:
            before_last_write: called when all rows are sent, before the last ones are written.

        Raises:
            BadRows: rows are invalid.
        """
        written = 0
        while True:
            first = self._last + 1
            self.staging.fill(self._portion(), self.on_sent)
            if self._ended:
                before_last_write()
                return written + (self._write(first, whole=first == 1) if self._last >= first else 0)
            written += self._write(first)

    def _portion(self) -> Iterator[EncodedBatch]:
        """Iterate over the blocks of the next portion, or over all remaining blocks."""
        enough = self._last + max(PORTION, self._last // _SHARE)
        ahead, self._ahead = self._ahead, []
        for block in chain(ahead, self.blocks):
            self._last = block.last
            yield block
            if self.in_portions and block.last >= enough:
                return
        self._ended = True

    def _write(self, first: int, *, whole: bool = False) -> int:
        """Write the staged rows from row `first` on into the table."""
        writing = self.writing()
        writing.check()
        if whole:
            statement = writing.statement()
        else:
            rows = self.staging.latest(first, self._last)
            statement = writing.statement(first, self._last, rows)
        savepoint = self.connection.begin_nested()
        try:
            if self._ended:
                written = self.connection.execute(executable(statement)).rowcount
            else:
                written = self.staging.execute(statement, self._read_ahead)
        except BaseException as error:
            # The transaction of a lost connection has ended.
            if savepoint.is_active and not self.connection.invalidated:
                savepoint.rollback()
            if (
                not isinstance(error, DBAPIError)
                or error.connection_invalidated
                or not may_be_caused_by_row(error)
            ):
                raise
            failed = error
        else:
            savepoint.commit()
            return written
        # Neither `from failed` nor within `except`: PostgreSQL's message may quote the row.
        raise self._diagnosed(failed, first)

    def _read_ahead(self) -> None:
        held = 0
        rows = max(PORTION, self._last // _SHARE)
        for block in self.blocks:
            self._ahead.append(block)
            held += block.size
            if held >= AHEAD or block.last - self._last >= rows:
                return

    def _diagnosed(self, error: DBAPIError, first: int) -> Exception:
        """Return the error that names the invalid rows, among all rows from `first` on."""
        if not self._ended:
            self.in_portions = False
            self.staging.fill(self._portion(), self.on_sent)
        return RowDiagnosis(self.connection, self.writing(), first, self._last, self.limit).explain(error)
