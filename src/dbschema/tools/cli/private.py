"""Define the commands for the private server and for connections: up, down, url, psql."""

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from dbschema.errors import CallRejected
from dbschema.tools.cli.options import Json, Url
from dbschema.tools.cli.output import Screen, ask, is_terminal
from dbschema.tools.cli.parser import Command, Flag, Rest
from dbschema.tools.cli.place import database, start_private

if TYPE_CHECKING:
    from dbschema.connect import Settings

# Variables that direct psql to another server or require a feature that the private server does not have.
_MISLEADING = (
    "PGHOSTADDR",
    "PGSERVICE",
    "PGOPTIONS",
    "PGTARGETSESSIONATTRS",
    "PGCHANNELBINDING",
    "PGGSSENCMODE",
)


def up(
    no_seed: Annotated[bool, Flag("--no-seed", "Write no data.")] = False,
    as_json: Json = False,
) -> None:
    """Start the private server, upgrade its database, write reference and sample data, and show it.

    The command ignores the address in the environment.

    JSON: database, before, after, steps and left (id, doc), unknown (ids), rows (as of seed), tables (name, number of rows).
    """
    from dbschema import connect  # noqa: PLC0415  imports SQLAlchemy
    from dbschema.migrations import runner  # noqa: PLC0415  imports Alembic
    from dbschema.tools.cli.data import write_seeds  # noqa: PLC0415  as above
    from dbschema.tools.cli.runs import Progress, chosen_scripts, run_data, show_run  # noqa: PLC0415  as above

    screen = Screen(as_json=as_json)
    settings = connect.resolve(environ={}, fallback=lambda: start_private(screen))
    with Progress(screen) as progress:
        run = runner.upgrade(
            settings, on_step=progress.on_step, on_wait=progress.on_wait, location=chosen_scripts(None)
        )
    show_run(screen, run)
    rows = {} if no_seed else write_seeds(screen, settings, reference=True, sample=True)
    counts = _row_counts(settings)
    screen.line()
    screen.table(["Table", "Rows"], counts.items())
    screen.line()
    screen.line(f"Database  {settings.place}, user {settings.user}")
    screen.line(f"Revision  {run.after or 'none'}")
    screen.line('Look at   psql "$(dbschema url)", or dbschema psql')
    screen.line("Check     dbschema verify")
    screen.line("Stop      dbschema down (the data stay)")
    screen.data({**run_data(run), "rows": rows, "tables": counts})
    if name := connect.variable():
        screen.note(
            f"Note: {name} is set, so the other commands use that database and not the private server."
        )


def down(
    destroy: Annotated[bool, Flag("--destroy", "Remove its data too.")] = False,
    yes: Annotated[bool, Flag("--yes", "Do not ask; on a terminal, --destroy asks.")] = False,
    as_json: Json = False,
) -> None:
    """Stop the private server. Its data stay, except with --destroy.

    JSON: home, stopped, destroyed.
    """
    from dbschema.tools.server import PrivateServer  # noqa: PLC0415  slow to import

    screen = Screen(as_json=as_json)
    server = PrivateServer()
    if destroy:
        if not yes and sys.stdin.isatty() and is_terminal(sys.stdout):
            answer = ask(f"Remove all data of the private server in {server.home}? [y/N]", sys.stdout)
            if answer.lower() not in {"y", "yes"}:
                raise CallRejected(
                    "Nothing was done: the question was not answered with yes", "Answer y, or call with --yes"
                )
        running = server.status().running
        with screen.step(f"Remove the private server in {server.home}"):
            destroyed = server.destroy()
        screen.line("Its data are removed." if destroyed else "There was no private server.")
        screen.data({"home": str(server.home), "stopped": running, "destroyed": destroyed})
        return
    stopped = server.stop()
    screen.line(
        f"The private server in {server.home} has stopped; its data stay."
        if stopped
        else f"No private server was running in {server.home}."
    )
    screen.data({"home": str(server.home), "stopped": stopped, "destroyed": False})


def url(url: Url = None, as_json: Json = False) -> None:
    """Print the address of the database with its password, in the form of psql and other libpq clients.

    JSON: url, source.
    """
    screen = Screen(as_json=as_json)
    # Standard output must contain the address only.
    settings = database(url, Screen(as_json=True))
    screen.line(settings.libpq_url())
    screen.data({"url": settings.libpq_url(), "source": settings.source})


def psql(
    arguments: Annotated[list[str], Rest("ARGUMENTS", "The arguments of psql, such as -c '\\dt'.")],
    url: Url = None,
) -> None:
    """Open psql on the database; all arguments after --url go to psql."""
    from dbschema import connect  # noqa: PLC0415  imports SQLAlchemy

    settings = database(url, Screen(as_json=True))
    program = _find_psql(settings)
    environment = dict(os.environ)
    if settings.is_private:
        for name in _MISLEADING:
            environment.pop(name, None)
        environment["PGSSLMODE"] = "disable"
    if (password := connect.password(settings)) is not None:
        # Not as an argument: every user of this machine can read the arguments of a process.
        environment["PGPASSWORD"] = password
    sys.stdout.flush()
    os.execve(  # noqa: S606  the arguments are a list, without a shell
        program, [str(program), "-d", settings.libpq_url(password=False), *arguments], environment
    )


def _find_psql(settings: "Settings") -> Path:
    from dbschema.tools.server import PrivateServer  # noqa: PLC0415  slow to import
    from dbschema.tools.server.binaries import candidate_folders  # noqa: PLC0415  as above

    folders = []
    if settings.is_private and (folder := PrivateServer().status().bin_dir) is not None:
        folders.append(folder)
    if (found := shutil.which("psql")) is not None:
        folders.append(Path(found).parent)
    for folder in (*folders, *candidate_folders()):
        if os.access(folder / "psql", os.X_OK):
            return folder / "psql"
    raise CallRejected(
        "The program psql is not on PATH, nor beside a server of this machine",
        "Install PostgreSQL's client (Debian and Ubuntu: apt-get install postgresql-client)",
    )


def _row_counts(settings: "Settings") -> dict[str, int]:
    from dbschema import connect  # noqa: PLC0415  imports psycopg
    from dbschema.migrations import preflight  # noqa: PLC0415  as above

    with connect.translating(settings), connect.open(settings) as connection:
        return preflight.row_counts(connection)


COMMANDS = (
    Command(up),
    Command(down),
    Command(url),
    Command(psql, short_help=False),  # psql has its own option -h
)
