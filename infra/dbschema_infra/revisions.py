"""The head of the revisions, read from their text: nothing of them is imported, and neither Alembic nor dbschema is there."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from dbschema_infra.errors import BadRevisions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_REVISION_FILE: Final = re.compile(r"(?!\.#|__init__).*\.py")
"""What Alembic takes for a revision."""

_WANTED: Final = ("revision", "down_revision")


def head_of(sources: Mapping[str, str]) -> str:
    """The one revision that no other one follows.

    Args:
        sources: the text of each file by its name; names that Alembic passes over are passed over.

    Returns:
        Its id.

    Raises:
        BadRevisions: there is none, there are several heads, an id is there twice, one follows a revision that is not
            there, or an id is no literal.
    """
    parents: dict[str, tuple[str, ...]] = {}
    places: dict[str, str] = {}
    for name in sorted(sources):
        if not _REVISION_FILE.fullmatch(name):
            continue
        revision, down = _identity(name, sources[name])
        if revision in parents:
            raise BadRevisions(
                f"The revision {revision} stands in {places[revision]} and in {name}",
                "Give one of them another id",
            )
        parents[revision], places[revision] = down, name
    if not parents:
        raise BadRevisions("There is no revision", "Write the first one, then run make lambda")
    followed = {parent for down in parents.values() for parent in down}
    if lost := sorted(followed - parents.keys()):
        child = next(name for name in parents if lost[0] in parents[name])
        raise BadRevisions(
            f"The revision {child} in {places[child]} follows {lost[0]}, which is not there",
            "Bring the file of that revision back, or correct down_revision",
        )
    heads = sorted(parents.keys() - followed)
    if not heads:
        raise BadRevisions(
            "The revisions follow each other in a circle", "Correct down_revision of one of them"
        )
    if len(heads) > 1:
        where = ", ".join(f"{head} in {places[head]}" for head in heads)
        raise BadRevisions(f"The revisions have {len(heads)} heads: {where}", "Put one after the other")
    return heads[0]


def head_of_folder(folder: Path) -> str:
    """The head of a folder such as alembic/versions. See `head_of`."""
    return head_of({path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.py")})


def _identity(name: str, source: str) -> tuple[str, tuple[str, ...]]:
    try:
        tree = ast.parse(source, name)
    except (SyntaxError, ValueError) as error:
        raise BadRevisions(f"The revision {name} is no Python: {error}", "Correct the file") from error
    found: dict[str, object] = {}
    for node in tree.body:
        target, value = _assignment(node)
        if target in _WANTED and value is not None:
            try:
                found[target] = ast.literal_eval(value)
            except ValueError:
                raise BadRevisions(
                    f"In {name}, {target} is computed: {ast.unparse(value)}", "Write it as a literal"
                ) from None
    revision, down = found.get("revision"), found.get("down_revision", ())
    if not isinstance(revision, str) or "down_revision" not in found:
        raise BadRevisions(
            f"{name} sets no revision and down_revision",
            "Correct it, or move it out of the folder of revisions",
        )
    if down is None:
        return revision, ()
    parents = (down,) if isinstance(down, str) else down
    if not isinstance(parents, tuple | list) or not all(isinstance(parent, str) for parent in parents):
        raise BadRevisions(f"In {name}, down_revision is {down!r}", "Write an id, a tuple of ids, or None")
    return revision, tuple(str(parent) for parent in parents)


def _assignment(node: ast.stmt) -> tuple[str, ast.expr | None]:
    match node:
        case ast.AnnAssign(target=ast.Name(id=name), value=value):
            return name, value
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return name, value
    return "", None
