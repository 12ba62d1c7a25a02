"""Translate failures of files and programs into errors of this package.

The programs run in the C locale, so their output contains the fixed English messages of the operating system.
"""

from __future__ import annotations

import errno
import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dbschema.tools.server.errors import bad_home, disk_full, not_writable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbschema.errors import ServerError

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_DENIED: Final = (errno.EACCES, errno.EPERM, errno.EROFS)
_PREFIX: Final = re.compile(r"^.*?\b(?:FATAL|PANIC|ERROR|LOG|initdb: error|initdb: hint):\s+")


@contextmanager
def os_errors(home: Path) -> Iterator[None]:
    """Turn the `OSError` of a step on the files of `home` into `BadHome`."""
    try:
        yield
    except OSError as error:
        # The error of an operation on a descriptor has no path.
        path = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else home
        reason = error.strerror or str(error)
        if error.errno in _FULL:
            raise disk_full(path, reason) from error
        if error.errno in _DENIED:
            raise not_writable(path, reason) from error
        raise bad_home(home, f"{path}: {reason}") from error


def cause_in(output: str, path: Path) -> ServerError | None:
    """Return the error for a full disk or a denied write at `path` in the output of a program, else None."""
    for number in _FULL:
        if os.strerror(number) in output:
            return disk_full(path, os.strerror(number))
    for number in _DENIED:
        if os.strerror(number) in output:
            return not_writable(path, last_complaint(output))
    return None


def last_complaint(output: str) -> str:
    """Return the line of a server's log, or of initdb's output, with the reason of its end, without time and level."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if not lines:
        return "it left no message"
    chosen = lines[-1]
    for at, line in enumerate(lines):
        if "FATAL:" in line or "PANIC:" in line or "initdb: error:" in line:
            chosen = line
            # The last line reports the configuration file; the line above it names the setting.
            if "contains errors" in line and at > 0:
                chosen = lines[at - 1]
    return _PREFIX.sub("", chosen).rstrip(".")
