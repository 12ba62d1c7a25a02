"""Adopting a database that somebody else's tools have built: it is compared, and recorded as upgraded only where it is equal."""

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

_STANDING_ALONE: Final = (
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
    """What became of an adoption.

    Args:
        place: the database.
        revision: the head of the revision scripts.
        differences: what the comparison found; where there is one, nothing was recorded.
        recorded: whether the revision was written now; False also where the database had it before.
    """

    place: str
    revision: str
    differences: tuple[Any, ...]
    recorded: bool


def without_foreign(differences: Iterable[Difference], metadata: MetaData) -> tuple[Difference, ...]:
    """`differences` without the tables, views, types and functions that other programs keep in the same schema.

    What is extra on a table of `metadata` stays: a policy, a trigger or a grant there changes what the models promise.

    Args:
        differences: as `dbschema.catalog.check` finds them.
        metadata: the models.
    """
    ours = {(table.schema, table.name) for table in metadata.tables.values()}

    def foreign(one: Difference) -> bool:
        identity = one.identity
        if one.change != "extra":
            return False
        return (
            (identity.schema, identity.table) not in ours if identity.table else one.kind in _STANDING_ALONE
        )

    return tuple(one for one in differences if not foreign(one))


def baseline(
    target: connect.Settings | URL | str,
    compare: Callable[[Connection], Sequence[Any]],
    *,
    on_wait: Callable[[str], None] | None = None,
    location: Path | None = None,
    timeouts: Timeouts | None = None,
) -> Baseline:
    """Record the newest revision in a database that has its objects already, where `compare` finds no difference.

    The comparison and the record are one transaction under the lock of the runs, so that what was compared is what is
    recorded. Nothing else is changed.

    Args:
        target: the database.
        compare: finds the differences, such as `dbschema.catalog.check` with the models; each one forbids the record.
        on_wait: called with the name of another run on the same database, when it has to be waited for.
        location: as for `runner.upgrade`.
        timeouts: how long to wait for another run, and for locks.

    Raises:
        BrokenScripts: there is no revision to record.
        UnexpectedState: the database holds no table; an upgrade makes them.
        UnexpectedState: it has a revision, and that is not the newest one.
        DatabaseNewer, MissingPrivilege, NotWritable, RunnerBusy, PooledConnection: as for an upgrade.
        CatalogError: the comparison cannot be made.
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
    place, another = settings.place, connect.opener(settings)
    with connect.translating(settings), closing(another()) as work:
        preflight.checked_current(work, history, place)
        preflight.check_rights(work, place)
        with lock.exclusive(another, place, limits.wait, on_wait=on_wait) as held:
            held.join(work, on_wait=on_wait)
            limits.apply(work)
            current = revision_names(preflight.checked_current(work, history, place))
            if current is not None and current != head:
                raise not_at_head(place, current, head)
            empty = not relations(work)
            work.rollback()
            if empty:
                raise nothing_to_adopt(place)
            with alembic_executor.around(work, settings) as connection, connection.begin():
                differences = tuple(compare(connection))
                recorded = current is None and not differences
                if recorded:
                    history.scripts.stamp(connection, "heads")
            if recorded:
                log.info("%s was found equal, and recorded as revision %s", place, head)
    return Baseline(place, head, differences, recorded)
