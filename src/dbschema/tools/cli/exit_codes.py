"""How every command ends: one line for an error, and the exit codes."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from dbschema.errors import CallRefused, DbSchemaError
from dbschema.tools.cli.output import coloured, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

FOUND = 1
WRONG = 2
INTERRUPTED = 130
BROKEN_PIPE = 141  # what a shell reports of a program that SIGPIPE ends


def ended(command: Callable[[], int], *, debug: Callable[[], bool]) -> int:
    """Run a command; the exit code, after the line that tells its error.

    Args:
        command: gives the exit code.
        debug: whether the traceback of an error is shown before its line; asked when there is one. A wrong call has none.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A sign that the terminal's encoding lacks is shown as an escape, and is no error.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = command()
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):
        # Rich answers a broken pipe with an exit of its own, the only one that is made here.
        return _no_reader()
    except Exception as error:  # whatever it is, a user gets one line
        traced = debug() and not isinstance(error, CallRefused)
        return _failed(_told(error), error if traced else None)
    return code


def interrupted() -> int:
    """Tell that the user has stopped the command; the exit code."""
    sys.stderr.write("\nInterrupted; the step that was under way is undone.\n")
    return INTERRUPTED


def _told(error: Exception) -> str:
    if isinstance(error, DbSchemaError):
        return f"{error} [{error.code}]"
    if isinstance(error, OSError):
        return _system(error)
    text = f"An unexpected error, {type(error).__name__}{': ' if str(error) else ''}{error}"
    advice = "Please report it with what 'dbschema --debug ...' shows"
    return f"{one_line(text).rstrip('.')}. {advice}."


def _failed(text: str, traced: Exception | None) -> int:
    if traced is not None:
        import traceback  # noqa: PLC0415  for a developer

        traceback.print_exception(traced)
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
