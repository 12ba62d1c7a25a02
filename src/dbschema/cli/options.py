"""Options that several commands have; a command annotates its parameters with them."""

from pathlib import Path
from typing import Annotated

from dbschema.application import VARIABLE as MODELS
from dbschema.cli.parser import Flag, Option, number
from dbschema.migrations.location import VARIABLE as SCRIPTS

Url = Annotated[
    str | None,
    Option(
        "--url",
        "ADDRESS",
        "The database, as postgresql://user@host:5432/database. Beats the environment (DATABASE_URL, DB_SECRET_ARN and others), which beats the private server.",
    ),
]
Wait = Annotated[
    float | None,
    Option(
        "--wait",
        "SECONDS",
        "How long to wait for another run on the same database; 60, or DBSCHEMA_WAIT.",
        parse=number(),
    ),
]
LockTimeout = Annotated[
    float | None,
    Option(
        "--lock-timeout",
        "SECONDS",
        "How long a statement waits for a lock, and others behind it; 0.05, or DBSCHEMA_LOCK_TIMEOUT.",
        parse=number(),
    ),
]
LockRetry = Annotated[
    float | None,
    Option(
        "--lock-retry",
        "SECONDS",
        "How long a revision is tried again that met a lock; 60, or DBSCHEMA_LOCK_RETRY.",
        parse=number(),
    ),
]
StatementTimeout = Annotated[
    float | None,
    Option(
        "--statement-timeout",
        "SECONDS",
        "How long a statement may take, 0 for ever; what the server says, or DBSCHEMA_STATEMENT_TIMEOUT.",
        parse=number(),
    ),
]
Within = Annotated[
    float | None,
    Option(
        "--within",
        "SECONDS",
        "Begin no further revision after that time; exit code 1 where some are left.",
        parse=number(0),
    ),
]
Scripts = Annotated[
    Path | None,
    Option(
        "--scripts",
        "PATH",
        f"The revisions of an application: its alembic.ini, or a folder with env.py and versions/; {SCRIPTS}. Without it, those of dbschema.",
        parse=Path,
        variable=SCRIPTS,
    ),
]
Models = Annotated[
    str | None,
    Option(
        "--models",
        "MODULE[:NAME]",
        f"Models of an application, such as shop.models, or the MetaData or base class in it, such as shop.models:Base; {MODELS}. Without it, those of dbschema.",
        variable=MODELS,
    ),
]
Json = Annotated[bool, Flag("--json", "Show the result as JSON.")]
