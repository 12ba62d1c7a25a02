"""The words of words.txt are used neither in prose (docstrings, comments, messages, docs) nor as names."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from tests.law.source import ROOT, File

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS: Final = Path(__file__).with_name("words.txt")

ENABLED_ROOTS: Final = ("src/dbschema", "docs", "README.md", "CONTRIBUTING.md", "lambda_entry.py")
"""The files and folders to check, from the root of the repository."""

EXEMPT: Final = re.compile(r"# words: \w+")
"""At the end of a line: why its words stay, such as a text that is stored in databases."""

GENERATED: Final = frozenset({"schema.md"})
"""Pages that show the texts of the database, which only a revision changes."""


@dataclass(frozen=True)
class Word:
    """A word that is not used, and what to write instead."""

    word: str
    instead: str

    @property
    def pattern(self) -> str:
        body = r"\s+".join(map(re.escape, self.word.split()))
        first = self.word[0]
        return rf"(?<![\w-])[{first.lower()}{first.upper()}]{body.removeprefix(first)}(?![\w-])"


def read(text: str) -> dict[str, list[Word]]:
    """Read words.txt: the words of each section.

    Raises:
        ValueError: a line is neither empty, nor a comment, nor `word -> use instead`, nor a section.
    """
    sections: dict[str, list[Word]] = {}
    section: list[Word] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if re.fullmatch(r"\[\w+\]", line):
            section = sections.setdefault(line[1:-1], [])
            continue
        word, arrow, instead = (part.strip() for part in line.partition("->"))
        if section is None or not word or not arrow or not instead:
            raise ValueError(f"words.txt:{number}: expected 'word -> use instead' in a section, not {line!r}")
        section.append(Word(word, instead))
    return sections


SECTIONS = read(WORDS.read_text(encoding="utf-8"))
PROSE = [(re.compile(word.pattern), word) for word in SECTIONS["prose"]]
IDENTIFIERS = {word.word: word for word in SECTIONS["identifier"]}
MODULES = {word.word: word for word in SECTIONS["module"]}


def in_text(text: str) -> Iterator[tuple[int, str, Word]]:
    """The words in a text, with the number of the line from 0; code in backticks and code blocks is left out."""
    plain = re.sub(r"```.*?```|`[^`]*`", lambda code: re.sub(r"[^\n]", "\0", code[0]), text, flags=re.DOTALL)
    for pattern, word in PROSE:
        for match in pattern.finditer(plain):
            yield plain.count("\n", 0, match.start()), " ".join(match[0].split()), word


def in_source(file: File) -> Iterator[tuple[int, str, Word]]:
    """The words in a Python file, with the number of the line: in its strings, its comments and its names."""
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from ((node.lineno + line, text, word) for line, text, word in in_text(node.value))
        for name in names_of(node):
            if name.strip("_") in IDENTIFIERS:
                yield getattr(node, "lineno", 1), name, IDENTIFIERS[name.strip("_")]
    for token in tokenize.generate_tokens(io.StringIO(file.text).readline):
        if token.type == tokenize.COMMENT:
            yield from ((token.start[0] + line, text, word) for line, text, word in in_text(token.string))
    for part in (*file.path.relative_to(file.base).parent.parts, file.path.stem):
        if part in MODULES:
            yield 1, part, MODULES[part]


def names_of(node: ast.AST) -> Iterator[str]:
    """The names that a node defines, not those that it uses: each name is reported where it comes from."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        yield node.attr
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.ExceptHandler) and node.name:
        yield node.name
    elif isinstance(node, ast.alias) and node.asname:
        yield node.asname


def findings(path: Path, base: Path) -> list[str]:
    """The words in a file, or in the Python and Markdown files below a folder, as `file:line: word, use …`."""
    if path.is_dir():
        paths = sorted(
            each for each in path.rglob("*") if each.suffix in {".py", ".md"} and each.name not in GENERATED
        )
        return [line for each in paths for line in findings(each, base)]
    file = File(path, base)
    found = (
        in_source(file) if path.suffix == ".py" else ((line + 1, *rest) for line, *rest in in_text(file.text))
    )
    lines = file.text.splitlines()
    return [
        f"{file.name}:{line}: {text!r}: use {word.instead}"
        for line, text, word in sorted(found, key=str)
        if not (lines and EXEMPT.search(lines[min(line, len(lines)) - 1]))
    ]


