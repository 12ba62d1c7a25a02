"""From the input through the staging table into the table: small loads in one statement, large ones in portions.

While the server writes a portion, the next one is read and encoded here, so that client and server are busy together.
Portions lie in one transaction and behind one savepoint, and all of them are taken back if one fails.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from dbschema.ddl.registry import executable
from dbschema.loading.diagnosis import RowDiagnosis, may_be_of_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from dbschema.loading.batches import EncodedBatch
    from dbschema.loading.staging import Staging
    from dbschema.loading.writing import Writing

PORTION = 10_000
"""How many rows are the first portion, and all until `_SHARE` of them are there."""

AHEAD = 4_000_000
"""How many characters and bytes of rows are encoded ahead, while the server writes those before them."""

# Each portion is a subtransaction, and PostgreSQL keeps up to 64 of them at hand: the later ones grow with the load.
_SHARE = 24


@dataclass
class Transfer:
    """One load.

    Args:
        connection: the session's.
        staging: the staging table.
        blocks: the rows, packed.
        writing: tells what is written, of the columns that have been staged until then.
        in_portions: whether portions come to the same as one statement.
        sent: is told the number of the last row that was sent.
        limit: how many bad rows an error names.
    """

    connection: Connection
    staging: Staging
    blocks: Iterator[EncodedBatch]
    writing: Callable[[], Writing]
    in_portions: bool
    sent: Callable[[int], object]
    limit: int
    _ahead: list[EncodedBatch] = field(default_factory=list)
    _last: int = 0
    _ended: bool = False

    def run(self, before_the_end: Callable[[], object]) -> int:
        """Take all rows into the table; gives how many were written.

        Args:
            before_the_end: called when all rows are sent and the last of them are about to be written.

        Raises:
            BadRows: rows are wrong.
        """
        written = 0
        while True:
            first = self._last + 1
            self.staging.fill(self._portion(), self.sent)
            if self._ended:
                before_the_end()
                return written + (self._write(first, whole=first == 1) if self._last >= first else 0)
            written += self._write(first)

    def _portion(self) -> Iterator[EncodedBatch]:
        """The blocks of the next portion, or all that are left."""
        enough = self._last + max(PORTION, self._last // _SHARE)
        ahead, self._ahead = self._ahead, []
        for block in chain(ahead, self.blocks):
            self._last = block.last
            yield block
            if self.in_portions and block.last >= enough:
                return
        self._ended = True

    def _write(self, first: int, *, whole: bool = False) -> int:
        """Take what has been staged from row `first` on into the table."""
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
            # A lost connection has taken its transaction along.
            if savepoint.is_active and not self.connection.invalidated:
                savepoint.rollback()
            if not isinstance(error, DBAPIError) or error.connection_invalidated or not may_be_of_rows(error):
                raise
            failed = error
        else:
            savepoint.commit()
            return written
        # Neither `from failed` nor within `except`: PostgreSQL's own words may quote the row.
        raise self._explained(failed, first)

    def _read_ahead(self) -> None:
        held = 0
        rows = max(PORTION, self._last // _SHARE)
        for block in self.blocks:
            self._ahead.append(block)
            held += block.size
            if held >= AHEAD or block.last - self._last >= rows:
                return

    def _explained(self, error: DBAPIError, first: int) -> Exception:
        """What is wrong with which rows, of all that come from row `first` on."""
        if not self._ended:
            self.in_portions = False
            self.staging.fill(self._portion(), self.sent)
        return RowDiagnosis(self.connection, self.writing(), first, self._last, self.limit).explain(error)
