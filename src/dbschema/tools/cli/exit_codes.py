"""Define the exit codes, and end each command with one and at most one line for an error."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from dbschema.errors import CallRejected, DbSchemaError
from dbschema.tools.cli.output import coloured, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

FOUND = 1
WRONG = 2
INTERRUPTED = 130
BROKEN_PIPE = 141  # the exit code that a shell reports after SIGPIPE


def run_command(command: Callable[[], int], *, debug: Callable[[], bool]) -> int:
    """Run a command and return its exit code; an error is reported as one line on standard error.

    Args:
        command: the command; it returns the exit code.
        debug: returns whether to show a traceback; called after an error only. A wrong call has no traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # Escape a character that the encoding of the terminal lacks, instead of an error.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = command()
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):
        # Rich raises SystemExit on a broken pipe; nothing else raises it here.
        return _no_reader()
    except Exception as error:  # the user gets one line for any error
        traced = debug() and not isinstance(error, CallRejected)
        return _report(_message(error), error if traced else None)
    return code


def interrupted() -> int:
    """Report that the user has stopped the command, and return the exit code."""
    sys.stderr.write("\nInterrupted; the step that was under way is undone.\n")
    return INTERRUPTED


def _message(error: Exception) -> str:
    if isinstance(error, DbSchemaError):
        return f"{error} [{error.code}]"
    if isinstance(error, OSError):
        return _os_error_message(error)
    text = f"An unexpected error, {type(error).__name__}{': ' if str(error) else ''}{error}"
    advice = "Please report it with the output of 'dbschema --debug ...'"
    return f"{one_line(text).rstrip('.')}. {advice}."


def _report(text: str, traced: Exception | None) -> int:
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
        _drop_unwritable()  # there is no stream left to report it on
    return WRONG


def _os_error_message(error: OSError) -> str:
    """Return the message of the operating system; without a file name, its cause is usually our own output."""
    place = f" ({error.filename})" if error.filename else " (while writing the output, or reading a file)"
    return f"{error.strerror or error}{place}. See where with 'dbschema --debug ...'."


def _no_reader() -> int:
    """End without a message, because the reader of the output has ended, as `head` does."""
    _drop_unwritable()
    return BROKEN_PIPE


def _drop_unwritable() -> None:
    """Discard unwritable output; else the interpreter would retry at its exit and replace the exit code."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError):
                os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
