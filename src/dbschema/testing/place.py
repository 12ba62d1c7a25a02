"""Choose the folder for the server of a test run: in memory if there is room, otherwise on disk.

A database consists of hundreds of files, and most of the time of a clone is their copy: 0.7 s on disk, 0.02 s in memory.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from dbschema.environment import Variable

TEMPORARY = Variable(
    "TMPDIR",
    "The folder for the files of the server of a test run.",
    reader="tests",
    default="`/dev/shm` if it has room, else the temporary folder of the system",
    example="/srv/tmp",
)

MEMORY = Path("/dev/shm")  # noqa: S108  a file system in memory, not a predictable file name

ROOM = 4 * 2**30
"""The free bytes that are required there; in containers it often has 64 MiB."""


def folder() -> Path:
    """Return the folder for the files of a server: in memory, unless TMPDIR is set or there is too little room."""
    if (
        not os.environ.get(TEMPORARY)
        and os.access(MEMORY, os.W_OK)
        and shutil.disk_usage(MEMORY).free >= ROOM
    ):
        return MEMORY
    return Path(tempfile.gettempdir())
