"""Private names of other libraries are used in `_sqlalchemy.py` and `_alembic.py` only.

A name is private if it begins with one underscore. It is ours if a class of ours defines it and no library uses the same word;
whatever else is read from an object is another library's. A line may say why it is exempt: `# private: the reason`.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import alembic
import geoalchemy2
import pytest
import sqlalchemy
from tests.law.source import PACKAGE, ROOT, File, files, write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HOMES = {"_sqlalchemy", "_alembic"}
LIBRARIES = (sqlalchemy, alembic, geoalchemy2)

DOCUMENTED = {
    "alembic", "alembic.autogenerate", "alembic.autogenerate.api", "alembic.command", "alembic.config",
    "alembic.operations", "alembic.operations.ops", "alembic.runtime.environment", "alembic.runtime.migration",
    "alembic.runtime.plugins", "alembic.script", "alembic.util",
    "geoalchemy2", "geoalchemy2.elements", "geoalchemy2.functions", "geoalchemy2.types",
    "sqlalchemy", "sqlalchemy.dialects", "sqlalchemy.dialects.postgresql", "sqlalchemy.event", "sqlalchemy.exc",
    "sqlalchemy.ext.asyncio", "sqlalchemy.ext.compiler", "sqlalchemy.ext.mutable",
    "sqlalchemy.orm", "sqlalchemy.orm.attributes", "sqlalchemy.orm.interfaces",
    "sqlalchemy.pool", "sqlalchemy.schema", "sqlalchemy.sql.compiler", "sqlalchemy.sql.operators", "sqlalchemy.types",
}  # fmt: skip
"""The modules that the documentation of their library names as the place to import from."""

PUBLIC = {"_asdict", "_fields", "_make", "_replace"}
"""The methods of named tuples, which the standard library documents."""

BY_NAME = {"getattr", "hasattr", "setattr", "delattr", "attrgetter", "methodcaller"}
EXEMPT = re.compile(r"#.*\bprivate: \S.{9,}")
PRIVATE = re.compile(r"_[A-Za-z]\w*")


def is_private(name: str) -> bool:
    return PRIVATE.fullmatch(name) is not None and name not in PUBLIC


@cache
def words_of_libraries() -> frozenset[str]:
    """Every private word in the source of the libraries, strings included."""
    found: set[str] = set()
    for library in LIBRARIES:
        for path in Path(str(library.__file__)).parent.rglob("*.py"):
            found.update(re.findall(r"(?<!\w)_[A-Za-z]\w*", path.read_text(encoding="utf-8")))
    return frozenset(found)


def own_members(sources: Iterable[File]) -> set[str]:
    """The private names that classes of ours define, as methods, in their body, or on `self` and `cls`."""
    found: set[str] = set()
    for file in sources:
        for node in ast.walk(file.tree):
            if isinstance(node, ast.ClassDef):
                found |= {
                    each.name
                    for each in node.body
                    if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))
                }
                for each in node.body:
                    targets = (
                        each.targets if isinstance(each, ast.Assign) else [getattr(each, "target", None)]
                    )
                    found |= {target.id for target in targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
                found.add(node.attr)
    return {name for name in found if is_private(name)}


def is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in {"self", "cls"}


def foreign(base: Path) -> list[str]:
    """The uses of private names and undocumented modules of other libraries below a folder, outside their homes."""
    sources = files(base)
    own = own_members(sources)
    classes = {
        node.name: node for file in sources for node in ast.walk(file.tree) if isinstance(node, ast.ClassDef)
    }
    found = []
    for file in sources:
        if file.module.partition(".")[2] in HOMES:
            continue
        ours = bases_of_ours(file, base.name)
        uses = [
            *attributes(file, own, ours),
            *strings(file, own),
            *imports(file, base.name),
            *overrides(file, classes),
        ]
        found += [
            f"{file.at(node)} {message}" for node, message in uses if not EXEMPT.search(file.line_of(node))
        ]
    return found


def bases_of_ours(file: File, package: str) -> set[str]:
    """The local names of modules of ours that a file imports."""
    found = set()
    for node in ast.walk(file.tree):
        if isinstance(node, ast.ImportFrom) and (
            node.level or (node.module or "").partition(".")[0] == package
        ):
            found |= {alias.asname or alias.name for alias in node.names}
    return found


def attributes(file: File, own: set[str], modules: set[str]) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.walk(file.tree):
        if not isinstance(node, ast.Attribute) or not is_private(node.attr):
            continue
        name, place = node.attr, ast.unparse(node)
        if name not in own and not (isinstance(node.value, ast.Name) and node.value.id in modules):
            yield node, f"reads {place}: {name} is private to another library. {ADVICE}"
        elif name in own and not is_self(node.value) and name in words_of_libraries():
            yield node, f"reads {place}: {name} is ours and a word of a library too. Rename ours."


def strings(file: File, own: set[str]) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Call) and called(node) in BY_NAME:
            names = {
                each.value
                for each in node.args
                if isinstance(each, ast.Constant) and isinstance(each.value, str)
            }
            for name in sorted(names):
                hidden = [part for part in name.split(".") if is_private(part) and part not in own]
                if hidden:
                    yield (
                        node,
                        f"reads {name!r} by {called(node)}: it is private to another library. {ADVICE}",
                    )
        for each in constants(node):
            if is_private(each.value) and each.value not in own and each.value in words_of_libraries():
                yield each, f"names {each.value!r}, a private word of a library. {ADVICE}"


def called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


def constants(node: ast.AST) -> Iterator[ast.Constant]:
    """The strings that are a whole value: an argument, key or item, but no part of a longer text."""
    if isinstance(node, ast.Call) and called(node) not in BY_NAME:
        values = [*node.args, *(keyword.value for keyword in node.keywords)]
    elif isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        values = node.elts
    elif isinstance(node, ast.Dict):
        values = [key for key in node.keys if key is not None]
    elif isinstance(node, ast.Subscript):
        values = [node.slice]
    elif isinstance(node, ast.Compare):
        values = [node.left, *node.comparators]
    elif isinstance(node, (ast.Assign, ast.AnnAssign)):
        values = [node.value] if node.value is not None else []
    else:
        values = []
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value


def imports(file: File, package: str) -> Iterator[tuple[ast.AST, str]]:
    libraries = {library.__name__ for library in LIBRARIES}
    for node, module, name in file.imports():
        library = module.partition(".")[0]
        if library in {package, "__future__", ""}:
            continue
        if any(map(is_private, module.split("."))) or (name is not None and is_private(name)):
            yield (
                node,
                f"imports {module}{f'.{name}' if name else ''}, which is private to {library}. {ADVICE}",
            )
        elif library in libraries and (where := module_of(module, name)) not in DOCUMENTED:
            yield (
                node,
                f"imports from {where}, which {library} does not document. Use a public name, or: {ADVICE}",
            )


def module_of(module: str, name: str | None) -> str:
    """The module that a name is taken from: `from sqlalchemy.dialects import postgresql` takes from `…postgresql`."""
    inner = f"{module}.{name}"
    try:
        is_module = name is not None and importlib.util.find_spec(inner) is not None
    except ModuleNotFoundError:
        is_module = False
    return inner if is_module else module


def overrides(file: File, classes: dict[str, ast.ClassDef]) -> Iterator[tuple[ast.AST, str]]:
    """The private members that a class of ours defines over those of the library's class that it derives from."""
    foreign_names = imported_classes(file)
    for node in ast.walk(file.tree):
        if not isinstance(node, ast.ClassDef):
            continue
        parents = [
            parent for name in ancestors(node, classes) if (parent := foreign_names.get(name)) is not None
        ]
        for member in node.body:
            if isinstance(member, (ast.FunctionDef, ast.AsyncFunctionDef)):
                names = [member.name]
            elif isinstance(member, ast.Assign):
                names = [target.id for target in member.targets if isinstance(target, ast.Name)]
            else:
                continue
            for name in names:
                for parent in parents:
                    if is_private(name) and hasattr(parent, name):
                        yield member, f"defines {node.name}.{name} over that of {parent.__name__}. {ADVICE}"


