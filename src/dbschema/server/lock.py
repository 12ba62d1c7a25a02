"""One caller at a time: a lock on a file, with a deadline and the holder's name."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dbschema.server.errors import ServerBusy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK_SECONDS = 180.0
"""How long a caller waits for another one: longer than any start or stop may take."""

_PAUSE = 0.05


@contextmanager
def exclusive(path: Path, *, seconds: float | None = None) -> Iterator[None]:
    """Hold the lock file `path` alone, across processes and threads of this machine.

    The kernel gives the lock back when its holder dies, so nothing stale is ever left behind. The holder may remove
    the file: whoever waited for the removed one notices and takes the new one.

    Args:
        path: the file; its folder exists.
        seconds: how long to wait; None: `LOCK_SECONDS`.

    Raises:
        ServerBusy: another one held it all that time.
        OSError: the file cannot be opened.
    """
    patience = LOCK_SECONDS if seconds is None else seconds
    deadline = time.monotonic() + patience
    while True:
        descriptor = _open(path)
        try:
            if _try_lock(descriptor) and _is_still(path, descriptor):
                _sign(descriptor)
                yield
                return
            if time.monotonic() >= deadline:
                raise ServerBusy(path, _holder(descriptor), patience)
        finally:
            os.close(descriptor)
        time.sleep(_PAUSE)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EROFS):
            raise
        # The file of another user, or on a disk that has become read-only: it can be locked all the same.
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _sign(descriptor: int) -> None:
    """Write our process id into the file; it is only for the message, so a file we may not write is no matter."""
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        return


def _holder(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else None
