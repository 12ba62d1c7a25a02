"""Adopt a database that other tools have built: record the newest revision if the database equals the models."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dbschema import connect
from dbschema.migrations import alembic_executor, lock, preflight
from dbschema.migrations.errors import BrokenScripts, not_at_head, nothing_to_adopt
from dbschema.migrations.history import History, revision_names
from dbschema.migrations.preflight import relations
from dbschema.migrations.timeouts import Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from sqlalchemy import URL, Connection, MetaData

    from dbschema.catalog import Difference

_KINDS_WITHOUT_TABLE: Final = (
    "enum",
    "domain",
    "composite type",
    "range type",
    "function",
    "procedure",
    "aggregate",
)

log: Final = logging.getLogger("dbschema.migrations")


@dataclass(frozen=True)
class Baseline:
    """The result of an adoption.

    Args:
        place: the database.
        revision: the head of the revision scripts.
        differences: the differences that the comparison found; with any difference, nothing was recorded.
        recorded: whether the revision was recorded now; also False if the database had it before.
    """

    place: str
    revision: str
    differences: tuple[Any, ...]
    recorded: bool


def without_foreign(differences: Iterable[Difference], metadata: MetaData) -> tuple[Difference, ...]:
    """Remove the differences of tables, views, types and functions that belong to other programs in the same schema.

    Extra objects on a table of `metadata` stay: a policy, a trigger or a grant there changes the behaviour of the models.

    Args:
        differences: the result of `dbschema.catalog.check`.
        metadata: the models.
    """
    ours = {(table.schema, table.name) for table in metadata.tables.values()}

    def foreign(difference: Difference) -> bool:
        identity = difference.identity
        if difference.change != "extra":
            return False
        if identity.table:
            return (identity.schema, identity.table) not in ours
        return difference.kind in _KINDS_WITHOUT_TABLE

    return tuple(difference for difference in differences if not foreign(difference))


def baseline(
    target: connect.Settings | URL | str,
    compare: Callable[[Connection], Sequence[Any]],
    *,
    on_wait: Callable[[str], None] | None = None,
    location: Path | None = None,
    timeouts: Timeouts | None = None,
) -> Baseline:
    """Record the newest revision in a database that already has its objects, if `compare` finds no difference.

    The comparison and the record are one transaction under the migration lock, so that the database cannot change between
    them. Changes nothing else.

    Args:
        target: the database.
        compare: returns the differences, for example `dbschema.catalog.check` with the models. Any difference prevents the
            record.
        on_wait, location: see `runner.upgrade`.
        timeouts: the limits for other runs and for locks.

    Raises:
        BrokenScripts: the scripts contain no revision.
        UnexpectedState: the database has no table; an upgrade creates them.
        UnexpectedState: the database has a revision other than the newest one.
        DatabaseNewer, MissingPrivilege, NotWritable, RunnerBusy, PooledConnection: see `runner.upgrade`.
        CatalogError: the comparison failed.
        ConnectError: the database cannot be reached.
    """
    history = History(location)
    head = history.head
    settings = (
        target if isinstance(target, connect.Settings) else connect.resolve(target, source="the caller")
    )
    limits = timeouts or Timeouts()
    if head is None:
        raise BrokenScripts(history.location, "they hold no revision")
    place, opener = settings.place, connect.opener(settings)
    with connect.translating(settings), closing(opener()) as work:
        preflight.checked_current(work, history, place)
        preflight.check_rights(work, place)
        with lock.exclusive(opener, place, limits.wait, on_wait=on_wait) as held:
            held.join(work, on_wait=on_wait)
            limits.apply(work)
            current = revision_names(preflight.checked_current(work, history, place))
            if current is not None and current != head:
                raise not_at_head(place, current, head)
            empty = not relations(work)
            work.rollback()
            if empty:
                raise nothing_to_adopt(place)
            with alembic_executor.wrap(work, settings) as connection, connection.begin():
                differences = tuple(compare(connection))
                recorded = current is None and not differences
                if recorded:
                    history.scripts.stamp(connection, "heads")
            if recorded:
                log.info("%s equals the models: recorded revision %s", place, head)
    return Baseline(place, head, differences, recorded)
