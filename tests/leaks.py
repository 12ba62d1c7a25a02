"""What must not be printed, in all the forms that a secret takes on its way, and a search for it in all that was."""

from __future__ import annotations

import base64
import html
import json
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterator

AWKWARD = "s3cr3t/@:%#?&+ '\"\\é$(x)"
"""A password of all the signs that some language has to escape."""

OURS = str(Path("src") / "dbschema")


def forms(secret: str) -> dict[str, str]:
    """`secret` as the languages write it that stand between here and the server."""
    quoted = json.dumps(secret)[1:-1]
    found = {
        "as it is": secret,
        "percent-encoded": quote(secret, safe=""),
        "percent-encoded in small letters": quote(secret, safe="").lower(),
        "percent-encoded but for slashes": quote(secret),
        "of a form": quote_plus(secret),
        "JSON": json.dumps(secret, ensure_ascii=False)[1:-1],
        "JSON in ASCII": quoted,
        "JSON within JSON": json.dumps(quoted)[1:-1],
        "repr": repr(secret)[1:-1],
        "repr of bytes": repr(secret.encode())[2:-1],
        "repr within JSON": json.dumps(repr(secret)[1:-1])[1:-1],
        "SQL": secret.replace("'", "''"),
        "libpq": secret.replace("\\", "\\\\").replace("'", "\\'"),
        "HTML": html.escape(secret),
        "base64": base64.b64encode(secret.encode()).decode(),
        "backslashes of a terminal": secret.encode("ascii", "backslashreplace").decode(),
    }
    return {name: text for name, text in found.items() if text}


@dataclass
class Printed:
    """All that a run has printed, by where.

    Attributes:
        texts: pairs of a place in words and its text.
    """

    texts: list[tuple[str, str]] = field(default_factory=list)

    def add(self, where: str, text: object) -> None:
        """Something that was printed, or what would print it."""
        self.texts.append((where, text if isinstance(text, str) else repr(text)))

    def add_error(self, where: str, error: BaseException) -> None:
        """An error and all that led to it: its texts, its fields, its traceback, and the variables of our frames."""
        self.add(f"{where}: traceback", "".join(traceback.format_exception(error)))
        for one in chain(error):
            name = f"{where}: {type(one).__name__}"
            self.add(f"{name}: str", str(one))
            self.add(f"{name}: repr", repr(one))
            if type(one).__module__.startswith("dbschema"):
                self.add(f"{name}: fields", {key: repr(value) for key, value in vars(one).items()})
        for frame, variable, value in variables_of(error):
            self.add(f"{where}: {variable} in {frame}", value)

    def leaks(self, *secrets: str) -> list[str]:
        """Where one of `secrets` stands, and in which form; the texts themselves are not shown."""
        wanted = {
            text: f"{name} of secret {number}"
            for number, one in enumerate(secrets, 1)
            for name, text in forms(one).items()
        }
        return [
            f"{where}: {form}"
            for where, text in self.texts
            for secret, form in wanted.items()
            if secret in text
        ]


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and those that it came from, also where a traceback leaves them out."""
    waiting, met = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in met:
            continue
        met.add(id(one))
        yield one
        waiting += [other for other in (one.__cause__, one.__context__) if other is not None]


def variables_of(error: BaseException) -> Iterator[tuple[str, str, str]]:
    """Those of our frames, as Sentry, pytest and the like show them: the frame, the name, the value."""
    for one in chain(error):
        taken = traceback.TracebackException.from_exception(one, capture_locals=True)
        for frame in taken.stack:
            if OURS in frame.filename:
                for name, value in (frame.locals or {}).items():
                    yield f"{Path(frame.filename).name}:{frame.lineno}", name, value
