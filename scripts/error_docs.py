"""Write docs/errors.md and the tree in the docstring of dbschema.errors from the error classes.

`python scripts/error_docs.py` writes both; with `--check` nothing is written, and the exit code is 1 if one of them is stale.
"""

from __future__ import annotations

import inspect
import pkgutil
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import dbschema
from dbschema.errors import DbSchemaError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "errors.md"
SOURCE = ROOT / "src" / "dbschema" / "errors.py"
HEAD = """# Errors

`make docs` writes this page from the error classes; a test fails if it is stale.

Each error of this package is a `dbschema.errors.DbSchemaError`. Its message names the object, the place and the next step. Its `code`
is stable: programs compare it, and users find it here. The command line prints it at the end of the line
(`Error: … [lock-busy]`, exit code 2); the function in AWS Lambda prints it at the end of the message and logs it as `code`. An error of
another library has the code `unexpected` there.

If a family has no narrower class for a situation, the class of the family is raised; the message has the details.
"""
OPENING = "Tree (written by scripts/error_docs.py):\n"
CLOSING = "End of the tree.\n"
_PART = r"(?:(?!\n\n).)+"
_FORM = re.compile(
    rf"(?P<cause>{_PART})\n\nChanged: (?P<changed>{_PART}?)\nFix: (?P<fix>{_PART})(?:\n\n(?:Args|Attributes):\n.*)?",
    re.DOTALL,
)


class Description(NamedTuple):
    """The parts of the docstring of an error class, each on one line."""

    cause: str
    changed: str
    fix: str


def load() -> None:
    """Import all modules of the package, so that all classes exist."""
    for module in pkgutil.walk_packages(dbschema.__path__, "dbschema."):
        if not module.name.endswith("__main__"):
            import_module(module.name)


def children(kind: type[DbSchemaError]) -> list[type[DbSchemaError]]:
    """The direct children of `kind` in this package, by name."""
    ours = {child for child in kind.__subclasses__() if child.__module__.startswith("dbschema.")}
    return sorted(ours, key=lambda child: (child.__name__, child.__module__))


def walk(
    kind: type[DbSchemaError] = DbSchemaError, depth: int = 0
) -> Iterator[tuple[type[DbSchemaError], int]]:
    """`kind` and all classes below it, each before its children, with their depth."""
    yield kind, depth
    for child in children(kind):
        yield from walk(child, depth + 1)


def describe(kind: type[DbSchemaError]) -> Description:
    """The parts of the docstring.

    Raises:
        ValueError: the docstring does not have the form.
    """
    match = _FORM.fullmatch(inspect.cleandoc(vars(kind).get("__doc__") or ""))
    if match is None:
        where = f"{kind.__module__}.{kind.__name__}"
        raise ValueError(f"The docstring of {where} is not 'cause', 'Changed: …', 'Fix: …'")
    return Description(*(" ".join(match[name].split()) for name in Description._fields))


def tree() -> str:
    """All classes, indented by depth, with their module."""
    lines = [("    " * (depth + 1) + kind.__name__, kind.__module__) for kind, depth in walk()]
    width = max(len(name) for name, _ in lines) + 2
    return "\n".join(f"{name:<{width}}{module}" for name, module in lines) + "\n"


def with_tree(source: str) -> str:
    """Replace the tree between its two marker lines in `source`, the text of dbschema.errors."""
    before, _, rest = source.partition(OPENING)
    _, _, after = rest.partition(CLOSING)
    return f"{before}{OPENING}\n{tree()}\n{CLOSING}{after}"


def row(kind: type[DbSchemaError]) -> str:
    """The line of a class in its table."""
    parts = (f"{part[0].upper()}{part[1:]}" for part in describe(kind))
    cells = (f"`{kind.code}`", f"`{kind.__name__}`", *parts)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def page() -> str:
    """The text of docs/errors.md: a table for each family."""
    families = [(kind, [member for member, _ in walk(kind)]) for kind in children(DbSchemaError)]
    general = [DbSchemaError, *(kind for kind, members in families if len(members) == 1)]
    tables = [("General", general)]
    tables += [(kind.__name__, members) for kind, members in families if len(members) > 1]
    lines = [HEAD]
    for title, members in tables:
        lines += [
            f"## {title}",
            "",
            "| code | class | cause | changed | fix |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines += [*(row(kind) for kind in sorted(members, key=lambda member: member.code)), ""]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    load()
    source = SOURCE.read_text(encoding="utf-8")
    fresh = {PAGE: page(), SOURCE: with_tree(source)}
    stale = [
        path for path, text in fresh.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if arguments == ["--check"]:
        for path in stale:
            sys.stderr.write(f"{path.relative_to(ROOT)} is stale. Run: make docs\n")
        return 1 if stale else 0
    for path in stale:
        path.write_text(fresh[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
