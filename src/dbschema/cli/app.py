"""All commands together, in the order of the help; the work of each is imported when it is called."""

from typing import Annotated

import typer

from dbschema.cli import adoption, checks, compiling, data, private, revisions, tenant
from dbschema.cli.commands import Commands

HELP = """
The schema of a multi-tenant PostgreSQL database: upgrade it, check it, seed it.

Which database: [bold]--url[/bold], else [bold]DATABASE_URL[/bold], else what AWS keeps ([bold]DB_SECRET_ARN[/bold], [bold]RDS_SECRET_ARN[/bold], [bold]DB_SSM_PREFIX[/bold]), else a private server of this project, started when it is needed.

Exit codes: 0 done, 1 something was found (a difference, a failed check, a pending revision), 2 a wrong call or an error.
"""

app = typer.Typer(
    name="dbschema",
    cls=Commands,
    help=HELP,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415  takes time, and is asked for seldom

        typer.echo(f"dbschema {version('dbschema')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="DBSCHEMA_DEBUG", help="Show where an error came from.")
    ] = False,
    version: Annotated[  # noqa: ARG001  its callback has answered
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    root = context.command
    if isinstance(root, Commands):
        root.debug = debug
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


for module in (private, revisions, compiling, adoption, checks, data, tenant):
    module.register(app)
