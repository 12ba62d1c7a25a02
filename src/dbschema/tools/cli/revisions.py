"""Define the commands for revisions: upgrade, downgrade, status, sql."""

import sys
from typing import TYPE_CHECKING, Annotated

from dbschema.tools.cli.exit_codes import FOUND
from dbschema.tools.cli.options import (
    Json,
    LockRetry,
    LockTimeout,
    Models,
    Scripts,
    StatementTimeout,
    Url,
    Wait,
    Within,
)
from dbschema.tools.cli.output import Screen, plural
from dbschema.tools.cli.parser import Argument, Command, Flag
from dbschema.tools.cli.place import database, database_or_data_api
from dbschema.tools.cli.runs import Progress, chosen_scripts, run_data, run_upgrade, show_run, timeouts

if TYPE_CHECKING:
    from dbschema.migrations.result import Status


def upgrade(
    revision: Annotated[
        str,
        Argument("REV", "A revision id or its beginning, '+1', or 'head' (the default).", optional=True),
    ] = "head",
    *,
    url: Url = None,
    wait: Wait = None,
    lock_timeout: LockTimeout = None,
    lock_retry: LockRetry = None,
    statement_timeout: StatementTimeout = None,
    within: Within = None,
    compare: Annotated[
        bool,
        Flag(
            "--compare",
            "Compare the database with the models after the run (the default).",
            negatable=True,
        ),
    ] = True,
    tolerate_newer: Annotated[
        bool,
        Flag("--tolerate-newer", "Do nothing if a newer version has upgraded the database."),
    ] = False,
    scripts: Scripts = None,
    models: Models = None,
    as_json: Json = False,
) -> int:
    """Upgrade a database to the newest revision, or to REV.

    A failed revision changes nothing; the revisions before it stay. Exit code 1 if revisions are left, or if the
    database differs from the models.

    JSON: database, before, after, steps (id, doc), left (id, doc), unknown (ids), differences (as of check).
    """
    return run_upgrade(
        Screen(as_json=as_json),
        url,
        revision,
        limits={"wait": wait, "lock": lock_timeout, "retry": lock_retry, "statement": statement_timeout},
        within=within,
        compare=compare,
        tolerate_newer=tolerate_newer,
        scripts=scripts,
        models=models,
    )


def downgrade(
    revision: Annotated[str, Argument("REV", "A revision id or its beginning, 'base' or '-1'.")],
    *,
    url: Url = None,
    wait: Wait = None,
    lock_timeout: LockTimeout = None,
    lock_retry: LockRetry = None,
    statement_timeout: StatementTimeout = None,
    within: Within = None,
    scripts: Scripts = None,
    as_json: Json = False,
) -> int:
    """Revert the revisions above REV. The data of their tables and columns are lost.

    '-1' is the revision before the current one, 'base' an empty database. Exit code 1 if revisions are left.

    JSON: database, before, after, steps (id, doc), left (id, doc), unknown (ids).
    """
    from dbschema.migrations import runner  # noqa: PLC0415  imports Alembic

    screen = Screen(as_json=as_json)
    location = chosen_scripts(scripts)
    runner.check_target("downgrade", revision, location=location)  # a wrong target must not start a server
    limits = timeouts(wait=wait, lock=lock_timeout, retry=lock_retry, statement=statement_timeout)
    settings = database(url, screen)
    with Progress(screen) as progress:
        run = runner.downgrade(
            settings,
            revision,
            on_step=progress.on_step,
            on_wait=progress.on_wait,
            location=location,
            timeouts=limits,
            within=within,
        )
    show_run(screen, run)
    screen.data(run_data(run))
    return FOUND if run.left else 0


def status(*, url: Url = None, scripts: Scripts = None, as_json: Json = False) -> int:
    """Show the revision of a database and its pending revisions. Exit code 1 if it is not at the newest revision.

    JSON: database, source, server_version, postgis_version, in_recovery, current (ids), head, pending (id, doc), unknown (ids), up_to_date.
    """
    from dbschema.migrations import runner  # noqa: PLC0415  imports Alembic

    screen = Screen(as_json=as_json)
    found = runner.status(database_or_data_api(url, screen), location=chosen_scripts(scripts))
    _show_status(screen, found)
    screen.data(
        {
            "database": found.place,
            "source": found.source,
            "server_version": found.server_version,
            "postgis_version": found.postgis_version,
            "in_recovery": found.in_recovery,
            "current": list(found.current),
            "head": found.head,
            "pending": [{"id": revision.id, "doc": revision.doc} for revision in found.pending],
            "unknown": list(found.unknown),
            "up_to_date": found.up_to_date,
        }
    )
    return 0 if found.up_to_date else FOUND


def sql(
    span: Annotated[
        str | None,
        Argument("FROM:TO", "The first and the last revision; the default is base:head.", optional=True),
    ] = None,
    *,
    scripts: Scripts = None,
) -> None:
    """Print the SQL of an upgrade, or of a downgrade if TO is before FROM, without executing it."""
    from dbschema.migrations import runner  # noqa: PLC0415  imports Alembic

    sys.stdout.write(runner.sql(span, location=chosen_scripts(scripts)))


def _show_status(screen: Screen, found: "Status") -> None:
    screen.line(f"Database  {found.place} (from {found.source}{', a standby' if found.in_recovery else ''})")
    screen.line(
        f"Server    PostgreSQL {found.server_version}, PostGIS {found.postgis_version or 'not installed'}"
    )
    screen.line(f"Revision  {', '.join(found.current) or 'none'}")
    screen.line(f"Head      {found.head or 'none'}")
    if found.unknown:
        screen.line("Pending   unknown: this version of dbschema does not hold the revision of the database")
    elif not found.pending:
        screen.line("Pending   none")
    else:
        screen.line(f"Pending   {plural(len(found.pending), 'revision')}; 'dbschema upgrade' applies them:")
        for revision in found.pending:
            screen.line(f"          {revision.id}  {revision.doc}")


COMMANDS = (Command(upgrade), Command(downgrade), Command(status), Command(sql))
