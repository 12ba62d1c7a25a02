"""What a comparison with the models has found, as a call tells it.

Upgrades and downgrades: each is one run of `dbschema.migrations.runner`, with the time of the call for its limit.
"""

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
    """Compare with the models. The upgrade is done by now: what goes wrong here must not make it look failed."""
    from dbschema import catalog  # noqa: PLC0415  needed after an upgrade that did something

    try:
        found = catalog.check(connection, load_models(models))
    except Exception as error:
        log.warning("The database was not compared with the models: %s", type(error).__name__)
        return ()
    for difference in found:
        log.warning("The database differs from the models: %s", difference)
    return found


def difference(difference: Any) -> dict[str, Any]:
    """A difference for programs, without its values, which may be long."""
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
"""The part of a call that a revision must have had before it is said that it needs too long for one."""


def upgrade(call: Call, configuration: Configuration, deadline: Deadline) -> Result:
    """Bring the database to what `call` asks for, or so far that the next call goes on."""
    from dbschema.connect.errors import Rejection  # noqa: PLC0415  an event that needs no database comes without it
    from dbschema.migrations import runner  # noqa: PLC0415  as above
    from dbschema.migrations.errors import LockLost, RevisionFailed, RunnerBusy  # noqa: PLC0415  as above

    settings = reachable(deadline)
    wanted = None if call.resource is None else call.resource.wanted()
    if wanted is not None:
        _check_archive(wanted, settings, configuration)
    steps = _Steps()
    compare = None
    if configuration.compare and has_sessions(settings):
        compare = partial(after_upgrade, configuration.models)
    try:
        with deadline.enforced():
            done = runner.upgrade(
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
        return _left(settings, steps, f"Another run is at work ({busy.holder})", waited=busy.waited)
    except (Rejection, LockLost, RevisionFailed) as error:
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

    return bool(History(configuration.scripts).unknown(_ids(before)))


def _ids(revisions: str) -> set[str]:
    """The ids in a property of the stack: one, or one of each line."""
    return {one.strip() for one in revisions.split(",")}


def _check_archive(wanted: str, settings: Settings | DataApi, configuration: Configuration) -> None:
    """Raise where the stack asks for a revision that this code does not bring, and the database does not have."""
    from dbschema.errors import UnknownRevision  # noqa: PLC0415  beside the runner
    from dbschema.migrations import runner  # noqa: PLC0415  an event that needs no database comes without it

    try:
        runner.check_target("upgrade", wanted, location=configuration.scripts)
    except UnknownRevision as error:
        status = runner.status(settings, location=configuration.scripts)
        if not _ids(wanted) & set(status.unknown):
            raise wrong_archive(settings.place, wanted, status.head) from error


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


def _left(settings: Settings | DataApi, steps: _Steps, why: str, *, waited: float = 0.0) -> Result:
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


def _upgraded(settings: Settings | DataApi, done: RunResult) -> Result:
    applied = tuple(step.id for step in done.steps)
    findings = tuple(difference(one) for one in done.differences)
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
    return Result(
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


def downgrade(call: Call, configuration: Configuration, deadline: Deadline) -> Result:
    """Take revisions back, where the configuration allows it."""
    if not configuration.allow_downgrade:
        raise downgrade_not_allowed(ALLOW_DOWNGRADE)
    from dbschema.migrations import runner  # noqa: PLC0415  an event that needs no database comes without it

    settings = by_connections(deadline)
    steps = _Steps()
    with deadline.enforced():
        done = runner.downgrade(
            settings,
            call.revision,
            on_step=steps.on_step,
            on_wait=_on_wait,
            location=configuration.scripts,
            timeouts=timeouts(deadline),
            within=deadline.left,
        )
    taken = [{"id": step.id, "doc": step.doc} for step in done.steps]
    if done.left:
        return replace(_upgraded(settings, done), kind="left")
    return answered(
        settings,
        f"{len(taken)} revisions were taken back",
        revision=done.after,
        facts={"revision": done.after, "before": done.before, "taken_back": taken},
    )


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
