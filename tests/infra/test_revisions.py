"""The head revision, read from the text of the revisions."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from dbschema_infra.errors import BadRevisions
from dbschema_infra.revisions import head_of, head_of_folder

if TYPE_CHECKING:
    from pathlib import Path


def script(revision: str, down: object) -> str:
    return f'"""Text."""\nimport nothing_of_this_name\n\nrevision: str = {revision!r}\ndown_revision: str | None = {down!r}\n'


def test_the_head_is_the_one_that_no_other_follows() -> None:
    sources = {"1.py": script("a", None), "3.py": script("c", "b"), "2.py": script("b", "a")}

    assert head_of(sources) == "c"


def test_plain_assignments_are_read_like_annotated_ones() -> None:
    assert head_of({"1.py": "revision = 'a'\ndown_revision = None\nbranch_labels = None\n"}) == "a"


def test_a_revision_may_join_several() -> None:
    sources = {"1.py": script("a", None), "2.py": script("b", None), "3.py": script("c", ("a", "b"))}

    assert head_of(sources) == "c"


def test_nothing_of_a_revision_is_run(tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    (tmp_path / "1.py").write_text(f"open({str(witness)!r}, 'w')\nrevision = 'a'\ndown_revision = None\n")

    head = head_of_folder(tmp_path)

    assert head == "a"
    assert not witness.exists()


def test_files_that_alembic_passes_over_are_passed_over(tmp_path: Path) -> None:
    for name in ("__init__.py", ".#1.py", "notes.txt"):
        (tmp_path / name).write_text("no revision")
    (tmp_path / "1.py").write_text(script("a", None))

    assert head_of_folder(tmp_path) == "a"


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ({}, "There is no revision. Write the first one, then run make lambda."),
        (
            {"1.py": script("a", None), "2.py": script("b", "a"), "3.py": script("c", "a")},
            "The revisions have 2 heads: b in 2.py, c in 3.py. Put one after the other.",
        ),
        (
            {"1.py": script("a", None), "2.py": script("a", None)},
            "The revision a stands in 1.py and in 2.py. Give one of them another id.",
        ),
        ({"2.py": script("b", "a")}, "The revision b in 2.py follows a, which is not there. Bring the file"),
        (
            {"1.py": script("a", "b"), "2.py": script("b", "a")},
            "The revisions follow each other in a circle.",
        ),
        ({"1.py": "revision = make()\ndown_revision = None"}, "In 1.py, revision is computed: make()."),
        ({"1.py": "revision = 'a'"}, "1.py sets no revision and down_revision."),
        ({"1.py": "x = 1"}, "1.py sets no revision and down_revision."),
        ({"1.py": "revision = 1\ndown_revision = None"}, "1.py sets no revision and down_revision."),
        ({"1.py": "revision = 'a'\ndown_revision = 5"}, "In 1.py, down_revision is 5."),
        ({"1.py": "revision = ("}, "The revision 1.py is no Python: "),
    ],
)
def test_what_is_wrong_is_named_with_its_file(sources: dict[str, str], message: str) -> None:
    with pytest.raises(BadRevisions) as caught:
        head_of(sources)

    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", range(20))
def test_alembic_finds_the_same_heads(seed: int, tmp_path: Path) -> None:
    """Random histories, with branches and joins: Alembic's word is the measure, also for what has several heads."""
    from alembic.script import ScriptDirectory

    chance = random.Random(seed)
    ids: list[str] = []
    versions = tmp_path / "versions"
    versions.mkdir()
    for number in range(chance.randint(1, 8)):
        parents = chance.sample(ids, min(len(ids), chance.choice([1, 1, 1, 2])))
        down = None if not parents else parents[0] if len(parents) == 1 else tuple(parents)
        ids.append(f"r{chance.randrange(10**6)}x{number}")
        (versions / f"{number}.py").write_text(f"revision = {ids[-1]!r}\ndown_revision = {down!r}\n")

    heads = sorted(ScriptDirectory(str(tmp_path)).get_heads())

    if len(heads) == 1:
        assert head_of_folder(versions) == heads[0]
    else:
        with pytest.raises(BadRevisions, match=f"have {len(heads)} heads: ") as caught:
            head_of_folder(versions)
        assert all(head in str(caught.value) for head in heads)
