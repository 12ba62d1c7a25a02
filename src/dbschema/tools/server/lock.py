"""One caller at a time: a lock on a file, with a deadline and the holder's process id."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from dbschema.tools.server.errors import ServerBusy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK_SECONDS = 180.0
"""How long a caller waits for another one: longer than any start or stop may take."""

_POLL_SECONDS: Final = 0.05


@contextmanager
def exclusive(path: Path, *, seconds: float | None = None) -> Iterator[None]:
    """Hold the lock file `path` alone, across processes and threads of this machine.

    The kernel releases the lock when its holder dies. The holder may remove the file: a caller that waited for the
    removed file locks the new one. On a read-only file system there is no lock: no server can start or be made there.

    Args:
        path: the file; its folder exists.
        seconds: how long to wait; None: `LOCK_SECONDS`.

    Raises:
        ServerBusy: another caller held it all that time.
        OSError: the file cannot be opened.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415  10 ms, and a server that runs needs no lock

    patience = LOCK_SECONDS if seconds is None else seconds
    lock = FileLock(
        path,
        timeout=patience,
        mode=0o644,
        poll_interval=_POLL_SECONDS,
        fallback_to_soft=False,
        preserve_lock_file=True,
        on_acquired=_sign,
    )
    try:
        lock.acquire()
    except Timeout as error:
        raise ServerBusy(path, _holder(path), patience) from error
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
    try:
        yield
    finally:
        lock.release()


def _sign(descriptor: int) -> None:
    """Write our process id into the file, for the error of a caller that waits."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _holder(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdigit() else None
