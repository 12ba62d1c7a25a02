"""Where the server of a test run has its files: in memory where there is room, or else on disk.

A database is hundreds of files, and to copy them is most of what a clone costs: on a file system on disk it took 0.7 s where it
took 0.02 s in memory."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from dbschema.environment import Variable

TEMPORARY = Variable(
    "TMPDIR",
    "The folder for the files of a server for tests.",
    reader="tests",
    default="`/dev/shm` if it has room, else the system's",
    example="/srv/tmp",
)


MEMORY = Path("/dev/shm")  # noqa: S108  a file system in memory, not a name that could be guessed


ROOM = 4 * 2**30
"""Bytes that have to be free there; containers often give it 64 MiB."""


def folder() -> Path:
    """The folder for temporary files of a server: in memory, unless TMPDIR says otherwise or there is little room."""
    if (
        not os.environ.get(TEMPORARY)
        and os.access(MEMORY, os.W_OK)
        and shutil.disk_usage(MEMORY).free >= ROOM
    ):
        return MEMORY
    return Path(tempfile.gettempdir())
