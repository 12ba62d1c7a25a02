"""The command line `dbschema`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line with the arguments of this process, and end it with the exit code.

    0: done; 1: the command has found something (a difference, a failed check, a pending revision); 2: a wrong call, or
    an error; 130: interrupted.
    """
    try:
        from dbschema.cli import quick  # noqa: PLC0415  an interrupt while this loads is an interrupt like any other

        call = quick.read(sys.argv[1:])
        if call is not None:
            sys.exit(quick.run(call))
        from dbschema.cli.app import app  # noqa: PLC0415  Typer takes time to import

        app(prog_name="dbschema")
    except KeyboardInterrupt:
        sys.exit(130)
