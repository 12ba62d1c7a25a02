"""Options that several commands have; a command annotates its parameters with them."""

from pathlib import Path
from typing import Annotated

from dbschema.connect.settings import ENVIRONMENT as URL
from dbschema.migrations.location import VARIABLE as SCRIPTS
from dbschema.migrations.timeouts import ENVIRONMENT as LIMITS
from dbschema.tools.application import VARIABLE as MODELS
from dbschema.tools.cli.parser import Flag, Option, number


def _limit(field: str, meaning: str) -> str:
    variable = LIMITS[field]
    return f"{meaning}; {variable.default}, or {variable}."


Url = Annotated[
    str | None,
    Option(
        "--url",
        "ADDRESS",
        f"The database, as postgresql://user@host:5432/database. Beats the environment ({URL} and others), which beats the private server.",
    ),
]
Wait = Annotated[
    float | None,
    Option(
        "--wait",
        "SECONDS",
        _limit("wait", "How long to wait for another run on the same database"),
        parse=number(),
    ),
]
LockTimeout = Annotated[
    float | None,
    Option(
        "--lock-timeout",
        "SECONDS",
        _limit("lock", "How long a statement waits for a lock, and others behind it"),
        parse=number(),
    ),
]
LockRetry = Annotated[
    float | None,
    Option(
        "--lock-retry",
        "SECONDS",
        _limit("retry", "How long a revision is tried again that met a lock"),
        parse=number(),
    ),
]
StatementTimeout = Annotated[
    float | None,
    Option(
        "--statement-timeout",
        "SECONDS",
        _limit("statement", "How long a statement may take, 0 for ever"),
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
