"""The actions, by the modules that the command line uses too; each imports no more than it needs."""

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
    """Do what `call` asks for.

    Raises:
        DbSchemaError: it cannot be done.
    """
    return _ACTIONS[call.action](call, configuration, deadline)


def _nothing(_call: Call, _configuration: Configuration, _deadline: Deadline) -> Result:
    return Result("nothing", "Nothing to do: what the database holds stays when the resource goes")


def _status(_call: Call, configuration: Configuration, deadline: Deadline) -> Result:
    from dbschema.migrations import runner  # noqa: PLC0415  an event that needs no database comes without it

    settings = reachable(deadline)
    found = runner.status(settings, location=configuration.scripts)
    if found.unknown:
        message = "The database stands at a revision that this code does not know"
    elif found.pending:
        message = f"{len(found.pending)} revisions are pending"
    else:
        message = "The database stands at the head"
    return answered(
        settings,
        message,
        ok=found.up_to_date,
        revision=", ".join(found.current) or None,
        facts={
            "source": found.source,
            "server_version": found.server_version,
            "postgis_version": found.postgis_version,
            "in_recovery": found.in_recovery,
            "current": list(found.current),
            "head": found.head,
            "pending": [{"id": one.id, "doc": one.doc} for one in found.pending],
            "unknown": list(found.unknown),
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
        findings = tuple(difference(one) for one in catalog.check(connection, metadata))
    count = len(findings)
    message = (
        f"The database differs from the models in {count} points"
        if count
        else "The database is what the models declare"
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
    failures = tuple({"group": one.group, "name": one.name, "detail": one.detail} for one in report.failures)
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
