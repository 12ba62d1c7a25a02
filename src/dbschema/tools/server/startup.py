"""Start a server on its data directory: choose the port and the socket, start the process, wait until it is ready."""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dbschema.tools.server import cluster, process
from dbschema.tools.server.address import choose_port
from dbschema.tools.server.errors import disk_full, start_failed
from dbschema.tools.server.home import path_hash
from dbschema.tools.server.os_errors import cause_in, last_complaint, os_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dbschema.tools.server.binaries import Binaries
    from dbschema.tools.server.directory import ClusterDirectory
    from dbschema.tools.server.home import Home
    from dbschema.tools.server.process import PidFile

READY_SECONDS: Final = 120.0
"""The deadline, in seconds, until a server accepts connections; after a crash, recovery comes first."""

SOCKETS: Final = Path("/tmp")  # noqa: S108  the only short path on every system; the folder created in it has the mode 0700
_SOCKET_PREFIX: Final = "dbschema-"
_SOCKET_PATH_BYTES: Final = 103
"""The longest path of a Unix socket on every system, in bytes: Linux allows 107, macOS 103."""

_TRIES: Final = 5
_NO_ROOM_BYTES: Final = 1024 * 1024


@dataclass(frozen=True)
class ServerStart:
    """The parameters of one start."""

    home: Home
    directory: ClusterDirectory
    data: Path
    binaries: Binaries
    options: Mapping[str, str]

    def start(self, stored_port: int | None) -> PidFile:
        """Start the server and wait until it is ready; the caller holds the lock, and the server does not run.

        If another program takes the chosen port before the server binds it, the next port is tried.

        Raises:
            StartFailed: the server ended or is not ready before the deadline; with the reason from its log.
            BadHome: the disk is full, or a file cannot be written.
        """
        self._clear_away()
        failed: set[int] = set()
        for _ in range(_TRIES):
            if (pid_file := self._wait_until_ready()) is not None:
                return pid_file
            port = choose_port(self.home.path, stored_port, failed)
            output = self._try(port)
            if (pid_file := self._wait_until_ready()) is not None:
                return pid_file
            if "Address already in use" not in output:
                raise self._failure(output)
            failed.add(port)
        raise self._failure(f"FATAL:  the ports {', '.join(map(str, sorted(failed)))} were all taken")

    def _try(self, port: int) -> str:
        """Start the server once and return its log output; raise if it neither becomes ready nor ends."""
        socket_dir = self._socket_folder()
        # A killed server leaves its socket and a lock file with its process id, which another program can have now.
        # These files are stale: the folder belongs to this cluster only, and none of its processes is alive.
        self.directory.os_user.run(["/bin/sh", "-c", 'rm -f -- "$1"/.s.PGSQL.*', "sh", socket_dir])
        log = self.home.open_log()
        try:
            before = os.fstat(log).st_size
            args = cluster.command(self.binaries, self.data, port, socket_dir, self.options)
            pid = self.directory.os_user.spawn(args, log=log, environment=self._stale_pid())
        finally:
            os.close(log)
        self._wait_for(pid)
        with self.home.log.open("rb") as file:
            file.seek(before)
            return os.fsdecode(file.read())

    def _wait_until_ready(self) -> PidFile | None:
        """Return the pid file of the running server, after a wait until it is ready; None if no server runs.

        The server can be an older process than the one of this start: if a caller was killed before its server wrote
        its pid file, that server becomes ready first and this one ends.
        """
        pid_file = process.running(self.data, self.directory.os_user)
        if pid_file is not None and pid_file.state != "ready":
            self._wait_for(pid_file.pid)
            pid_file = process.running(self.data, self.directory.os_user)
        return pid_file

    def _wait_for(self, pid: int) -> None:
        if process.wait_for_state(self.data, pid, seconds=READY_SECONDS) == "late":
            reason = (
                f"process {pid} is not ready after {READY_SECONDS:.0f} s and still runs, call again later"
            )
            raise start_failed(self.data, self.home.log, reason)

    def _clear_away(self) -> None:
        """End the processes and remove the pid file of a crash that would prevent the start."""
        os_user = self.directory.os_user
        process.end_left_behind(self.data, os_user)
        pid_file = self.data / process.PID_FILE
        if pid_file.exists() and process.read_pid_file(self.data) is None:
            # A crash during its write: PostgreSQL takes an unreadable pid file for that of a running server.
            os_user.remove_tree(pid_file)

    def _stale_pid(self) -> dict[str, str]:
        """Return the environment variable that makes PostgreSQL ignore the process id in a stale `postmaster.pid`.

        PostgreSQL does not start if a process with that id and the same user exists, even a zombie (as in a container
        whose first process does not reap). The file itself stays, because it also names the shared memory by which
        PostgreSQL finds remaining processes. pg_ctl uses the same variable for its own parent.
        """
        pid_file = process.read_pid_file(self.data)
        return {} if pid_file is None else {"PG_GRANDPARENT_PID": str(pid_file.pid)}

    def _socket_folder(self) -> Path:
        """Return the folder of the Unix socket (mode 0700): in the cluster directory, or in /tmp if that is too long."""
        os_user = self.directory.os_user
        inside = self.directory.folder / "socket"
        # Clients split the path at a comma.
        if len(os.fsencode(inside / ".s.PGSQL.65535")) <= _SOCKET_PATH_BYTES and "," not in str(inside):
            os_user.make_folder(inside)
            return inside
        short = SOCKETS / f"{_SOCKET_PREFIX}{os_user.uid}-{path_hash(self.data)}"
        os_user.run(["/bin/sh", "-c", 'mkdir -m 0700 -- "$1"', "sh", short])
        with os_errors(short):
            facts = short.lstat()
        if stat.S_ISDIR(facts.st_mode) and facts.st_uid == os_user.uid and not facts.st_mode & 0o077:
            return short
        # Another user has created that name: use an unpredictable one.
        made = os_user.run(
            ["/bin/sh", "-c", 'mktemp -d -- "$1"', "sh", SOCKETS / f"{_SOCKET_PREFIX}XXXXXXXXXX"]
        )
        if made.returncode != 0:
            raise cause_in(os.fsdecode(made.stderr), SOCKETS) or start_failed(
                self.data, self.home.log, f"no folder for its socket could be made in {SOCKETS}"
            )
        return Path(os.fsdecode(made.stdout).strip())

    def _failure(self, output: str) -> Exception:
        known = cause_in(output, self.data)
        if known is not None:
            return known
        for folder in (self.data, self.home.path):
            # On a full disk, the log cannot contain the reason.
            if shutil.disk_usage(folder).free < _NO_ROOM_BYTES:
                return disk_full(folder, "less than 1 MB is free")
        return start_failed(self.data, self.home.log, last_complaint(output))


def remove_socket_folder(directory: ClusterDirectory, folder: Path | None) -> None:
    """Remove the socket folder of a stopped server if it is in /tmp and empty."""
    if folder is not None and folder.parent == SOCKETS and folder.name.startswith(_SOCKET_PREFIX):
        directory.os_user.run(["/bin/sh", "-c", 'rmdir -- "$1"', "sh", folder])
