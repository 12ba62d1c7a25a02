"""No circle of files: no file imports itself over others, neither for type checking nor inside a function."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from tests.law.source import PACKAGE, files, write

if TYPE_CHECKING:
    from pathlib import Path


def graph(base: Path) -> dict[str, dict[str, str]]:
    """The modules that each module imports, with the place of the import.

    `from package import name` is an import of the module `package.name` if there is one, else of the package's file.
    """
    sources = {file.module: file for file in files(base)}
    edges: dict[str, dict[str, str]] = {module: {} for module in sources}
    for module, file in sources.items():
        for node, origin, name in file.imports():
            target = f"{origin}.{name}" if f"{origin}.{name}" in sources else origin
            if target in sources and target != module:
                edges[module].setdefault(target, file.at(node))
    return edges


def circles(base: Path) -> list[str]:
    """Each circle as the chain of its imports, with the places; an import that closed a circle is then left out."""
    edges, found = graph(base), []
    while True:
        try:
            TopologicalSorter(edges).prepare()
        except CycleError as error:
            path: list[str] = error.args[1][::-1]  # graphlib names the imported module first
            steps = [f"  {edges[one][other]} {one} imports {other}" for one, other in pairwise(path)]
            found.append("\n".join([" -> ".join(path), *steps]))
            del edges[path[-2]][path[-1]]
        else:
            return found


def test_no_file_imports_itself_over_others() -> None:
    found = circles(PACKAGE)

    assert not found, f"{len(found)} circles of files:\n" + "\n".join(found)


def test_a_circle_is_printed_with_the_place_of_each_import(tmp_path: Path) -> None:
    base = write(
        tmp_path,
        a="from dbschema.b import x",
        b="\nimport dbschema.c",
        c="\n\nfrom dbschema import a",
        d="import dbschema.a",
    )

    (found,) = circles(base)

    chain, *steps = found.splitlines()
    assert set(chain.split(" -> ")) == {"dbschema.a", "dbschema.b", "dbschema.c"}
    assert sorted(steps) == [
        "  a.py:1 dbschema.a imports dbschema.b",
        "  b.py:2 dbschema.b imports dbschema.c",
        "  c.py:3 dbschema.c imports dbschema.a",
    ]


@pytest.mark.parametrize(
    "source",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from dbschema.b import x",
        "def f():\n    from dbschema.b import x",
        "def f():\n    import dbschema.b",
        "class A:\n    def f(self):\n        from . import b",
        "from .b import x",
        "try:\n    from dbschema import b\nexcept ImportError:\n    pass",
    ],
)
def test_an_import_counts_wherever_it_is_written(tmp_path: Path, source: str) -> None:
    assert len(circles(write(tmp_path, a=source, b="from dbschema.a import y"))) == 1


def test_a_package_and_its_module_make_a_circle(tmp_path: Path) -> None:
    base = write(tmp_path, p__init="from dbschema.p.a import x", p__a="from dbschema.p import y")

    assert len(circles(base)) == 1


def test_a_module_that_a_package_shows_may_import_its_siblings(tmp_path: Path) -> None:
    base = write(
        tmp_path,
        p__init="from dbschema.p.a import x",
        p__a="from dbschema.p import b\nfrom .b import z",
        p__b="import dbschema.q",
        q="import sqlalchemy",
    )

    assert circles(base) == []


def test_several_circles_are_all_found(tmp_path: Path) -> None:
    base = write(
        tmp_path,
        a="import dbschema.b",
        b="import dbschema.a",
        c="import dbschema.d",
        d="import dbschema.c",
        e="import dbschema.a, dbschema.c",
    )

    assert len(circles(base)) == 2
