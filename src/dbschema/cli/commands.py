"""What every command shares: one line for an error, and the exit codes.

Typer alone would print a usage text of several lines, a traceback for what is not its own, and leave with 1 where a pipe
breaks or Ctrl-C is pressed at the wrong moment.
"""

import os
import sys
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from dbschema.cli.output import coloured, one_line
from dbschema.errors import DbSchemaError

FOUND = 1
WRONG = 2
INTERRUPTED = 130
BROKEN_PIPE = 141  # what a shell reports of a program that SIGPIPE ends


class CallRefused(DbSchemaError):
    """The command was called in a way that it does not accept."""


class Commands(TyperGroup):
    """The group of all commands. `debug` shows the traceback of an error before its line."""

    debug: bool = False

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an interrupt is told, and not mistaken for an error."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            sys.stderr.write("\nInterrupted; the step that was under way is undone.\n")
            raise typer.Exit(INTERRUPTED) from error

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the command line, and end the process with its exit code."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                # A sign that the terminal's encoding lacks is shown as an escape, and is no error.
                stream.reconfigure(errors="backslashreplace")
        try:
            code = super().main(*args, **{**options, "standalone_mode": False})
            sys.stdout.flush()
        except (BrokenPipeError, SystemExit):
            # Typer answers a broken pipe with an exit of its own, the only one that it makes here.
            code = _no_reader()
        except typer.Abort:
            code = self._failed("Nothing was done: the question was not answered with yes", None)
        except typer.TyperException as error:
            code = self._failed(_usage(error), None)
        except DbSchemaError as error:
            code = self._failed(str(error), error)
        except OSError as error:
            code = self._failed(_system(error), error)
        except Exception as error:  # whatever it is, a user gets one line
            text = f"An unexpected error, {type(error).__name__}{': ' if str(error) else ''}{error}"
            advice = "Please report it with what 'dbschema --debug ...' shows"
            code = self._failed(f"{one_line(text).rstrip('.')}. {advice}.", error)
        sys.exit(code if isinstance(code, int) else 0)

    def _failed(self, text: str, error: Exception | None) -> int:
        if self.debug and error is not None:
            traceback.print_exception(error)
        label = "\x1b[31mError:\x1b[0m" if coloured(sys.stderr) else "Error:"
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            return _no_reader()
        except OSError:
            _drop_unwritable()
        try:
            sys.stderr.write(f"{label} {one_line(text)}\n")
            sys.stderr.flush()
        except BrokenPipeError:
            return _no_reader()
        except OSError:
            _drop_unwritable()  # there is nowhere left to tell it
        return WRONG


def _system(error: OSError) -> str:
    """What the operating system refuses; without the name of a file, it is mostly our own output that it means."""
    place = f" ({error.filename})" if error.filename else " (while writing the output, or reading a file)"
    return f"{error.strerror or error}{place}. See where with 'dbschema --debug ...'."


def _usage(error: typer.TyperException) -> str:
    """What is wrong with the call, and where the right one is described."""
    text = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    path = "dbschema" if context is None else context.command_path
    return f"{text}. See '{path} --help'."


def _no_reader() -> int:
    """Whoever read our output has gone, as `head` does: be quiet."""
    _drop_unwritable()
    return BROKEN_PIPE


def _drop_unwritable() -> None:
    """Forget what cannot be written: the interpreter would try again at its end, and end with a code of its own."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError):
                os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
