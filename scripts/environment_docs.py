"""Write docs/environment.md from the declarations of environment variables in the code and in the Makefile.

`python scripts/environment_docs.py` writes it; with `--check` nothing is written, and the exit code is 1 if it is stale.
"""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import get_args

import dbschema
from dbschema.environment import Reader, Variable

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "environment.md"
HEAD = """# Environment variables

`make docs` writes this page from the declarations in the code; a test fails if it is stale. An option overrides its
variable, and an empty or blank variable counts as not set. Secrets Manager, the parameter store, IAM tokens and the
RDS Data API are used through boto3, which reads its own variables, such as `AWS_REGION` and `AWS_PROFILE`; libpq reads its
own (`PG…`) in addition to those listed here. `dbschema psql` does not pass libpq's variables to psql if they would select
another server than the private one.
"""
READERS: Mapping[Reader, str] = {
    "connections": "every program that connects to a database: the command line, the function, an application",
    "runs": "a run of revisions or a comparison, by the command line or the function",
    "command line": "`dbschema`",
    "private server": "the private server, of `dbschema` and of tests",
    "function": "the function in AWS Lambda",
    "tests": "the pytest plugin",
    "make": "`make`",
}
# Make and the programs that it calls are not part of the package.
MAKE = (
    Variable("PYTHON", "The interpreter for the virtual environment.", reader="make", default="the newest that is found", example="python3.13"),
    Variable("VENV", "The folder of the virtual environment.", reader="make", default=".venv", example="/srv/venv"),
    Variable("ARGS", "More arguments for the program that the target calls.", reader="make", example="-k name"),
    Variable("JOBS", "How many processes run tests.", reader="make", default="auto", example="2"),
    Variable("COVERAGE", "Whether `make test` measures coverage: 1.", reader="make", example="1"),
    Variable("RDS_BUNDLE", "The file with RDS's certificates for the archive of the function, or `none`.", reader="make", default="they are fetched", example="global-bundle.pem"),
)  # fmt: skip


def declared() -> list[Variable]:
    """Return all variables, grouped by reader, in the order of their declarations."""
    found: dict[Variable, None] = {}
    for module in pkgutil.walk_packages(dbschema.__path__, "dbschema."):
        if not module.name.startswith("dbschema.migrations._alembic"):
            for value in vars(import_module(module.name)).values():
                found.update(dict.fromkeys(_variables(value)))
    readers = get_args(Reader)
    return sorted([*found, *MAKE], key=lambda variable: readers.index(variable.reader))


def _variables(value: object) -> Iterator[Variable]:
    """Find the variables in a constant of a module."""
    if isinstance(value, Variable):
        yield value
    elif isinstance(value, tuple | Mapping):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _variables(inner)


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def page() -> str:
    readers = [f"- {reader}: {meaning}" for reader, meaning in READERS.items()]
    lines = [
        HEAD,
        "Read by:",
        "",
        *readers,
        "",
        "| name | read by | meaning | default | example |",
        "| --- | --- | --- | --- | --- |",
    ]
    for variable in declared():
        example = f"`{variable.example}`" if variable.example else ""
        cells = (f"`{variable}`", variable.reader, variable.meaning, variable.default or "not set", example)
        lines.append(f"| {' | '.join(map(cell, cells))} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    text = page()
    if arguments == ["--check"]:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
            return 0
        sys.stderr.write(f"{PAGE.name} is not what the code declares. Run `make docs` and commit it.\n")
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
