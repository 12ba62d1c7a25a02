"""The command line `dbschema`."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command line with the arguments of this process, and end it with the exit code.

    0: done; 1: the command has found something (a difference, a failed check, a pending revision); 2: a wrong call, or
    an error; 130: interrupted.
    """
    # What is imported stays to the end. To look through it for garbage, while it loads and once more at the end, takes a
    # tenth of an empty upgrade.
    gc.set_threshold(50_000, *gc.get_threshold()[1:])
    try:
        from dbschema.tools.cli.app import run  # noqa: PLC0415  an interrupt while this loads is an interrupt like any other

        code = run(sys.argv[1:])
        gc.freeze()
        sys.exit(code)
    except KeyboardInterrupt:
        sys.exit(130)
