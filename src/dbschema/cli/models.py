"""The option that names the models."""

from typing import Annotated

import typer

from dbschema.application import VARIABLE

Models = Annotated[
    str | None,
    typer.Option(
        "--models",
        metavar="MODULE[:NAME]",
        envvar=VARIABLE,
        show_default=False,
        show_envvar=False,
        help=f"Models of an application, such as shop.models, or the MetaData or base class in it, such as shop.models:Base; {VARIABLE}. Without it, those of dbschema.",
    ),
]
