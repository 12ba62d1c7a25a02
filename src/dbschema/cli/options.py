"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

from dbschema.migrations.location import VARIABLE

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="ADDRESS",
        show_default=False,
        help="The database, as postgresql://user@host:5432/database. Beats the environment (DATABASE_URL, DB_SECRET_ARN and others), which beats the private server.",
    ),
]
Wait = Annotated[
    float | None,
    typer.Option(
        "--wait",
        metavar="SECONDS",
        show_default=False,
        help="How long to wait for another run on the same database; 60, or DBSCHEMA_WAIT.",
    ),
]
LockTimeout = Annotated[
    float | None,
    typer.Option(
        "--lock-timeout",
        metavar="SECONDS",
        show_default=False,
        help="How long a statement waits for a lock, and others behind it; 0.05, or DBSCHEMA_LOCK_TIMEOUT.",
    ),
]
LockRetry = Annotated[
    float | None,
    typer.Option(
        "--lock-retry",
        metavar="SECONDS",
        show_default=False,
        help="How long a revision is tried again that met a lock; 60, or DBSCHEMA_LOCK_RETRY.",
    ),
]
StatementTimeout = Annotated[
    float | None,
    typer.Option(
        "--statement-timeout",
        metavar="SECONDS",
        show_default=False,
        help="How long a statement may take, 0 for ever; what the server says, or DBSCHEMA_STATEMENT_TIMEOUT.",
    ),
]
Within = Annotated[
    float | None,
    typer.Option(
        "--within",
        metavar="SECONDS",
        min=0,
        show_default=False,
        help="Begin no further revision after that time; exit code 1 where some are left.",
    ),
]
Scripts = Annotated[
    Path | None,
    typer.Option(
        "--scripts",
        metavar="PATH",
        envvar=VARIABLE,
        show_default=False,
        show_envvar=False,
        help=f"The revisions of an application: its alembic.ini, or a folder with env.py and versions/; {VARIABLE}. Without it, those of dbschema.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Show the result as JSON.")]