@pytest.mark.parametrize("root", ENABLED_ROOTS)
def test_the_words_of_the_list_are_not_used(root: str) -> None:
    found = findings(ROOT / root, ROOT)

    assert not found, f"{len(found)} words that {WORDS.name} replaces:\n" + "\n".join(found)


def check(folder: Path, text: str, name: str = "a.py") -> list[str]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return findings(path, folder)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"""Refuse it."""', "a.py:1: 'Refuse': use reject"),
        ('"""One.\n\nIts way\nback is tried.\n"""', "a.py:3: 'way back': use downgrade"),
        ("x = 1  # what stalls nobody", "a.py:1: 'stalls nobody': use does not block"),
        ("raise E(f'{x} is refused by {y}')", "a.py:1: 'refused': use rejected"),
        ("x = 'row  security is on'", "a.py:1: 'row security': use row-level security (RLS)"),
        ("x = 'two culprits'", "a.py:1: 'culprits': use rows that violate the constraint"),
        ("x = 'the class WorkLeft'", "a.py:1: 'WorkLeft': use MigrationIncomplete"),
        ("told = 1", "a.py:1: 'told': use the noun: configured, passed"),
        ("_told = 1", "a.py:1: '_told': use the noun: configured, passed"),
        ("x = [one for one in y]", "a.py:1: 'one': use the noun: table, row, column"),
        ("def f(given): ...", "a.py:1: 'given': use the noun: argument, value"),
        ("self.said = 1", "a.py:1: 'said': use the noun: settings, text"),
        ("class Journey: ...", "a.py:1: 'Journey': use ResumableRun"),
        ("def why_not(): ...", "a.py:1: 'why_not': use not_compilable_reason"),
    ],
)
def test_a_word_of_the_list_is_found_in_source(tmp_path: Path, text: str, expected: str) -> None:
    assert check(tmp_path, text) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        '"""Reject one of the rows, given a tenant."""',  # identifiers are no prose
        "x = 'row-level security, foreshadowed, a refuse-bin, amend, commend'",
        '"""See `shadow` and `refuse()`."""',
        "x = 'MEND, workleft, journeys, it is None'",  # another spelling
        "x = f(given=1)\nprint(a.given, told)",  # somebody else's: reported where they are defined
        "someone = given_rows = onerous = 1",
    ],
)
def test_other_words_in_source_pass(tmp_path: Path, text: str) -> None:
    assert check(tmp_path, text) == []


def test_a_word_in_markdown_is_found_outside_of_code(tmp_path: Path) -> None:
    text = "# Title\n\nIt tells\nof `shadow`.\n\n```sh\nrefuse\n```\n\nOf its own\naccord.\n"

    assert check(tmp_path, text, "a.md") == [
        "a.md:10: 'Of its own accord': use automatically",
        "a.md:3: 'tells': use reports, shows or names",
    ]


def test_a_module_is_found_by_its_name_and_a_folder_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    check(tmp_path / "p", "", "plainness.py")
    check(tmp_path / "p", "mend it", "b.md")
    check(tmp_path / "p", "mend it", "c.txt")

    assert findings(tmp_path / "p", tmp_path) == [
        "p/b.md:1: 'mend': use fix",
        "p/plainness.py:1: 'plainness': use compile",
    ]


@pytest.mark.parametrize(
    "text", ["word -> instead", "[prose]\nword", "[prose]\nword ->", "[prose]\n-> instead"]
)
def test_a_line_of_the_list_that_is_no_rule_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"words\.txt:\d"):
        read(text)


def test_the_list_names_each_word_once_and_never_proposes_another_word_of_it() -> None:
    for section, words in SECTIONS.items():
        listed = [word.word for word in words]
        assert len(listed) == len(set(listed)), section
    assert [
        word.word for word in SECTIONS["prose"] if any(list(in_text(each.instead)) for each in [word])
    ] == []
    assert all((ROOT / root).exists() for root in ENABLED_ROOTS)


def test_a_line_is_exempt_with_a_reason_only(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(
        'A = "it was refused"  # words: stored in databases\nB = "it was refused"  # words:\n', "utf-8"
    )

    assert [line.partition(": ")[0] for line in findings(path, tmp_path)] == ["a.py:2"]
