"""The lock lets one in, gives up in time, and survives its holder's death and its file's removal."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import filelock
import pytest

from dbschema.tools.server.errors import ServerBusy
from dbschema.tools.server.home import exclusive

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import sys, time
from pathlib import Path
from dbschema.tools.server.home import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_caller_gives_up_in_time_and_names_the_first(folder: Path) -> None:
    path = folder / "lock"

    with (
        exclusive(path),
        pytest.raises(ServerBusy, match=str(os.getpid())) as caught,
        exclusive(path, seconds=0.2),
    ):
        pass

    assert (caught.value.lock, caught.value.holder, caught.value.waited) == (path, os.getpid(), 0.2)


def test_a_second_caller_comes_in_when_the_first_has_gone(folder: Path) -> None:
    path, order = folder / "lock", []

    def second() -> None:
        with exclusive(path):
            order.append("second")

    with exclusive(path):
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.2)
        order.append("first")
    waiting.join()

    assert order == ["first", "second"]


def test_the_lock_of_a_killed_holder_is_free(folder: Path) -> None:
    path = folder / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ServerBusy, match=str(holder.pid)), exclusive(path, seconds=0.1):
            pass
        holder.kill()

    with exclusive(path, seconds=0.1):
        assert path.read_text() == f"{os.getpid()}\n"


def test_who_waited_for_a_file_that_its_holder_removed_takes_the_new_one(folder: Path) -> None:
    """Else two would each hold a lock: one on the file that is gone, one on the file that is there."""
    path = folder / "lock"
    entered, leave = threading.Event(), threading.Event()

    def second() -> None:
        with exclusive(path):
            entered.set()
            leave.wait(60)

    with exclusive(path):
        waiting = threading.Thread(target=second)
        waiting.start()
        entered.wait(0.2)
        path.unlink()
    assert entered.wait(60)

    with pytest.raises(ServerBusy), exclusive(path, seconds=0.1):
        pass
    leave.set()
    waiting.join()


def test_a_lock_file_that_is_a_link_is_refused(folder: Path) -> None:
    (folder / "victim").write_text("precious")
    (folder / "lock").symlink_to(folder / "victim")

    with pytest.raises(OSError, match="symbolic"), exclusive(folder / "lock"):
        pass

    assert (folder / "victim").read_text() == "precious"


def test_a_read_only_disk_needs_no_lock(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can start a server there, and a server that runs can be stopped."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)

    with exclusive(folder / "lock"):
        pass


def test_another_failure_of_the_lock_file_is_raised(folder: Path) -> None:
    (folder / "lock").mkdir()

    with pytest.raises(IsADirectoryError), exclusive(folder / "lock"):
        pass
