"""The engine names no table of ours: no table, column, constraint, index or model.

The names are those of `dbschema.models` at the time of the test. What the mixins bring (`tenant_id`, `created_at`, …) belongs
to the engine. Docstrings are free. A word of English is a table or column only where the place says so:

- A constraint, an index, and a table with an underscore in its name: in any string, and as any identifier.
- A column with an underscore in its name: in any string; as an identifier after `.c.` or `.columns.` only.
- A table of one word (`users`): as a whole string, or after FROM, JOIN, INTO, UPDATE, TABLE, ON or REFERENCES in SQL.
- A column of one word (`slug`): after `.c.` or `.columns.`, or with a table of ours before the dot in SQL.
- A model: as a name imported from or read from `models`.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.law.source import PACKAGE, File, files, write

from dbschema.models import metadata

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENGINE = {
    "_alembic", "_retry", "_sqlalchemy", "autogenerate", "catalog", "connect", "ddl", "errors", "loading", "migrations",
    "orm", "secrecy", "sessions", "sql", "verify",
}  # fmt: skip

OF_MIXINS = {"id", "tenant_id", "created_at", "updated_at", "version"}
"""The columns that the mixins bring: the engine may name them."""

ALLOWED: dict[tuple[str, str], str] = {
    ("ddl", "user_id"): "the acting user of the audit log, a setting and a column of any such log",
    ("ddl", "ip_address"): "the acting user's address, likewise",
    ("ddl", "resource_id"): "a column of any audit log",
    ("ddl", "resource_type"): "a column of any audit log",
    ("ddl", "audit_logs"): "default of `Audited.__audit_tables__`, which a model may set",
    ("ddl", "tenants"): "likewise; and the default of `__tenant_reference__`",
    ("ddl", "users"): "likewise",
    ("sessions", "user_id"): "the acting user, an argument of every session",
    ("sessions", "ip_address"): "the acting user's address, likewise",
}
"""Names that a package of the engine may use, and why."""

BEFORE_TABLE = r"(?:FROM|JOIN|INTO|UPDATE|TABLE|ON|REFERENCES)(?:\s+ONLY)?"
SQL = re.compile(rf"\b{BEFORE_TABLE}\s+(?:\w+\.|\"\w+\"\.)?\"?(\w+)\"?")
QUALIFIED = re.compile(r"\b(\w+)\.(\w+)\b")


@dataclass(frozen=True)
class Names:
    """The names of the schema."""

    tables: frozenset[str]
    columns: frozenset[str]
    constraints: frozenset[str]

    @property
    def specific(self) -> frozenset[str]:
        """The names that no prose uses."""
        return frozenset(name for name in self.tables | self.columns if "_" in name) | self.constraints


def names() -> Names:
    tables = metadata.tables.values()
    constraints = {
        str(each.name) for table in tables for each in (*table.constraints, *table.indexes) if each.name
    }
    columns = {column.name for table in tables for column in table.columns} - OF_MIXINS
    return Names(frozenset(table.name for table in tables), frozenset(columns), frozenset(constraints))


NAMES = names()


def of_engine(base: Path) -> list[File]:
    return [
        file for file in files(base) if file.module.split(".")[1:2] and file.module.split(".")[1] in ENGINE
    ]


def found_in(base: Path) -> list[str]:
    """The names of ours in the engine below a folder, each with its place."""
    found = []
    for file in of_engine(base):
        part = file.module.split(".")[1]
        for node, name, kind in [*in_strings(file), *in_identifiers(file)]:
            if (part, name) not in ALLOWED:
                found.append(
                    f"{file.at(node)} names {name}, {kind} of ours: take it from the metadata or an argument"
                )
    return found


def kind_of(name: str) -> str:
    kinds = {"a table": NAMES.tables, "a column": NAMES.columns, "a constraint or index": NAMES.constraints}
    return next(kind for kind, members in kinds.items() if name in members)


def in_strings(file: File) -> Iterator[tuple[ast.AST, str, str]]:
    for node in ast.walk(file.tree):
        if (
            not isinstance(node, ast.Constant)
            or not isinstance(node.value, str)
            or id(node) in file.docstrings
        ):
            continue
        text = node.value
        for name in sorted(named_in(text)):
            yield node, name, kind_of(name)


def named_in(text: str) -> set[str]:
    found = {word for word in re.findall(r"\w+", text) if word in NAMES.specific}
    found |= {text} & NAMES.tables
    found |= {name for name in SQL.findall(text) if name in NAMES.tables}
    for table, column in QUALIFIED.findall(text):
        if table in NAMES.tables and column in NAMES.columns:
            found |= {table, column}
    return found


def in_identifiers(file: File) -> Iterator[tuple[ast.AST, str, str]]:
    specific = (NAMES.tables | NAMES.constraints) & NAMES.specific
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Attribute):
            of_columns = isinstance(node.value, ast.Attribute) and node.value.attr in {"c", "columns"}
            if of_columns and node.attr in NAMES.columns | NAMES.tables:
                yield node, node.attr, "a column"
            elif node.attr in specific:
                yield node, node.attr, kind_of(node.attr)
            elif isinstance(node.value, ast.Name) and node.value.id == "models" and node.attr in models():
                yield node, node.attr, "a model"
        elif isinstance(node, ast.Name) and node.id in specific:
            yield node, node.id, kind_of(node.id)
        elif isinstance(node, ast.arg | ast.keyword) and node.arg in specific:
            yield node, str(node.arg), kind_of(str(node.arg))
        elif isinstance(node, ast.ImportFrom) and re.search(r"(^|\.)models(\.|$)", node.module or ""):
            for alias in node.names:
                if alias.name in models():
                    yield node, alias.name, "a model"


def models() -> set[str]:
    from dbschema.models import Base  # noqa: PLC0415  the models are mapped by now

    return {mapper.class_.__name__ for mapper in Base.registry.mappers}


def test_the_engine_names_nothing_of_the_schema() -> None:
    found = found_in(PACKAGE)

    assert not found, f"{len(found)} names:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("X = 'ck_audit_logs_details'", "ck_audit_logs_details"),
        ("X = f'the index idx_documents_words of {1}'", "idx_documents_words"),
        ("raise E('cannot read audit_logs')", "audit_logs"),
        ("X = {'customer_email': 1}", "customer_email"),
        ("X = 'SELECT customer_email FROM t'", "customer_email"),
        ("X = ['users']", "users"),
        ("f(name='documents')", "documents"),
        ("X = 'SELECT * FROM users WHERE id = 1'", "users"),
        ("X = 'DELETE FROM ONLY public.messages'", "messages"),
        ("X = 'UPDATE \"teams\" SET x = 1'", "teams"),
        ("X = 'CREATE INDEX x ON orders (id)'", "orders"),
        ("X = t.c.slug", "slug"),
        ("X = t.columns.customer_email", "customer_email"),
        ("X = metadata.audit_logs", "audit_logs"),
        ("def f(user_events): ...", "user_events"),
        ("f(user_events=1)", "user_events"),
        ("from dbschema.models import AuditLog", "AuditLog"),
        ("from dbschema import models\nX = models.User", "User"),
    ],
)
def test_a_name_of_ours_is_found(tmp_path: Path, source: str, name: str) -> None:
    found = found_in(write(tmp_path, catalog__a=source))

    assert any(f" names {name}," in line and line.startswith("catalog/a.py:") for line in found), found


@pytest.mark.parametrize(
    "source",
    [
        "X = 'no users may read messages of other tenants'",
        "X = 'the status and the title of all orders'",
        "X = {'status': 1, 'role': 2, 'title': 3, 'name': 4}",
        "users = [1]\nfor role in users:\n    print(role.status)",
        "def f(documents, messages): ...",
        "X = 'SELECT created_at, tenant_id, id, version FROM t'",
        '"""Reads audit_logs and customer_email."""',
        "X = 1\n'''The rows of audit_logs.'''",
        "def f(x):\n    return x.status, x.c.tenant_id",
        "X = 'SELECT r.role FROM pg_roles r'",
        "class User: ...",
    ],
)
def test_prose_and_words_of_english_pass(tmp_path: Path, source: str) -> None:
    assert found_in(write(tmp_path, catalog__a=source)) == []


def test_the_schema_the_tools_and_the_plugin_may_name_it(tmp_path: Path) -> None:
    source = "X = 'SELECT * FROM audit_logs'"

    assert found_in(write(tmp_path, models__a=source, tools__a=source, testing__a=source)) == []


def test_an_exception_holds_for_its_package_only(tmp_path: Path) -> None:
    base = write(tmp_path, sessions__a="X = 'user_id'", catalog__a="X = 'user_id'")

    assert [line.partition(":")[0] for line in found_in(base)] == ["catalog/a.py"]


def test_each_exception_has_a_reason_and_names_something_of_ours() -> None:
    assert all(
        reason and part in ENGINE and name in NAMES.specific | NAMES.tables
        for (part, name), reason in ALLOWED.items()
    )


def test_the_columns_of_the_mixins_are_columns() -> None:
    assert {column.name for table in metadata.tables.values() for column in table.columns} >= OF_MIXINS
