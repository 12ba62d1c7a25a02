"""The server's main process: whether it is there, whether it is ours, and how it ends.

A process id alone proves nothing: after a crash or a reboot the number in postmaster.pid may be any program's. A
process counts as ours when it works in our data folder, which a postmaster does from its start to its end.
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

PID_FILE: Final = "postmaster.pid"
STOP_SECONDS: Final = 60.0
_PAUSES: Final = Pauses(0.02, least=1)
_GRACE_SECONDS: Final = 0.5
_END_SECONDS: Final = 3.0
_SIGNALS: Final = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_PROC: Final = Path("/proc")


@dataclass(frozen=True)
class PidFile:
    """What postmaster.pid says: a server that starts writes it bit by bit, so all but the process id may be missing."""

    pid: int
    port: int | None
    socket_dir: Path | None
    state: str


def read_pid_file(data: Path) -> PidFile | None:
    """Read postmaster.pid; None where there is none, or one that makes no sense (a crash in a full disk leaves that)."""
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


def running(data: Path, account: OsUser) -> PidFile | None:
    """The pid file of the server of `data` if that server lives, in whatever state; else None."""
    noted = read_pid_file(data)
    if noted is None or not works_in(noted.pid, data, account):
        return None
    return noted


def is_alive(pid: int) -> bool:
    """Whether a process with that id exists; a dead one that nobody has buried yet does not count."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        # The state follows the program's name, which may itself hold brackets.
        return (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[
            0
        ] not in "ZX"
    except (OSError, IndexError):
        return True


def works_in(pid: int, folder: Path, account: OsUser) -> bool:
    """Whether the process `pid` lives and has `folder` as its working folder."""
    if not is_alive(pid):
        return False
    if not _PROC.joinpath("self").exists():
        return _is_postmaster_of(pid, folder)
    try:
        return os.path.samestat(os.stat(_PROC / str(pid) / "cwd"), folder.stat())  # noqa: PTH116  follows proc's link
    except PermissionError:
        # Root in a container without the right to look at other users' processes: look as that user.
        test = account.run(["/bin/sh", "-c", '[ "$1" -ef "$2" ]', "sh", _PROC / str(pid) / "cwd", folder])
        return test.returncode == 0
    except OSError:
        return False


def left_behind(data: Path, account: OsUser) -> list[int]:
    """The processes of a server of `data`; those that outlived a postmaster that was killed, if none runs.

    Empty on systems without /proc: there PostgreSQL itself refuses to start beside them.
    """
    found = []
    if _PROC.joinpath("self").exists():
        for entry in _PROC.iterdir():
            if entry.name.isdigit() and _name_of(entry) in ("postgres", "postmaster"):
                pid = int(entry.name)
                if works_in(pid, data, account):
                    found.append(pid)
    return found


def end_left_behind(data: Path, account: OsUser) -> None:
    """End what a killed postmaster left behind; call only when no postmaster of `data` runs.

    Most of it ends by itself at once; a backend in a long computation does not notice, and a new server refuses to
    start, since the two would write the same files. What it did is not lost or kept by this: its transaction died
    with the postmaster.
    """
    for sent, seconds in (
        (None, _GRACE_SECONDS),
        (signal.SIGTERM, _END_SECONDS),
        (signal.SIGKILL, _END_SECONDS),
    ):
        rest = left_behind(data, account)
        if sent is not None:
            for pid in rest:
                _signal(pid, sent, data)
        if not rest or wait_until(lambda: _nothing_left(data, account), _PAUSES, seconds):
            return


def stop(
    data: Path,
    account: OsUser,
    log: Path,
    mode: Literal["fast", "immediate"],
    *,
    seconds: float = STOP_SECONDS,
) -> bool:
    """End the server of `data` and wait until it is gone.

    Args:
        mode: "fast" ends sessions and writes everything; "immediate" is a crash on purpose, repaired at the next start.

    Returns:
        False where it was not running.

    Raises:
        ServerError: it is still there after `seconds`.
        NotOurs: we may not send it a signal.
    """
    noted = running(data, account)
    if noted is None:
        return False
    _signal(noted.pid, _SIGNALS[mode], data)
    if not wait_until(lambda: not works_in(noted.pid, data, account), _PAUSES, seconds):
        raise stop_failed(noted.pid, log, seconds)
    return True


def wait_for_state(data: Path, pid: int, *, seconds: float) -> Literal["ready", "gone", "late"]:
    """Wait until the server that runs as `pid` accepts connections, ends, or the time is over."""
    retry = Retry(_PAUSES, seconds)
    while True:
        # Read after the question: a server that is gone by now has told its last state before.
        alive = is_alive(pid)
        noted = read_pid_file(data)
        if noted is not None and noted.pid == pid and noted.state == "ready":
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
        from dbschema.tools.server.home import owner_name  # noqa: PLC0415  needed for a message only

        raise belongs_to_other(data, owner_name(data)) from error


def _nothing_left(data: Path, account: OsUser) -> bool:
    """Whether nothing is left behind, or all of it turns out to be a server that has just come up."""
    return running(data, account) is not None or not left_behind(data, account)


def _name_of(process: Path) -> str:
    try:
        return (process / "comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def _is_postmaster_of(pid: int, data: Path) -> bool:
    """The same question where there is no /proc (macOS): we start every postmaster with its data folder's path."""
    shown = subprocess.run(  # noqa: S603  a constant program with a number
        ["/bin/ps", "-ww", "-o", "args=", "-p", str(pid)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        env=server_environment(),
    ).stdout
    return os.fsencode(data) in shown
