"""`dbschema upgrade` as deployments call it, before Typer is imported: that alone would take longer than an empty upgrade.

Only a call that leaves no question is taken: the newest revision, and options that are listed here, each once. All others,
also wrong ones, are Typer's. Both run the same code, so they say the same.
"""

from __future__ import annotations

import gc
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class Call:
    """What was asked for."""

    url: str | None = None
    compare: bool = True
    as_json: bool = False


def read(arguments: Sequence[str]) -> Call | None:
    """The call that `arguments` make; None where it is Typer's to read them."""
    if not arguments or arguments[0] != "upgrade" or os.environ.get("DBSCHEMA_DEBUG"):
        return None
    call, rest, seen = Call(), list(arguments[1:]), set()
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=") if word.startswith("--url=") else (word, "", "")
        if name in seen:
            return None
        seen.add(name)
        if name == "--url":
            if not equals:
                if not rest or rest[0].startswith("-"):
                    return None
                value = rest.pop(0)
            call.url = value
        elif name in {"--compare", "--no-compare"}:
            if {"--compare", "--no-compare"} <= seen:
                return None
            call.compare = name == "--compare"
        elif name == "--json":
            call.as_json = True
        elif name != "head":
            return None
    return call


def run(call: Call) -> int:
    """Upgrade; the exit code, after the line that tells an error."""
    # What is imported stays to the end: to look through it for garbage again and again is a tenth of an empty upgrade.
    gc.disable()
    from dbschema.cli.ending import ended, interrupted  # noqa: PLC0415  Typer's calls do not come here
    from dbschema.cli.output import Screen  # noqa: PLC0415  as above
    from dbschema.cli.runs import run_upgrade  # noqa: PLC0415  as above

    def command() -> int:
        try:
            from dbschema.migrations import runner  # noqa: F401, PLC0415  imports psycopg, for which gc is off

            gc.freeze()
            gc.enable()
            return run_upgrade(Screen(as_json=call.as_json), call.url, compare=call.compare)
        except KeyboardInterrupt:
            return interrupted()

    return ended(command, debug=lambda: False, words=lambda _: None)
