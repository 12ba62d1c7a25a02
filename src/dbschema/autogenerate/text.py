"""SQL as Python source that `op.execute` sends unchanged, online and offline.

Three things would change a statement on its way: Alembic indents and trims the lines of a long string, SQLAlchemy's
`text()` takes `:name` for a parameter and `\\:` for a colon, and Alembic's offline mode turns tabs into spaces.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# A colon that text() would take for the start of a parameter, or for one that is escaped already. After SQLAlchemy's
# own expressions (sqlalchemy.sql.elements.TextClause, sqlalchemy.sql.compiler.BIND_PARAMS_ESC), which a test compares.
_COLON = re.compile(r"(?<![:\w\\]):(?=\w+(?![:\w]))|(?<=\\):(?=\w*(?![:\w]))")


def escaped(sql: str) -> str:
    """`sql` such that `sqlalchemy.text()` compiles it to `sql` again."""
    return _COLON.sub(r"\\:", sql)


def without_tabs(statement: str, body: str | None) -> str:
    """`statement`, whose `body` stands between dollar quotes, with the tabs of the body written as an escape.

    Offline, Alembic writes four spaces for a tab; the function would then not be the declared one.
    """
    if body is None or "\t" not in body:
        return statement
    plain = body.replace("\\", "\\\\").replace("'", "''").replace("\t", "\\t")
    return re.sub(
        rf"\$(\w*)\${re.escape(body)}\$\1\$", lambda _: f"E'{plain}'", statement, count=1, flags=re.ASCII
    )


def literal(sql: str) -> str:
    """`sql` as Python source: one string literal a line, which neither Alembic nor a formatter can re-indent."""
    lines = sql.split("\n")
    pieces = [f"{line}\n" for line in lines[:-1]]
    if lines[-1] or not pieces:
        pieces.append(lines[-1])
    if len(pieces) == 1:
        return repr(pieces[0])
    return "\n" + "\n".join(f"    {piece!r}" for piece in pieces) + "\n"


def execute_lines(prefix: str, statements: Iterable[str]) -> list[str]:
    """The calls that run `statements`, each as source with `prefix` ('op.') before `execute`."""
    return [f"{prefix}execute({literal(escaped(statement))})" for statement in statements]
