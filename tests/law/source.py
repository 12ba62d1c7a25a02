"""Python source as the law tests read it: files, modules, imports and places."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "dbschema"


@dataclass(frozen=True)
class File:
    """A Python file.

    Args:
        path: of the file.
        base: the folder that messages and module names start from.
    """

    path: Path
    base: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))

    @property
    def name(self) -> str:
        """The path from the base, with slashes."""
        return self.path.relative_to(self.base).as_posix()

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def module(self) -> str:
        """The dotted name, which starts with the name of the base folder."""
        parts = (self.base.name, *self.path.relative_to(self.base).with_suffix("").parts)
        return ".".join(parts[:-1] if self.is_package else parts)

    def at(self, node: ast.AST) -> str:
        """The place of a node, as `file:line`."""
        return f"{self.name}:{getattr(node, 'lineno', 1)}"

    def line_of(self, node: ast.AST) -> str:
        return self.lines[getattr(node, "lineno", 1) - 1]

    @cached_property
    def docstrings(self) -> set[int]:
        """The ids of the string constants that are docstrings, of modules, classes, functions and attributes."""
        found = set()
        for node in ast.walk(self.tree):
            body = getattr(node, "body", None)
            for statement in body if isinstance(body, list) else ():
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                    found.add(id(statement.value))
        return found

    @cached_property
    def for_type_checking(self) -> set[int]:
        """The ids of the nodes below `if TYPE_CHECKING:`."""
        found = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.If) and ast.unparse(node.test) in {
                "TYPE_CHECKING",
                "typing.TYPE_CHECKING",
            }:
                found |= {id(each) for statement in node.body for each in ast.walk(statement)}
        return found

    def imports(self) -> Iterator[tuple[ast.stmt, str, str | None]]:
        """Each import at any depth, TYPE_CHECKING included: the statement, the module, the name taken from it."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield node, alias.name, None
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    yield node, self._origin(node), alias.name

    def _origin(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.module.split(".")
        parts = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*parts, *([node.module] if node.module else [])])


def files(base: Path) -> list[File]:
    """The Python files below a folder, without the link to the revisions, which are not modules."""
    paths = sorted(path for path in base.rglob("*.py") if not any(each.is_symlink() for each in path.parents))
    return [File(path, base) for path in paths]


def write(folder: Path, **sources: str) -> Path:
    """Write a package `dbschema` for a test: `catalog__model="…"` becomes `catalog/model.py`."""
    package = folder / "dbschema"
    for name, source in {"": "", **sources}.items():
        path = package.joinpath(*name.split("__")).with_suffix(".py") if name else package / "__init__.py"
        if path.stem == "init":
            path = path.with_name("__init__.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name("__init__.py").touch()
        path.write_text(source, encoding="utf-8")
    return package
