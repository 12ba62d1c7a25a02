"""The law of errors: a code for each class, a docstring that answers three questions, a message of two sentences."""

from __future__ import annotations

import ast
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dbschema.errors import DbSchemaError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "dbschema").rglob("*.py"))


@pytest.fixture(scope="module")
def docs() -> Iterator[Any]:
    """The script that writes the page, with all classes loaded."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        script = import_module("error_docs")
        script.load()
        yield script
    finally:
        sys.path.remove(str(ROOT / "scripts"))


@pytest.fixture
def classes(docs: Any) -> list[type[DbSchemaError]]:
    return list(dict.fromkeys(kind for kind, _ in docs.walk()))


def test_each_class_writes_out_a_code_of_its_own(classes: list[type[DbSchemaError]]) -> None:
    codes = {kind: vars(kind).get("code") for kind in classes}

    assert [kind for kind, code in codes.items() if not isinstance(code, str)] == []
    assert [code for code in codes.values() if not re.fullmatch(r"[a-z]+(-[a-z]+)*", str(code))] == []
    assert len(set(codes.values())) == len(classes)


def test_no_two_classes_share_a_name(classes: list[type[DbSchemaError]]) -> None:
    """AWS Lambda reports the name alone."""
    names = [kind.__name__ for kind in classes]

    assert sorted(names) == sorted(set(names))


def test_no_instance_hides_the_code_of_its_class() -> None:
    hidden = [
        f"{path.name}:{node.lineno}"
        for path in SOURCES
        if path.name == "errors.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and _is_an_error(node)
        for target in ast.walk(node)
        if isinstance(target, ast.Attribute) and target.attr == "code" and isinstance(target.ctx, ast.Store)
    ]

    assert hidden == []


def test_each_docstring_names_cause_change_and_fix(docs: Any, classes: list[type[DbSchemaError]]) -> None:
    for kind in classes:
        cause, changed, fix = docs.describe(kind)
        assert cause.endswith("."), kind
        assert changed.endswith("."), kind
        assert fix.endswith("."), kind


@pytest.mark.parametrize(
    "docstring",
    [
        None,
        "A cause.",
        "A cause.\n\nFix: repeat.",
        "A cause.\n\nChanged: nothing.",
        "A cause.\n\nFix: repeat.\nChanged: nothing.",
        "A cause.\n\nChanged: nothing.\nFix: repeat.\n\nMore of it.",
    ],
)
def test_a_docstring_of_another_form_is_found(docs: Any, docstring: str | None) -> None:
    kind = type("Strange", (), {"__doc__": docstring, "__module__": "here"})

    with pytest.raises(ValueError, match=r"here\.Strange"):
        docs.describe(kind)


def test_a_class_that_the_tree_lacks_makes_it_stale(docs: Any) -> None:
    source = docs.SOURCE.read_text(encoding="utf-8")
    line = next(line for line in source.splitlines() if line.split()[:1] == ["BadAddress"])

    assert docs.with_tree(source) == source
    assert docs.with_tree(source.replace(f"{line}\n", "")) == source


def test_no_sentence_of_an_error_brings_its_own_full_stop(classes: list[type[DbSchemaError]]) -> None:
    """`what` and `next_step` become two sentences by themselves; one line each."""
    names = {kind.__name__ for kind in classes}
    bad = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and _called(node) in names
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]
        if not _ends_well(argument)
    ]

    assert bad == []


@pytest.mark.parametrize(("code", "good"), [
    ("'It broke'", True), ("f'{x} broke: {y}'", True), ("f'It broke {x}'", True), ("'It broke.'", False), ("f'{x} broke.'", False),
    ("'It broke '", False), ("'It\\nbroke'", False), ("x", True),
])  # fmt: skip
def test_how_a_sentence_ends(code: str, good: bool) -> None:
    assert _ends_well(ast.parse(code, mode="eval").body) is good


def _is_an_error(node: ast.ClassDef) -> bool:
    return any(isinstance(part, ast.Assign) and ast.unparse(part.targets[0]) == "code" for part in node.body)


def _called(call: ast.Call) -> str:
    """The name of what is called; of `super().__init__` in a class of errors, a name that counts as one."""
    if ast.unparse(call.func) == "super().__init__":
        return DbSchemaError.__name__
    return ast.unparse(call.func).rpartition(".")[2]


def _ends_well(argument: ast.expr) -> bool:
    parts = argument.values if isinstance(argument, ast.JoinedStr) else [argument]
    texts = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    if any("\n" in text for text in texts):
        return False
    last = parts[-1] if parts else argument
    return not (
        isinstance(last, ast.Constant) and isinstance(last.value, str) and last.value.endswith((".", " "))
    )