def ancestors(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> Iterator[str]:
    for base in node.bases:
        plain = base.value if isinstance(base, ast.Subscript) else base
        name = plain.id if isinstance(plain, ast.Name) else getattr(plain, "attr", "")
        yield name
        if name in classes and classes[name] is not node:
            yield from ancestors(classes[name], classes)


@cache
def imported_classes_of(module: str, name: str) -> type[object] | None:
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None
    return found if isinstance(found, type) else None


def imported_classes(file: File) -> dict[str, type[object]]:
    """The classes of the libraries, by the names that the files of ours give them."""
    found = {}
    libraries = {library.__name__ for library in LIBRARIES}
    for node in ast.walk(file.tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in libraries:
            for alias in node.names:
                kind = imported_classes_of(str(node.module), alias.name)
                if kind is not None:
                    found[alias.asname or alias.name] = kind
    return found


ADVICE = "Wrap it in _sqlalchemy.py or _alembic.py, with a test; or add `# private: reason` to the line."


def report(found: list[str]) -> str:
    return f"{len(found)} private names:\n" + "\n".join(found)


def test_private_names_of_libraries_are_used_in_their_two_modules_only() -> None:
    found = foreign(PACKAGE)

    assert not found, report(found)


def test_the_revisions_and_the_function_use_no_private_names() -> None:
    found = foreign(ROOT / "alembic")

    assert not found, report(found)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f(s):\n    return s._where_criteria", "a.py:2 reads s._where_criteria"),
        ("def f(row):\n    row._mapping = 1", "a.py:2 reads row._mapping"),
        (
            "class A:\n    def f(self):\n        return self._where_criteria",
            "a.py:3 reads self._where_criteria",
        ),
        ("x = getattr(s, '_values', None)", "a.py:1 reads '_values' by getattr"),
        ("import operator\nx = operator.attrgetter('a._values')", "a.py:2 reads 'a._values' by attrgetter"),
        ("x = c.get('_is_metadata_operation')", "a.py:1 names '_is_metadata_operation'"),
        ("x = c['_is_metadata_operation']", "a.py:1 names '_is_metadata_operation'"),
        ("X = ('a', '_backslash_escapes')", "a.py:1 names '_backslash_escapes'"),
        ("X = '_backslash_escapes'", "a.py:1 names '_backslash_escapes'"),
        ("from sqlalchemy.sql.base import _generative", "a.py:1 imports sqlalchemy.sql.base._generative"),
        ("from sqlalchemy.sql._typing import T", "a.py:1 imports sqlalchemy.sql._typing.T"),
        ("from psycopg._enums import X", "a.py:1 imports psycopg._enums.X, which is private to psycopg"),
        ("import sqlalchemy.sql._typing", "a.py:1 imports sqlalchemy.sql._typing"),
        ("from sqlalchemy.sql.elements import conv", "a.py:1 imports from sqlalchemy.sql.elements"),
        ("from sqlalchemy.sql import elements", "a.py:1 imports from sqlalchemy.sql.elements"),
        (
            "def f():\n    from alembic.autogenerate import render",
            "a.py:2 imports from alembic.autogenerate.render",
        ),
        ("def f(connection):\n    connection._pq.x()", "a.py:2 reads connection._pq"),
        (
            "from sqlalchemy.orm import Session\nclass A(Session):\n    def _flush(self): ...",
            "a.py:3 defines A._flush over that of Session",
        ),
        (
            "from sqlalchemy.types import TypeDecorator\nclass A(TypeDecorator[int]):\n    _is_tuple_type = True",
            "a.py:3 defines A._is_tuple_type over that of TypeDecorator",
        ),
        (
            "from sqlalchemy.orm import Session\nclass B(Session): ...\nclass A(B):\n    def _flush(self): ...",
            "a.py:4 defines A._flush over that of Session",
        ),
        (
            "class A:\n    def __init__(self):\n        self._where_criteria = 1\ndef f(s):\n    s._where_criteria",
            "a.py:5 reads s._where_criteria: _where_criteria is ours and a word of a library too",
        ),
        ("def f(s):\n    return s._values  # private: short", "a.py:2 reads s._values"),
    ],
)
def test_a_private_name_is_found_with_its_place(tmp_path: Path, source: str, message: str) -> None:
    found = foreign(write(tmp_path, a=source))

    assert len(found) == 1, found
    assert found[0].startswith(message)


