"""Write SQL as Python source that `op.execute` sends unchanged, online and offline.

Three steps can change a statement: Alembic indents and trims the lines of a long string, SQLAlchemy's `text()` reads
`:name` as a parameter and `\\:` as a colon, and Alembic's offline mode replaces tabs with spaces.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# A colon that text() reads as the start of a parameter, or as escaped. A test compares this expression with SQLAlchemy's
# own (sqlalchemy.sql.elements.TextClause, sqlalchemy.sql.compiler.BIND_PARAMS_ESC).
_COLON = re.compile(r"(?<![:\w\\]):(?=\w+(?![:\w]))|(?<=\\):(?=\w*(?![:\w]))")


def escaped(sql: str) -> str:
    """Escape `sql` so that `sqlalchemy.text()` compiles to the same SQL."""
    return _COLON.sub(r"\\:", sql)


def without_tabs(statement: str, body: str | None) -> str:
    """Replace the dollar-quoted `body` in `statement` with an escape string, if it has tabs.

    Offline, Alembic writes four spaces for a tab, so the function would differ from the declaration.
    """
    if body is None or "\t" not in body:
        return statement
    plain = body.replace("\\", "\\\\").replace("'", "''").replace("\t", "\\t")
    return re.sub(
        rf"\$(\w*)\${re.escape(body)}\$\1\$", lambda _: f"E'{plain}'", statement, count=1, flags=re.ASCII
    )


def literal(sql: str) -> str:
    """Return `sql` as Python source: one string literal a line, which neither Alembic nor a formatter can re-indent."""
    lines = sql.split("\n")
    pieces = [f"{line}\n" for line in lines[:-1]]
    if lines[-1] or not pieces:
        pieces.append(lines[-1])
    if len(pieces) == 1:
        return repr(pieces[0])
    return "\n" + "\n".join(f"    {piece!r}" for piece in pieces) + "\n"


def execute_lines(prefix: str, statements: Iterable[str]) -> list[str]:
    """Return the source of the calls that execute `statements`, with `prefix` ('op.') before `execute`."""
    return [f"{prefix}execute({literal(escaped(statement))})" for statement in statements]
