"""Check the groups from `tables` to `grants`: compare the catalog of the database with the models.

The server builds the models in a throw-away schema, which requires the privilege CREATE. Without it, the catalog is
compared with the snapshot from `dbschema compile`. The report has a line for each declared object, and for each
undeclared object on a declared table: an additional policy or grant can undo a declared one. Undeclared tables are
ignored; `dbschema check` reports them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from sqlalchemy.exc import DBAPIError

from dbschema import catalog
from dbschema.catalog import snapshot as snapshots
from dbschema.ddl import Function, Grant, Policy, RowSecurity, Trigger, declared
from dbschema.errors import CatalogError, DbSchemaError
from dbschema.verify.report import Unmet, execute, one_line, savepoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Connection, MetaData, Table

    from dbschema.catalog import Difference
    from dbschema.catalog.snapshot import Snapshot
    from dbschema.ddl import DatabaseObject
    from dbschema.verify.report import Recorder


@dataclass(frozen=True)
class Comparison:
    """The differences between a database and the models, and the method of the comparison on one line."""

    differences: tuple[Difference, ...]
    method: str


def compare(connection: Connection, metadata: MetaData, snapshot: Snapshot | None) -> Comparison:
    """Compare a database with the models that the server builds, else with their snapshot, and roll back.

    Args:
        connection: to the database.
        metadata: the models.
        snapshot: of `metadata`; None: there is no snapshot.

    Raises:
        Unmet: the models cannot be built, and there is no snapshot.
        CatalogError: the catalog of the database cannot be read.
    """
    role, database, may_create = execute(
        connection,
        "SELECT current_user, current_database(), has_database_privilege(current_database(), 'CREATE')",
    ).one()
    if not may_create:
        return _with_snapshot(connection, snapshot, f"role {role} may not CREATE in database {database}")
    try:
        with savepoint(connection):
            differences = catalog.check(connection, metadata)
    except (DBAPIError, DbSchemaError) as error:
        if connection.invalidated:
            raise
        return _with_snapshot(connection, snapshot, f"the models could not be built: {one_line(error)}")
    return Comparison(differences, "catalog with catalog, the models built in a throw-away schema")


def _with_snapshot(connection: Connection, snapshot: Snapshot | None, reason: str) -> Comparison:
    if snapshot is None:
        raise Unmet(
            f"{reason}, and there is no snapshot of these models; run dbschema compile, or verify as a role with CREATE"
        )
    differences = snapshots.differences(connection, snapshot)
    method = f"catalog with the snapshot from PostgreSQL {snapshot.server}: {reason}"
    server = snapshots.server(connection)
    if differences and server != snapshot.server:
        method += (
            f"; this server is PostgreSQL {server}, which may print the same objects differently: "
            "a role with CREATE compares exactly"
        )
    return Comparison(differences, method)


Line: TypeAlias = "tuple[str, str]"
"""A line of the report: its group and its name."""

_GROUPS = {
    Trigger.kind: "triggers",
    Function.kind: "functions",
    RowSecurity.kind: "row-level security",
    Policy.kind: "policies",
}
_ELSEWHERE = frozenset({"extension", "role"})
"""The kinds that `running` and `roles` check, in groups of their own."""


def check(recorder: Recorder, metadata: MetaData, snapshot: Snapshot | None = None) -> None:
    """Run the checks of the groups; `snapshot` is for a role that cannot build the models."""
    connection = recorder.connection
    try:
        with savepoint(connection):
            comparison = compare(connection, metadata, snapshot)
    except (DBAPIError, CatalogError, Unmet) as error:
        if connection.invalidated:
            raise
        recorder.note(
            "tables", "comparison", False, f"nothing up to the grants could be compared: {one_line(error)}"
        )
        return
    wrong: dict[Line, list[str]] = defaultdict(list)
    for difference in comparison.differences:
        if (line := _line(difference, metadata)) is not None:
            wrong[line].append(_text(difference))
    gone = {
        (difference.identity.schema, difference.identity.table)
        for difference in comparison.differences
        if difference.kind == "table" and difference.change == "missing"
    }
    recorder.note("tables", "comparison", True, comparison.method)
    lines = list(_lines(metadata))
    for group in ("tables", *_GROUPS.values(), "grants"):
        for line, table, detail in [item for item in lines if item[0][0] == group]:
            against = wrong.pop(line, [])
            if not against and table in gone:
                against = ["its table is missing"]
            recorder.note(*line, not against, "; ".join(against) or detail)
        for line in [line for line in wrong if line[0] == group]:
            recorder.note(*line, False, "; ".join(wrong.pop(line)))


def _lines(metadata: MetaData) -> Iterator[tuple[Line, tuple[str | None, str] | None, str]]:
    """Yield the lines of the declared objects: line, table of the object, and detail of a passed check."""
    for table in metadata.sorted_tables:
        yield ("tables", table.fullname), (table.schema, table.name), _inventory(table)
    objects = declared(metadata)
    for kind in (Trigger, Function, RowSecurity, Policy):
        for item in objects:
            if isinstance(item, kind):
                yield (_GROUPS[item.kind], _name(item)), item.table_key, _summary(item)
    grants: dict[str, list[Grant]] = defaultdict(list)
    for item in objects:
        if isinstance(item, Grant):
            grants[_target(item.identity.name)].append(item)
    for target, declarations in grants.items():
        summary = "; ".join(f"{grant.role} {', '.join(grant.privileges)}" for grant in declarations)
        yield ("grants", target), declarations[0].table_key, summary


def _line(difference: Difference, metadata: MetaData) -> Line | None:
    """Return the line of a difference; None if it belongs to no declared object or table."""
    identity = difference.identity
    ours = {(table.schema, table.name) for table in metadata.tables.values()}
    on_ours = (identity.schema, identity.table) in ours
    if difference.kind in _ELSEWHERE:
        return None
    if difference.kind in {"grant", "function"}:
        return _line_of_grant_or_function(difference, metadata, on_ours=on_ours)
    if not on_ours and difference.change == "extra":
        return None
    group = _GROUPS.get(difference.kind)
    if group is None:
        schema = "" if identity.schema is None else f"{identity.schema}."
        return "tables", f"{schema}{identity.table or identity.name}"
    return group, difference.name


def _line_of_grant_or_function(difference: Difference, metadata: MetaData, *, on_ours: bool) -> Line | None:
    identity = difference.identity
    objects = declared(metadata)
    functions = {_name(item) for item in objects if isinstance(item, Function)}
    if difference.kind == "function":
        known = difference.name in functions or difference.change != "extra"
        return ("functions", difference.name) if known else None
    if on_ours:
        return "grants", f"table {identity.table}"
    target = _target(identity.name)
    if (name := target.removeprefix("function ")) in functions:
        return "functions", name
    granted = {_target(item.identity.name) for item in objects if isinstance(item, Grant)}
    return ("grants", target) if target in granted else None


def _text(difference: Difference) -> str:
    if difference.change == "extra":
        return f"{difference.kind} {difference.identity.name} is not declared"
    if difference.change == "missing":
        return f"{difference.kind} {difference.identity.name} is missing"
    if difference.attribute == "body":
        return f"{difference.kind} {difference.identity.name} has another body"
    return str(difference)


def _name(item: DatabaseObject) -> str:
    """Return the name of an object in the form of `Difference.name`."""
    identity = item.identity
    schema = "" if identity.schema is None else f"{identity.schema}."
    if identity.table and identity.table != identity.name:
        return f"{identity.name} on {schema}{identity.table}"
    return f"{schema}{identity.name}"


def _target(grant: str) -> str:
    """Return the target of a grant: 'table incidents' for 'TABLE incidents TO dbschema_app', 'schema' for the default schema."""
    kind, _, name = grant.rpartition(" TO ")[0].partition(" ")
    return f"{kind.lower()} {name}".strip()


def _inventory(table: Table) -> str:
    return ", ".join(
        _counted(number, what)
        for number, what in (
            (len(table.columns), "column"),
            (len(table.constraints), "constraint"),
            (len(table.indexes), "index"),
        )
    )


def _counted(number: int, what: str) -> str:
    plural = {"index": "indexes"}.get(what, f"{what}s")
    return f"{number} {what if number == 1 else plural}"


def _summary(item: DatabaseObject) -> str:
    if isinstance(item, Trigger):
        return f"{item.timing} {_alternatives(item.events)}, calls {item.function}()"
    if isinstance(item, Function):
        return item.comment or f"returns {item.returns}"
    if isinstance(item, RowSecurity):
        return "enabled and forced" if item.forced else "enabled"
    return ""


def _alternatives(events: Iterable[str]) -> str:
    return " OR ".join(events)
