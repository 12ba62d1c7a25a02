"""Run the command line `dbschema`."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command line with the arguments of this process, and exit with its exit code.

    0: done; 1: a finding (a difference, a failed check, a pending revision); 2: a wrong call or an error;
    130: interrupted; 141: the reader of the output has ended.
    """
    # Imported objects live until the exit. Garbage collection of them, during the imports and at the exit, takes a
    # tenth of the time of an empty upgrade.
    gc.set_threshold(50_000, *gc.get_threshold()[1:])
    try:
        from dbschema.tools.cli.app import run  # noqa: PLC0415  handle an interrupt during this import too

        code = run(sys.argv[1:])
        gc.freeze()
        sys.exit(code)
    except KeyboardInterrupt:
        sys.exit(130)
