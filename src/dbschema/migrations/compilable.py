"""Decide whether a revision can be compiled: whether it emits the same SQL for every database.

The decision uses an allowlist on the source. `upgrade` may call Alembic's operations with SQLAlchemy's types and constraints,
with text and literals. It may read no database, clock, file, or mode of execution. Alembic runs every other revision.
"""

from __future__ import annotations

import ast
import importlib
from types import ModuleType
from typing import Any, Final

from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

_OPERATIONS: Final = frozenset(
    {
        "add_column",
        "alter_column",
        "create_check_constraint",
        "create_exclude_constraint",
        "create_foreign_key",
        "create_index",
        "create_primary_key",
        "create_table",
        "create_table_comment",
        "create_unique_constraint",
        "drop_column",
        "drop_constraint",
        "drop_index",
        "drop_table",
        "drop_table_comment",
        "execute",
        "f",
        "inline_literal",
        "rename_table",
    }
)
"""Alembic's operations that only write, with the same SQL online and offline. Not bulk_insert, which binds values."""

_FUNCTIONS: Final = frozenset({"desc", "asc", "false", "func", "literal_column", "null", "text", "true"})
"""The functions of SQLAlchemy that a revision may use, in addition to types and schema items."""

_MODULES: Final = ("sqlalchemy", "geoalchemy2", "dbschema.orm.types", "dbschema.orm.geography")
_BUILTINS: Final = frozenset(
    {"dict", "enumerate", "int", "len", "list", "range", "reversed", "sorted", "str", "tuple", "zip"}
)
_NODES: Final = (
    ast.Expr, ast.Assign, ast.AnnAssign, ast.Pass, ast.Return, ast.For, ast.If, ast.IfExp, ast.With, ast.withitem,
    ast.Call, ast.keyword, ast.Attribute, ast.Name, ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Starred,
    ast.JoinedStr, ast.FormattedValue, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Subscript, ast.Slice,
    ast.ListComp, ast.DictComp, ast.GeneratorExp, ast.comprehension,
    ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context,
)  # fmt: skip


def not_compilable_reason(source: str) -> str | None:
    """Return the reason why a revision with this source cannot be compiled; None if it can."""
    tree = ast.parse(source)
    names: dict[str, Any] = {}
    functions: dict[str, ast.FunctionDef] = {}
    values: dict[str, ast.expr] = {}
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            _note_imports(node, names)
        elif isinstance(node, ast.FunctionDef):
            functions[node.name] = node
        elif (
            isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)
        ):
            values[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            values[node.target.id] = node.value
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) and not _is_for_types(
            node
        ):
            return f"line {node.lineno} does something when the file is loaded"
    if "upgrade" not in functions:
        return "it has no plain function 'upgrade'"
    return _Reader(names, functions, values).function("upgrade")


class _Forbidden(Exception):
    """The revision uses something outside the allowlist."""


class _Alembic:
    """A placeholder for the name `op`."""


class _Reader:
    """Checks `upgrade`, and the functions and values of its module that it uses."""

    def __init__(
        self, names: dict[str, Any], functions: dict[str, ast.FunctionDef], values: dict[str, ast.expr]
    ) -> None:
        self._names, self._functions, self._values = names, functions, values
        self._seen: set[str] = set()

    def function(self, name: str) -> str | None:
        """Return the first use outside the allowlist; None if it finds no such use."""
        try:
            self._function(self._functions[name])
        except _Forbidden as error:
            return str(error)
        return None

    def _function(self, node: ast.FunctionDef) -> None:
        if node.decorator_list:
            raise _Forbidden(f"line {node.lineno} has a decorator")
        arguments = node.args
        own = {argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
        own |= {
            name.id
            for name in ast.walk(node)
            if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
        }
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if default is not None:
                self._check(default, own)
        for statement in node.body:
            self._check(statement, own)

    def _check(self, node: ast.AST, own: set[str]) -> None:
        if not isinstance(node, _NODES):
            raise _Forbidden(f"line {getattr(node, 'lineno', '?')} has {type(node).__name__}")
        if isinstance(node, ast.With):
            self._with(node)
            for statement in node.body:
                self._check(statement, own)
            return
        if isinstance(node, ast.AnnAssign):
            if node.value is not None:
                self._check(node.value, own)
            return
        if isinstance(node, ast.Attribute):
            self._attribute(node, own)
            return
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            self._name(node, own)
        for child in ast.iter_child_nodes(node):
            self._check(child, own)

    def _with(self, node: ast.With) -> None:
        """Allow only the block for statements outside a transaction."""
        shown = [ast.unparse(item) for item in node.items]
        if shown != ["op.get_context().autocommit_block()"] or self._names.get("op") is not _Alembic:
            raise _Forbidden(f"line {node.lineno} has a block 'with {', '.join(shown)}'")

    def _attribute(self, node: ast.Attribute, own: set[str]) -> None:
        if node.attr.startswith("_"):
            raise _Forbidden(f"line {node.lineno} uses {node.attr}")
        parts: list[str] = []
        base: ast.expr = node
        while isinstance(base, ast.Attribute):
            parts.insert(0, base.attr)
            base = base.value
        if not isinstance(base, ast.Name) or base.id in own or base.id not in self._names:
            self._check(base, own)
            return
        value = self._names[base.id]
        for part in parts:
            if value is _Alembic:
                if part not in _OPERATIONS:
                    raise _Forbidden(f"line {node.lineno} uses op.{part}")
                return
            if not isinstance(value, ModuleType):
                break
            value = getattr(value, part, None)
            if part in _FUNCTIONS:
                return
        if not _is_declaration(value):
            raise _Forbidden(f"line {node.lineno} uses {ast.unparse(node)}")

    def _name(self, node: ast.Name, own: set[str]) -> None:
        name = node.id
        if name in own or name in _BUILTINS:
            return
        if name in self._names:
            value = self._names[name]
            if not _is_declaration(value) and getattr(value, "__name__", None) not in _FUNCTIONS:
                raise _Forbidden(f"line {node.lineno} uses {name}")
        elif name in self._functions:
            if name not in self._seen:
                self._seen.add(name)
                self._function(self._functions[name])
        elif name in self._values:
            if name not in self._seen:
                self._seen.add(name)
                self._check(self._values[name], set())
        else:
            raise _Forbidden(f"line {node.lineno} uses {name}")


def _is_declaration(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, (TypeEngine, SchemaItem))


def _note_imports(node: ast.Import | ast.ImportFrom, names: dict[str, Any]) -> None:
    """Add the objects of the imported names to `names`; None for an unknown object, which is not allowed."""
    for alias in node.names:
        bound = alias.asname or alias.name.partition(".")[0]
        if isinstance(node, ast.Import):
            names[bound] = _module(alias.name if alias.asname else bound)
        elif node.module == "alembic" and alias.name == "op":
            names[bound] = _Alembic
        else:
            module = _module(node.module or "") if node.level == 0 else None
            names[bound] = getattr(module, alias.name, None) or _module(f"{node.module}.{alias.name}")


def _module(name: str) -> ModuleType | None:
    known = any(name == module or name.startswith(f"{module}.") for module in _MODULES)
    try:
        return importlib.import_module(name) if known else None
    except ImportError:
        return None


def _is_for_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
