"""What every command shares: one line for an error, and the exit codes.

Typer alone would print a usage text of several lines, a traceback for what is not its own, and leave with 1 where a pipe
breaks or Ctrl-C is pressed at the wrong moment.
"""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from dbschema.cli.ending import ended, interrupted


class Commands(TyperGroup):
    """The group of all commands. `debug` shows the traceback of an error before its line."""

    debug: bool = False

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an interrupt is told, and not mistaken for an error."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise typer.Exit(interrupted()) from error

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the command line, and end the process with its exit code."""
        plain = super().main
        sys.exit(
            ended(
                lambda: plain(*args, **{**options, "standalone_mode": False}),
                debug=lambda: self.debug,
                words=_words,
            )
        )


def _words(error: Exception) -> str | None:
    if isinstance(error, typer.Abort):
        return "Nothing was done: the question was not answered with yes"
    return _usage(error) if isinstance(error, typer.TyperException) else None


def _usage(error: typer.TyperException) -> str:
    """What is wrong with the call, and where the right one is described."""
    text = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    path = "dbschema" if context is None else context.command_path
    return f"{text}. See '{path} --help'."