@pytest.mark.parametrize(
    "source",
    [
        "class A:\n    def __init__(self):\n        self._place_of_ours = 1\ndef f(a):\n    return a._place_of_ours",
        "class A:\n    _ours_only: int\n    def f(self):\n        return self._ours_only",
        "class A:\n    def f(self, other):\n        return self._where_criteria\n    _where_criteria = 1",
        "from dbschema import b\nx = b._helper",
        "def f(s):\n    return s.__dict__, s.__class__._x  # private: the standard library has no other way",
        "x = f'{table}_updated_at' + '_values'",
        '"""_values"""',
        "def f(pair):\n    return pair._replace(a=1)",
        "def f(_values):\n    return _values",
        "from sqlalchemy.schema import conv\nfrom sqlalchemy.dialects import postgresql\nimport alembic.command",
        "from sqlalchemy.orm import Session\nclass A(Session):\n    def _ours_only(self): ...",
        "def f(s):\n    return s._values  # private: no public name since 2.1, removed with issue 9",
    ],
)
def test_a_name_of_ours_passes(tmp_path: Path, source: str) -> None:
    assert foreign(write(tmp_path, a=source, b="def _helper(): ...")) == []


def test_the_two_modules_may_use_private_names(tmp_path: Path) -> None:
    base = write(tmp_path, _sqlalchemy="def f(s):\n    return s._values", _alembic="from alembic.x import _y")

    assert foreign(base) == []


def test_the_words_of_the_libraries_are_read() -> None:
    assert {"_where_criteria", "_name_filters", "_is_metadata_operation"} <= words_of_libraries()
