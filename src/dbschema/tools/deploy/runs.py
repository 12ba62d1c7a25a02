"""Upgrade and downgrade: one run of `dbschema.migrations.runner` within the deadline of the call."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dbschema.tools.application import is_known_to_hold, load_models
from dbschema.tools.deploy.configuration import ALLOW_DOWNGRADE
from dbschema.tools.deploy.errors import StepTooLong, downgrade_not_allowed, wrong_archive
from dbschema.tools.deploy.events import HEAD
from dbschema.tools.deploy.responses import MESSAGE, listed
from dbschema.tools.deploy.result import Result, answered
from dbschema.tools.deploy.target import by_connections, has_sessions, reachable, timeouts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbschema.connect import DataApi, Settings
    from dbschema.migrations.errors import RevisionFailed
    from dbschema.migrations.result import RunResult, Step
    from dbschema.tools.deploy.configuration import Configuration
    from dbschema.tools.deploy.deadline import Deadline
    from dbschema.tools.deploy.events import Call


log: Final = logging.getLogger("dbschema.tools.deploy")


def after_upgrade(models: str | None, connection: Any) -> Sequence[Any]:
    """Compare the database with the models. Errors are only logged, because the upgrade is committed already."""
    from dbschema import catalog  # noqa: PLC0415  needed only after an upgrade that applied revisions

    try:
        differences = catalog.check(connection, load_models(models))
    except Exception as error:
        log.warning("The database was not compared with the models: %s", type(error).__name__)
        return ()
    for each in differences:
        log.warning("The database differs from the models: %s", each)
    return differences


def difference(difference: Any) -> dict[str, Any]:
    """Return a difference as JSON, without its values, which can be long."""
    identity = difference.identity
    return {
        "kind": identity.kind,
        "table": identity.table or None,
        "name": identity.name,
        "change": difference.change,
        "attribute": difference.attribute,
    }


_CANCELLED: Final = "57014"
_OWN_CALL: Final = 0.5
"""The part of a call that a cancelled revision must have used to be reported as too long for one call."""


def upgrade(call: Call, configuration: Configuration, deadline: Deadline) -> Result:
    """Upgrade the database to the target of `call`; if the time ends before, return which revisions are left."""
    from dbschema.connect.errors import Rejection  # noqa: PLC0415  an event that needs no database comes without it
    from dbschema.migrations import runner  # noqa: PLC0415  as above
    from dbschema.migrations.errors import LockLost, RevisionFailed, RunnerBusy  # noqa: PLC0415  as above

    settings = reachable(deadline)
    expected = None if call.resource is None else call.resource.head_revision()
    if expected is not None:
        _check_archive(expected, settings, configuration)
    steps = _Steps()
    compare = None
    if configuration.compare and has_sessions(settings):
        compare = partial(after_upgrade, configuration.models)
    try:
        with deadline.enforced():
            run = runner.upgrade(
                settings,
                call.revision,
                on_step=steps.on_step,
                on_wait=_on_wait,
                location=configuration.scripts,
                timeouts=timeouts(deadline),
                within=deadline.left,
                tolerate_newer=_may_be_newer(call, configuration),
                compare=compare,
                known=is_known_to_hold if configuration.models is None else None,
            )
    except RunnerBusy as busy:
        return _incomplete(settings, steps, f"Another run is at work ({busy.holder})", waited=busy.waited)
    except (Rejection, LockLost, RevisionFailed) as error:
        if not deadline.over or not _is_cancelled(error):
            raise
        if isinstance(error, RevisionFailed) and not error.done:
            _check_not_too_long(error.place, error.revision, time.monotonic() - steps.began, deadline, error)
        return _incomplete(settings, steps, "The time of this call was over")
    if run.left and not run.steps:
        _check_not_too_long(run.place, run.left[0].id, run.cut_short, deadline)
    return _upgraded(settings, run)


def _may_be_newer(call: Call, configuration: Configuration) -> bool:
    """Return whether an unknown revision is tolerated, because the code was possibly rolled back.

    It is not tolerated for a new stack, nor for an update between two revisions of this code: then something else has
    migrated the database, and it would never reach the target of the stack.
    """
    if call.revision != HEAD or call.resource is None:
        return call.revision == HEAD
    if call.resource.request == "Create":
        return False
    before, after = call.resource.old_head_revision(), call.resource.head_revision()
    if before is None or after is None or before == after:
        return True
    from dbschema.migrations.history import History  # noqa: PLC0415  an event that needs no database comes without it

    return bool(History(configuration.scripts).unknown(_ids(before)))


def _ids(revisions: str) -> set[str]:
    """Return the ids in a HeadRevision: one, or one for each branch."""
    return {revision.strip() for revision in revisions.split(",")}


def _check_archive(expected: str, settings: Settings | DataApi, configuration: Configuration) -> None:
    """Raise if neither this code nor the database has the revision that the stack expects."""
    from dbschema.errors import UnknownRevision  # noqa: PLC0415  beside the runner
    from dbschema.migrations import runner  # noqa: PLC0415  an event that needs no database comes without it

    try:
        runner.check_target("upgrade", expected, location=configuration.scripts)
    except UnknownRevision as error:
        status = runner.status(settings, location=configuration.scripts)
        if not _ids(expected) & set(status.unknown):
            raise wrong_archive(settings.place, expected, status.head) from error


def _is_cancelled(error: BaseException | None) -> bool:
    """Return whether a cancelled statement caused `error`: of a revision, or the check of the lock between two revisions."""
    while error is not None:
        if _CANCELLED in (
            getattr(error, "sqlstate", None),
            getattr(getattr(error, "orig", None), "sqlstate", None),
        ):
            return True
        error = error.__cause__
    return False


def _check_not_too_long(
    place: str, revision: str, seconds: float, deadline: Deadline, cause: RevisionFailed | None = None
) -> None:
    """Raise if the first revision was cancelled after most of the call: the next call would be cancelled too."""
    if deadline.stop_at is not None and seconds >= (deadline.stop_at - deadline.began) * _OWN_CALL:
        raise StepTooLong(place, revision, seconds) from cause


def _incomplete(settings: Settings | DataApi, steps: _Steps, why: str, *, waited: float = 0.0) -> Result:
    return Result(
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


def _upgraded(settings: Settings | DataApi, run: RunResult) -> Result:
    applied = tuple(step.id for step in run.steps)
    findings = tuple(difference(each) for each in run.differences)
    message = MESSAGE
    if run.unknown:
        kind = "newer"
        message = (
            f"Nothing was done: the database stands at {listed(run.unknown)}, which newer code than this has made. "
            "The schema only goes forward; the newer revisions stay, and older code works with them"
        )
    elif run.left:
        kind, message = "left", "The time of this call was over"
    else:
        kind = "upgraded" if applied else "current"
    return Result(
        kind,  # type: ignore[arg-type]  # one of the kinds above
        message,
        place=run.place,
        host=settings.host,
        database=settings.database,
        # Unknown revisions are of newer code or of an application; this code cannot distinguish the two.
        ok=not run.unknown,
        revision=run.after,
        applied=applied,
        left=tuple(step.id for step in run.left),
        findings=findings,
        waited=run.waited,
        facts={
            "revision": run.after,
            "before": run.before,
            "applied": [{"id": step.id, "doc": step.doc} for step in run.steps],
            "differences": list(findings),
        },
    )


def downgrade(call: Call, configuration: Configuration, deadline: Deadline) -> Result:
    """Downgrade the database, if the configuration allows it."""
    if not configuration.allow_downgrade:
        raise downgrade_not_allowed(ALLOW_DOWNGRADE)
    from dbschema.migrations import runner  # noqa: PLC0415  an event that needs no database comes without it

    settings = by_connections(deadline)
    steps = _Steps()
    with deadline.enforced():
        run = runner.downgrade(
            settings,
            call.revision,
            on_step=steps.on_step,
            on_wait=_on_wait,
            location=configuration.scripts,
            timeouts=timeouts(deadline),
            within=deadline.left,
        )
    taken = [{"id": step.id, "doc": step.doc} for step in run.steps]
    if run.left:
        return replace(_upgraded(settings, run), kind="left")
    return answered(
        settings,
        f"{len(taken)} revisions were taken back",
        revision=run.after,
        facts={"revision": run.after, "before": run.before, "taken_back": taken},
    )


class _Steps:
    """The progress of a run: the applied revisions and the running revision."""

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
