"""Find the main process of a server, check that it belongs to the data directory, and stop it.

A process id alone is no proof: after a crash or a reboot, the id in `postmaster.pid` can be that of any program. A
process belongs to the server if its working directory is the data directory, which is so from its start to its end.
"""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from dbschema._retry import Pauses, Retry, wait_until
from dbschema.tools.server.errors import belongs_to_other, stop_failed
from dbschema.tools.server.os_user import server_environment

if TYPE_CHECKING:
    from dbschema.tools.server.os_user import OsUser

_PROGRAMS: Final = frozenset({"postgres", "postmaster"})  # words: names of PostgreSQL
PID_FILE: Final = "postmaster.pid"  # words: PostgreSQL's name
STOP_SECONDS: Final = 60.0
_PAUSES: Final = Pauses(0.02, least=1)
_GRACE_SECONDS: Final = 0.5
_END_SECONDS: Final = 3.0
_SIGNALS: Final = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_PROC: Final = Path("/proc")


@dataclass(frozen=True)
class PidFile:
    """The content of `postmaster.pid`; a starting server writes it line by line, so only the process id is certain."""

    pid: int
    port: int | None
    socket_dir: Path | None
    state: str


def read_pid_file(data: Path) -> PidFile | None:
    """Read `postmaster.pid`; None if it is missing, or damaged as after a crash on a full disk."""
    try:
        lines = (data / PID_FILE).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    lines += [""] * (8 - len(lines))
    try:
        pid = int(lines[0])
    except ValueError:
        return None
    port = int(lines[3]) if lines[3].isdigit() else None
    return PidFile(abs(pid), port, Path(lines[4]) if lines[4] else None, lines[7].strip())


def running(data: Path, os_user: OsUser) -> PidFile | None:
    """Return the pid file of the server of `data` if its process is alive, in any state; else None."""
    pid_file = read_pid_file(data)
    if pid_file is None or not works_in(pid_file.pid, data, os_user):
        return None
    return pid_file


def is_alive(pid: int) -> bool:
    """Return whether a process with that id is alive; a zombie is not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        # The state follows the name of the program, which can contain brackets.
        return (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[
            0
        ] not in "ZX"
    except (OSError, IndexError):
        return True


def works_in(pid: int, folder: Path, os_user: OsUser) -> bool:
    """Return whether the process `pid` is alive and `folder` is its working directory."""
    if not is_alive(pid):
        return False
    if not _PROC.joinpath("self").exists():
        return _runs_with_data(pid, folder)
    try:
        return os.path.samestat(os.stat(_PROC / str(pid) / "cwd"), folder.stat())  # noqa: PTH116  follows the link in /proc
    except PermissionError:
        # Root in a container without the right to inspect processes of other users: test as that user.
        test = os_user.run(["/bin/sh", "-c", '[ "$1" -ef "$2" ]', "sh", _PROC / str(pid) / "cwd", folder])
        return test.returncode == 0
    except OSError:
        return False


def left_behind(data: Path, os_user: OsUser) -> list[int]:
    """Return the processes of a server of `data`: all if it runs, else those that outlived a killed main process.

    Empty on systems without /proc: there PostgreSQL itself does not start beside them.
    """
    found = []
    if _PROC.joinpath("self").exists():
        for entry in _PROC.iterdir():
            if entry.name.isdigit() and _name_of(entry) in _PROGRAMS:
                pid = int(entry.name)
                if works_in(pid, data, os_user):
                    found.append(pid)
    return found


def end_left_behind(data: Path, os_user: OsUser) -> None:
    """End the processes that outlived a killed main process; call this only if no server of `data` runs.

    Most of them end at once. A backend in a long computation does not notice, and a new server does not start beside
    it, because both would write the same files. No data depend on it: its transaction ended with the main process.
    """
    for number, seconds in (
        (None, _GRACE_SECONDS),
        (signal.SIGTERM, _END_SECONDS),
        (signal.SIGKILL, _END_SECONDS),
    ):
        remaining = left_behind(data, os_user)
        if number is not None:
            for pid in remaining:
                _signal(pid, number, data)
        if not remaining or wait_until(lambda: _none_left(data, os_user), _PAUSES, seconds):
            return


def stop(
    data: Path,
    os_user: OsUser,
    log: Path,
    mode: Literal["fast", "immediate"],
    *,
    seconds: float = STOP_SECONDS,
) -> bool:
    """Stop the server of `data` and wait until it has ended.

    Args:
        data: the data directory.
        os_user: the OS user of the server.
        log: the log of the server, for the message.
        mode: "fast" ends sessions and writes everything; "immediate" is a deliberate crash; the next start recovers.
        seconds: the deadline.

    Returns:
        False if it was not running.

    Raises:
        ServerError: it still runs at the deadline.
        NotOurs: this process may not send it a signal.
    """
    pid_file = running(data, os_user)
    if pid_file is None:
        return False
    _signal(pid_file.pid, _SIGNALS[mode], data)
    if not wait_until(lambda: not works_in(pid_file.pid, data, os_user), _PAUSES, seconds):
        raise stop_failed(pid_file.pid, log, seconds)
    return True


def wait_for_state(data: Path, pid: int, *, seconds: float) -> Literal["ready", "gone", "late"]:
    """Wait until the server with the process id `pid` is ready or gone; "late": neither before the deadline."""
    retry = Retry(_PAUSES, seconds)
    while True:
        # Read the file after this check: if the server is gone now, the file has its last state.
        alive = is_alive(pid)
        pid_file = read_pid_file(data)
        if pid_file is not None and pid_file.pid == pid and pid_file.state == "ready":
            if alive:
                return "ready"
        elif not alive:
            return "gone"
        if not retry.again():
            return "late"


def _signal(pid: int, number: signal.Signals, data: Path) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        from dbschema.tools.server.home import owner_name  # noqa: PLC0415  for a message only

        raise belongs_to_other(data, owner_name(data)) from error


def _none_left(data: Path, os_user: OsUser) -> bool:
    """Return whether no process remains, or a server has started to which the processes belong."""
    return running(data, os_user) is not None or not left_behind(data, os_user)


def _name_of(process: Path) -> str:
    try:
        return (process / "comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def _runs_with_data(pid: int, data: Path) -> bool:
    """As `works_in`, without /proc (macOS): the command line of each server contains the path of its data directory."""
    shown = subprocess.run(  # noqa: S603  a constant program with a number
        ["/bin/ps", "-ww", "-o", "args=", "-p", str(pid)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        env=server_environment(),
    ).stdout
    return os.fsencode(data) in shown
