"""Run the command line with `python -m dbschema`."""

from __future__ import annotations

from dbschema.tools.cli import main

if __name__ == "__main__":
    main()
