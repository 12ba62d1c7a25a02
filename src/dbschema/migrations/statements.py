"""SQL split into single statements by PostgreSQL's own parser, while revisions are compiled.

pglast carries the parser of the server, so that quotes, comments, rules and bodies without quotes (BEGIN ATOMIC … END)
end where the server ends them. Only compiling needs it: compiled files hold single statements.
"""

from __future__ import annotations

from dbschema.errors import ExtraMissing


class NotParsed(ValueError):
    """PostgreSQL's parser rejects the text; the message is the parser's, with the line."""


def require() -> None:
    """Raise if statements cannot be split here.

    Raises:
        ExtraMissing: pglast is not installed.
    """
    try:
        import pglast  # noqa: F401, PLC0415  an extra
    except ImportError as error:
        raise ExtraMissing("Compiling revisions needs pglast, which is not installed", "compile") from error


def split(sql: str) -> list[str]:
    """Split `sql` into its statements, without the semicolons; comments and blanks between them are left out.

    Raises:
        ExtraMissing: pglast is not installed.
        NotParsed: the parser rejects it, as it does with commands of psql.
    """
    require()
    import pglast  # noqa: PLC0415  an extra

    try:
        return [statement.strip() for statement in pglast.split(sql)]
    except pglast.parser.ParseError as error:
        message, position = error.args
        line = sql.count("\n", 0, position) + 1
        raise NotParsed(f"{message} (line {line})") from error
