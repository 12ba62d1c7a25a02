"""The actions, by the modules that the command line uses too; each imports no more than it needs.

A call that changes the database is one run of `dbschema.migrations.runner`, with the time of the call for its limit.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from dbschema.deploy.answers import MESSAGE, listed
from dbschema.deploy.configuration import ALLOW_DOWNGRADE
from dbschema.deploy.errors import DowngradeNotAllowed, StepTooLong, WrongArchive
from dbschema.deploy.events import HEAD
from dbschema.deploy.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dbschema.connect import DataApi, Settings
    from dbschema.deploy.configuration import Configuration
    from dbschema.deploy.deadline import Deadline
    from dbschema.deploy.events import Call
    from dbschema.migrations.errors import RevisionFailed
    from dbschema.migrations.runner import Run, Step

log: Final = logging.getLogger("dbschema.deploy")

_CANCELLED: Final = "57014"
_OWN_CALL: Final = 0.5
"""The part of a call that a revision must have had before it is said that it needs too long for one."""


def run(call: Call, configuration: Configuration, deadline: Deadline) -> Outcome:
    """Do what `call` asks for.

    Raises:
        DbSchemaError: it cannot be done.
    """
    return _ACTIONS[call.action](call, configuration, deadline)


def _nothing(_call: Call, _configuration: Configuration, _deadline: Deadline) -> Outcome:
    return Outcome("nothing", "Nothing to do: what the database holds stays when the resource goes")


def _upgrade(call: Call, configuration: Configuration, deadline: Deadline) -> Outcome:
    from dbschema.connect.errors import Refusal  # noqa: PLC0415  an event that needs no database comes without it
    from dbschema.migrations import runner  # noqa: PLC0415  as above
    from dbschema.migrations.errors import LockLost, RevisionFailed, RunnerBusy  # noqa: PLC0415  as above

    settings = _target(deadline)
    wanted = None if call.resource is None else call.resource.wanted()
    if wanted is not None:
        _check_archive(wanted, settings, configuration)
    steps = _Steps()
    try:
        with deadline.enforced():
            done = runner.upgrade(
                settings,
                call.revision,
                on_step=steps.on_step,
                on_wait=_on_wait,
                location=configuration.scripts,
                timeouts=_timeouts(deadline),
                within=deadline.left,
                tolerate_newer=_may_be_newer(call, configuration),
                compare=_compare if configuration.compare and _has_sessions(settings) else None,
            )
    except RunnerBusy as busy:
        return _left(settings, steps, f"Another run is at work ({busy.holder})", waited=busy.waited)
    except (Refusal, LockLost, RevisionFailed) as error:
        if not deadline.over or not _is_cancelled(error):
            raise
        if isinstance(error, RevisionFailed) and not error.done:
            _check_not_too_long(error.place, error.revision, time.monotonic() - steps.began, deadline, error)
        return _left(settings, steps, "The time of this call was over")
    if done.left and not done.steps:
        _check_not_too_long(done.place, done.left[0].id, done.cut_short, deadline)
    return _upgraded(settings, done)


def _may_be_newer(call: Call, configuration: Configuration) -> bool:
    """Whether a database at an unknown revision is no error: where code may have been rolled back.

    That is not so for a new stack, nor for one that goes on from a revision of this code to another: such a database was
    moved by somebody else, and what the stack wants would never come.
    """
    if call.revision != HEAD or call.resource is None:
        return call.revision == HEAD
    if call.resource.request == "Create":
        return False
    before, wanted = call.resource.before(), call.resource.wanted()
    if before is None or wanted is None or before == wanted:
        return True
    from dbschema.migrations.history import History  # noqa: PLC0415  an event that needs no database comes without it

    return bool(History(configuration.scripts).unknown([before]))


def _check_archive(wanted: str, settings: Settings | DataApi, configuration: Configuration) -> None:
    """Raise where the stack asks for a revision that this code does not bring, and the database does not have."""
    from dbschema.errors import UnknownRevision  # noqa: PLC0415  beside the runner
    from dbschema.migrations import runner  # noqa: PLC0415  an event that needs no database comes without it

    try:
        runner.check_target("upgrade", wanted, location=configuration.scripts)
    except UnknownRevision as error:
        status = runner.status(settings, location=configuration.scripts)
        if wanted not in status.unknown:
            raise WrongArchive(settings.place, wanted, status.head) from error


def _is_cancelled(error: BaseException | None) -> bool:
    """Whether it came from a statement that was cancelled: of a revision, or between two, where the lock is asked about."""
    while error is not None:
        if _CANCELLED in (
            getattr(error, "sqlstate", None),
            getattr(getattr(error, "orig", None), "sqlstate", None),
        ):
            return True
        error = error.__cause__
    return False


def _check_not_too_long(
    place: str, revision: str, had: float, deadline: Deadline, cause: RevisionFailed | None = None
) -> None:
    """Raise where the first revision was stopped, and had most of a call for itself: the next one would end the same way."""
    if deadline.stop_at is not None and had >= (deadline.stop_at - deadline.began) * _OWN_CALL:
        raise StepTooLong(place, revision, had) from cause


def _left(settings: Settings | DataApi, steps: _Steps, why: str, *, waited: float = 0.0) -> Outcome:
    return Outcome(
        "left",
        why,
        place=settings.place,
        host=settings.host,
        database=settings.database,
        revision=steps.applied[-1] if steps.applied else None,
        applied=tuple(steps.applied),
        left=() if steps.current is None else (steps.current,),
        waited=waited,
    )


def _upgraded(settings: Settings | DataApi, done: Run) -> Outcome:
    applied = tuple(step.id for step in done.steps)
    findings = tuple(_difference(one) for one in done.differences)
    message = MESSAGE
    if done.unknown:
        kind = "newer"
        message = (
            f"Nothing was done: the database stands at {listed(done.unknown)}, which newer code than this has made. "
            "The schema only goes forward; the newer revisions stay, and older code works with them"
        )
    elif done.left:
        kind, message = "left", "The time of this call was over"
    else:
        kind = "upgraded" if applied else "current"
    return Outcome(
        kind,  # type: ignore[arg-type]  # one of the words above
        message,
        place=done.place,
        host=settings.host,
        database=settings.database,
        # Newer code, or an application with revisions of its own: which of the two, nobody can tell from here.
        ok=not done.unknown,
        revision=done.after,
        applied=applied,
        left=tuple(step.id for step in done.left),
        findings=findings,
        waited=done.waited,
        facts={
            "revision": done.after,
            "before": done.before,
            "applied": [{"id": step.id, "doc": step.doc} for step in done.steps],
            "differences": list(findings),
        },
    )


def _downgrade(call: Call, configuration: Configuration, deadline: Deadline) -> Outcome:
    if not configuration.allow_downgrade:
        raise DowngradeNotAllowed(ALLOW_DOWNGRADE)
    from dbschema.migrations import runner  # noqa: PLC0415  an event that needs no database comes without it

    settings = _settings(deadline)
    steps = _Steps()
    with deadline.enforced():
        done = runner.downgrade(
            settings,
            call.revision,
            on_step=steps.on_step,
            on_wait=_on_wait,
            location=configuration.scripts,
            timeouts=_timeouts(deadline),
            within=deadline.left,
        )
    taken = [{"id": step.id, "doc": step.doc} for step in done.steps]
    if done.left:
        return replace(_upgraded(settings, done), kind="left")
    return _answered(
        settings,
        f"{len(taken)} revisions were taken back",
        revision=done.after,
        facts={"revision": done.after, "before": done.before, "taken_back": taken},
    )


def _status(_call: Call, configuration: Configuration, deadline: Deadline) -> Outcome:
    from dbschema.migrations import runner  # noqa: PLC0415  an event that needs no database comes without it

    settings = _target(deadline)
    found = runner.status(settings, location=configuration.scripts)
    if found.unknown:
        message = "The database stands at a revision that this code does not know"
    elif found.pending:
        message = f"{len(found.pending)} revisions are pending"
    else:
        message = "The database stands at the head"
    return _answered(
        settings,
        message,
        ok=found.up_to_date,
        revision=found.current[-1] if found.current else None,
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


def _check(_call: Call, _configuration: Configuration, deadline: Deadline) -> Outcome:
    from dbschema import catalog, connect  # noqa: PLC0415  imports SQLAlchemy
    from dbschema.models import metadata  # noqa: PLC0415  as above

    settings = _settings(deadline)
    with (
        connect.translating(settings),
        connect.create_engine(settings).connect() as connection,
        deadline.enforced(),
    ):
        deadline.watch(_driver(connection))
        findings = tuple(_difference(one) for one in catalog.check(connection, metadata))
    count = len(findings)
    message = (
        f"The database differs from the models in {count} points"
        if count
        else "The database is what the models declare"
    )
    return _answered(
        settings,
        message,
        ok=not findings,
        findings=findings,
        facts={"count": count, "differences": list(findings)},
    )


def _verify(_call: Call, _configuration: Configuration, deadline: Deadline) -> Outcome:
    from dbschema import connect, verify  # noqa: PLC0415  imports SQLAlchemy

    settings = _settings(deadline)
    with (
        connect.translating(settings),
        connect.create_engine(settings).connect() as connection,
        deadline.enforced(),
    ):
        deadline.watch(_driver(connection))
        report = verify.run(connection)
    failures = tuple({"group": one.group, "name": one.name, "detail": one.detail} for one in report.failures)
    return _answered(
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


def _seed(_call: Call, _configuration: Configuration, deadline: Deadline) -> Outcome:
    from dbschema import connect, seeds  # noqa: PLC0415  imports SQLAlchemy

    settings = _settings(deadline)
    with (
        connect.translating(settings),
        connect.create_engine(settings).begin() as connection,
        deadline.enforced(),
    ):
        deadline.watch(_driver(connection))
        rows = {table: count for table, count in seeds.reference.apply(connection).items() if count}
    total = sum(rows.values())
    return _answered(settings, f"{total} rows of reference data were written", facts={"rows": rows})


def _answered(settings: Settings | DataApi, message: str, **parts: Any) -> Outcome:
    return Outcome(
        "answered",
        message,
        place=settings.place,
        host=settings.host,
        database=settings.database,
        **parts,
    )


_ACTIONS: Final[dict[str, Callable[[Call, Configuration, Deadline], Outcome]]] = {
    "nothing": _nothing,
    "upgrade": _upgrade,
    "downgrade": _downgrade,
    "status": _status,
    "check": _check,
    "verify": _verify,
    "seed": _seed,
}


class _Steps:
    """How far a run has come, as it tells while it lasts."""

    def __init__(self) -> None:
        self.applied: list[str] = []
        self.current: str | None = None
        self.began = time.monotonic()

    def on_step(self, step: Step) -> None:
        if step.done:
            self.applied.append(step.revision.id)
            self.current = None
            return
        self.current, self.began = step.revision.id, time.monotonic()
        log.info(
            "Revision %s (%s) begins, %d of %d", step.revision.id, step.revision.doc, step.number, step.total
        )


def _on_wait(holder: str) -> None:
    log.info("Waiting for another run: %s", holder)


def _target(deadline: Deadline) -> Settings | DataApi:
    """The database for an upgrade or its status, which the RDS Data API is enough for."""
    from dbschema import connect  # noqa: PLC0415  an event that needs no database comes without it

    api = connect.behind_data_api()
    return _settings(deadline) if api is None else replace(api, wake_seconds=_wake(api, deadline))


def _settings(deadline: Deadline) -> Settings:
    """The database that the environment names, by connections."""
    from dbschema import connect  # noqa: PLC0415  an event that needs no database comes without it

    settings = connect.resolve()
    return replace(settings, wake_seconds=_wake(settings, deadline))


def _wake(target: Settings | DataApi, deadline: Deadline) -> float:
    """A server that sleeps is waited for as long as there is time."""
    return target.wake_seconds if deadline.left is None else min(target.wake_seconds, deadline.left)


def _timeouts(deadline: Deadline) -> Any:
    """The limits that the environment sets, and for each session the time that is left."""
    from dbschema.migrations.timeouts import Timeouts  # noqa: PLC0415  an event that needs no database comes without it

    class CallTimeouts(Timeouts):
        """Made to hold for a session, they look at the clock, and let the deadline watch the session."""

        def apply(self, connection: Any) -> None:
            deadline.watch(_driver(connection))
            left = deadline.left
            if left is None:
                super().apply(connection)
                return
            # A little more than until the session is cancelled: it is for a process that is gone by then.
            most = left + 0.25
            limited = self.changed(statement=min(self.statement or most, most))
            super(CallTimeouts, limited).apply(connection)

    return CallTimeouts.from_environment()


def _has_sessions(settings: Settings | DataApi) -> bool:
    """Whether the database is reached by connections, which a comparison needs."""
    return hasattr(settings, "address")


def _driver(connection: Any) -> Any:
    """The connection of psycopg behind one of SQLAlchemy."""
    return getattr(getattr(connection, "connection", connection), "driver_connection", connection)


def _compare(connection: Any) -> Sequence[Any]:
    """Compare with the models. The upgrade is done by now: what goes wrong here must not make it look failed."""
    from dbschema import catalog  # noqa: PLC0415  needed after an upgrade that did something
    from dbschema.models import metadata  # noqa: PLC0415  as above

    try:
        found = catalog.check(connection, metadata)
    except Exception as error:
        log.warning("The database was not compared with the models: %s", type(error).__name__)
        return ()
    for difference in found:
        log.warning("The database differs from the models: %s", difference)
    return found


def _difference(difference: Any) -> dict[str, Any]:
    """A difference for programs, without its values, which may be long."""
    identity = difference.identity
    return {
        "kind": identity.kind,
        "table": identity.table or None,
        "name": identity.name,
        "change": difference.change,
        "attribute": difference.attribute,
    }
