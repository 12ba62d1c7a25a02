"""Define the commands that write or remove data: seed, reset."""

from typing import TYPE_CHECKING, Annotated, Any

from dbschema.errors import CallRejected
from dbschema.tools.cli.options import Json, Url
from dbschema.tools.cli.output import Screen, plural
from dbschema.tools.cli.parser import Command, Flag
from dbschema.tools.cli.place import database
from dbschema.tools.cli.runs import Progress, chosen_scripts, run_data, show_run

if TYPE_CHECKING:
    from dbschema.connect import Settings
    from dbschema.migrations.result import RunResult


def seed(
    reference: Annotated[
        bool, Flag("--reference", "Write the reference data, which each tenant needs.")
    ] = False,
    sample: Annotated[bool, Flag("--sample", "Write the sample data: three tenants.")] = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Write reference data and sample data; existing rows stay unchanged.

    Without an option, the private server gets both, and any other database only the reference data.

    JSON: database, rows (of 'reference' and 'sample': table, number written).
    """
    screen = Screen(as_json=as_json)
    settings = database(url, screen)
    by_default = not reference and not sample
    if by_default:
        reference, sample = True, settings.is_private
    rows = write_seeds(screen, settings, reference=reference, sample=sample)
    if by_default and not sample:
        screen.line(
            f"No sample data for {settings.place}, which is not the private server; --sample writes them."
        )
    screen.data({"database": settings.place, "rows": rows})


def reset(
    yes: Annotated[bool, Flag("--yes", "Confirm that all data are removed.")] = False,
    with_sample_data: Annotated[bool, Flag("--with-sample-data", "Write sample data too.")] = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Empty a database, build it again and write the reference data. All its data are lost.

    The private server's database is dropped and created. Any other database requires --url; its revisions are
    reverted and applied again.

    JSON: database, before, after, steps and left (id, doc), unknown (ids), rows (as of seed).
    """
    from dbschema import connect  # noqa: PLC0415  imports SQLAlchemy

    screen = Screen(as_json=as_json)
    if not yes:
        raise CallRejected("This removes all data of the database", "Repeat with --yes if that is meant")
    settings = database(url, screen)
    if settings.source != connect.FLAG and not settings.is_private:
        raise CallRejected(
            f"{settings.place} is named by {settings.source} only, and a reset removes all of its data",
            f"Give its address with --url, or unset {settings.source} to reset the private server",
        )
    before, run = (
        _recreate(screen, settings) if settings.is_private else _downgrade_and_upgrade(screen, settings)
    )
    show_run(screen, run)
    rows = write_seeds(screen, settings, reference=True, sample=with_sample_data)
    screen.data({**run_data(run), "before": before, "rows": rows})


def write_seeds(
    screen: Screen, settings: "Settings", *, reference: bool, sample: bool
) -> dict[str, dict[str, int]]:
    """Write the data in one transaction; return the number of written rows by kind of data and table."""
    from dbschema import connect, seeds  # noqa: PLC0415  imports SQLAlchemy

    # Sample data first: it creates tenants, and reference data is written for each existing tenant.
    kinds = [("sample", seeds.sample.apply, sample), ("reference", seeds.reference.apply, reference)]
    rows: dict[str, dict[str, int]] = {}
    with connect.translating(settings), connect.create_engine(settings).begin() as connection:
        for name, apply, selected in kinds:
            if selected:
                with screen.step(f"Write {name} data"):
                    rows[name] = dict(apply(connection))
    for name, written in rows.items():
        total = sum(written.values())
        screen.line(
            f"{name.capitalize()} data: {plural(total, 'row')} written{'' if total else ', nothing was missing'}."
        )
    return rows


def _recreate(screen: Screen, settings: "Settings") -> tuple[str | None, "RunResult"]:
    """Drop and create the private database, so that manual changes disappear and no downgrade can fail."""
    from dbschema import connect  # noqa: PLC0415  imports psycopg
    from dbschema.ddl.base import quote  # noqa: PLC0415  imports SQLAlchemy
    from dbschema.migrations import runner  # noqa: PLC0415  as connect

    current = runner.status(settings, location=chosen_scripts(None)).current
    name = quote(settings.database)
    # Opened with the settings: PG* variables must not direct this connection to another server.
    with (
        screen.step(f"Drop and create {settings.place}"),
        connect.translating(settings),
        connect.open(settings.for_database("postgres"), autocommit=True) as connection,
    ):
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
    with Progress(screen) as progress:
        run = runner.upgrade(
            settings, on_step=progress.on_step, on_wait=progress.on_wait, location=chosen_scripts(None)
        )
    return current[0] if current else None, run


def _downgrade_and_upgrade(screen: Screen, settings: "Settings") -> tuple[str | None, Any]:
    from dbschema.migrations import runner  # noqa: PLC0415  imports Alembic

    with Progress(screen) as progress:
        down = runner.downgrade(
            settings,
            "base",
            on_step=progress.on_step,
            on_wait=progress.on_wait,
            location=chosen_scripts(None),
        )
    with Progress(screen) as progress:
        return down.before, runner.upgrade(
            settings, on_step=progress.on_step, on_wait=progress.on_wait, location=chosen_scripts(None)
        )


COMMANDS = (Command(seed), Command(reset))
