"""Define the options that several commands share; a command annotates its parameters with them."""

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
        f"The database, as postgresql://user@host:5432/database. Overrides the environment ({URL} and others), which overrides the private server.",
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
        _limit("lock", "How long a statement, and those queued behind it, wait for a lock"),
        parse=number(),
    ),
]
LockRetry = Annotated[
    float | None,
    Option(
        "--lock-retry",
        "SECONDS",
        _limit("retry", "How long to retry a revision that is blocked by a lock"),
        parse=number(),
    ),
]
StatementTimeout = Annotated[
    float | None,
    Option(
        "--statement-timeout",
        "SECONDS",
        _limit("statement", "How long a statement may take, 0: no limit"),
        parse=number(),
    ),
]
Within = Annotated[
    float | None,
    Option(
        "--within",
        "SECONDS",
        "Start no further revision after that time; exit code 1 if revisions are left.",
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
