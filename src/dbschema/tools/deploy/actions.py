"""Execute the action of an event with the modules that the command line uses. Each action imports only its own modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dbschema.tools.application import load_models, load_snapshot
from dbschema.tools.deploy import runs
from dbschema.tools.deploy.result import Result, answered
from dbschema.tools.deploy.runs import difference
from dbschema.tools.deploy.target import by_connections, driver, reachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbschema.tools.deploy.configuration import Configuration
    from dbschema.tools.deploy.deadline import Deadline
    from dbschema.tools.deploy.events import Call


def run(call: Call, configuration: Configuration, deadline: Deadline) -> Result:
    """Execute the action of `call`.

    Raises:
        DbSchemaError: the action fails.
    """
    return _ACTIONS[call.action](call, configuration, deadline)


def _nothing(_call: Call, _configuration: Configuration, _deadline: Deadline) -> Result:
    return Result("nothing", "Nothing to do: the database keeps its contents when the resource is deleted")


def _status(_call: Call, configuration: Configuration, deadline: Deadline) -> Result:
    from dbschema.migrations import runner  # noqa: PLC0415  an event that needs no database comes without it

    settings = reachable(deadline)
    status = runner.status(settings, location=configuration.scripts)
    if status.unknown:
        message = "The database is at a revision that this code does not contain"
    elif status.pending:
        message = f"{len(status.pending)} revisions are pending"
    else:
        message = "The database is at the head"
    return answered(
        settings,
        message,
        ok=status.up_to_date,
        revision=", ".join(status.current) or None,
        facts={
            "source": status.source,
            "server_version": status.server_version,
            "postgis_version": status.postgis_version,
            "in_recovery": status.in_recovery,
            "current": list(status.current),
            "head": status.head,
            "pending": [{"id": revision.id, "doc": revision.doc} for revision in status.pending],
            "unknown": list(status.unknown),
        },
    )


def _check(_call: Call, configuration: Configuration, deadline: Deadline) -> Result:
    from dbschema import catalog, connect  # noqa: PLC0415  imports SQLAlchemy

    metadata = load_models(configuration.models)
    settings = by_connections(deadline)
    with (
        connect.translating(settings),
        connect.create_engine(settings).connect() as connection,
        deadline.enforced(),
    ):
        deadline.watch(driver(connection))
        findings = tuple(difference(each) for each in catalog.check(connection, metadata))
    count = len(findings)
    message = (
        f"The database differs from the models in {count} points"
        if count
        else "The database matches the models"
    )
    return answered(
        settings,
        message,
        ok=not findings,
        findings=findings,
        facts={"count": count, "differences": list(findings)},
    )


def _verify(_call: Call, configuration: Configuration, deadline: Deadline) -> Result:
    from dbschema import connect, verify  # noqa: PLC0415  imports SQLAlchemy

    metadata = load_models(configuration.models)
    settings = by_connections(deadline)
    with (
        connect.translating(settings),
        connect.create_engine(settings).connect() as connection,
        deadline.enforced(),
    ):
        deadline.watch(driver(connection))
        snapshot = load_snapshot(configuration.scripts, metadata)
        report = verify.run(connection, metadata=metadata, snapshot=snapshot)
    failures = tuple(
        {"group": check.group, "name": check.name, "detail": check.detail} for check in report.failures
    )
    return answered(
        settings,
        f"{report.passed} of {report.total} checks passed",
        ok=report.ok,
        findings=failures,
        facts={
            "role": report.role,
            "total": report.total,
            "passed": report.passed,
            "failed": report.failed,
            "failures": list(failures),
        },
    )


def _seed(_call: Call, _configuration: Configuration, deadline: Deadline) -> Result:
    from dbschema import connect, seeds  # noqa: PLC0415  imports SQLAlchemy

    settings = by_connections(deadline)
    with (
        connect.translating(settings),
        connect.create_engine(settings).begin() as connection,
        deadline.enforced(),
    ):
        deadline.watch(driver(connection))
        rows = {table: count for table, count in seeds.reference.apply(connection).items() if count}
    total = sum(rows.values())
    return answered(settings, f"{total} rows of reference data were written", facts={"rows": rows})


_ACTIONS: Final[dict[str, Callable[[Call, Configuration, Deadline], Result]]] = {
    "nothing": _nothing,
    "upgrade": runs.upgrade,
    "downgrade": runs.downgrade,
    "status": _status,
    "check": _check,
    "verify": _verify,
    "seed": _seed,
}
