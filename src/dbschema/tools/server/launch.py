"""The start of a server on its data: a port and a socket of its own, the process, and the wait until it is ready."""

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
from dbschema.tools.server.translate import cause_in, last_complaint, os_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dbschema.tools.server.binaries import Binaries
    from dbschema.tools.server.directory import ClusterDirectory
    from dbschema.tools.server.home import Home
    from dbschema.tools.server.process import PidFile

READY_SECONDS: Final = 120.0
"""How long a server may take until it accepts connections; after a crash it repairs its data first."""

SOCKETS: Final = Path("/tmp")  # noqa: S108  the one short folder of every system; what we make in it is 0700
_SOCKET_PREFIX: Final = "dbschema-"
_SOCKET_PATH_BYTES: Final = 103
"""How long the path of a Unix socket may be on every system: Linux allows 107, macOS 103."""

_TRIES: Final = 5
_NO_ROOM_BYTES: Final = 1024 * 1024


@dataclass(frozen=True)
class Launch:
    """Everything that a start needs to know."""

    home: Home
    store: ClusterDirectory
    data: Path
    binaries: Binaries
    options: Mapping[str, str]

    def start(self, stored_port: int | None) -> PidFile:
        """Start the server and wait until it is ready; the caller holds the lock and knows that it does not run.

        A port that another program takes between our look and the server's is given up for the next one.

        Raises:
            StartFailed, BadHome: with what the server's log says.
        """
        self._clear_away()
        failed: set[int] = set()
        for _ in range(_TRIES):
            if (noted := self._settled()) is not None:
                return noted
            port = choose_port(self.home.path, stored_port, failed)
            output = self._try(port)
            if (noted := self._settled()) is not None:
                return noted
            if "Address already in use" not in output:
                raise self._failure(output)
            failed.add(port)
        raise self._failure(f"FATAL:  the ports {', '.join(map(str, sorted(failed)))} were all taken")

    def _try(self, port: int) -> str:
        """Start the server once; returns what it logged, and raises when it neither gets ready nor ends."""
        socket_dir = self._socket_folder()
        # A killed server leaves its socket and a lock file with its number, which may be another program's by now.
        # Nothing of a living server can be there: the folder is this cluster's alone, and none of its processes is left.
        self.store.account.run(["/bin/sh", "-c", 'rm -f -- "$1"/.s.PGSQL.*', "sh", socket_dir])
        log = self.home.open_log()
        try:
            before = os.fstat(log).st_size
            args = cluster.command(self.binaries, self.data, port, socket_dir, self.options)
            pid = self.store.account.spawn(args, log=log, environment=self._stale_pid())
        finally:
            os.close(log)
        self._wait_for(pid)
        with self.home.log.open("rb") as file:
            file.seek(before)
            return os.fsdecode(file.read())

    def _settled(self) -> PidFile | None:
        """The server that is ready now.

        It need not be the one that we started: where a caller was killed after its start, and before its server had
        noted itself, that server comes up first and ours gives way to it.
        """
        noted = process.running(self.data, self.store.account)
        if noted is not None and noted.state != "ready":
            self._wait_for(noted.pid)
            noted = process.running(self.data, self.store.account)
        return noted

    def _wait_for(self, pid: int) -> None:
        if process.wait_for_state(self.data, pid, seconds=READY_SECONDS) == "late":
            reason = f"process {pid} is not ready after {READY_SECONDS:.0f} s and works on, call again later"
            raise start_failed(self.data, self.home.log, reason)

    def _clear_away(self) -> None:
        """Remove what a crash left behind and what would keep the server from starting."""
        account = self.store.account
        process.end_left_behind(self.data, account)
        pid_file = self.data / process.PID_FILE
        if pid_file.exists() and process.read_pid_file(self.data) is None:
            # A crash in the middle of writing it: PostgreSQL takes an unreadable file for a running server's.
            account.remove_tree(pid_file)

    def _stale_pid(self) -> dict[str, str]:
        """Tell the server that the process noted in postmaster.pid is no server: we have looked.

        PostgreSQL would refuse to start beside any process with that number and the same user, even beside a dead
        one that nobody has buried (as in a container whose first process does not). The file itself stays, because it
        also names the shared memory by which PostgreSQL finds processes left behind. The variable is the one by
        which pg_ctl names its own parent.
        """
        noted = process.read_pid_file(self.data)
        return {} if noted is None else {"PG_GRANDPARENT_PID": str(noted.pid)}

    def _socket_folder(self) -> Path:
        """The folder of the Unix socket (0700, the server's user): in the store, or in /tmp where the path is too long."""
        account = self.store.account
        inside = self.store.folder / "socket"
        # A comma would part the path in two for every client.
        if len(os.fsencode(inside / ".s.PGSQL.65535")) <= _SOCKET_PATH_BYTES and "," not in str(inside):
            account.make_folder(inside)
            return inside
        short = SOCKETS / f"{_SOCKET_PREFIX}{account.uid}-{path_hash(self.data)}"
        account.run(["/bin/sh", "-c", 'mkdir -m 0700 -- "$1"', "sh", short])
        with os_errors(short):
            facts = short.lstat()
        if stat.S_ISDIR(facts.st_mode) and facts.st_uid == account.uid and not facts.st_mode & 0o077:
            return short
        # Somebody else was there first with our name: take one that nobody can foresee.
        made = account.run(
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
            # In a full disk the log itself has no room for the reason.
            if shutil.disk_usage(folder).free < _NO_ROOM_BYTES:
                return disk_full(folder, "less than 1 MB is free")
        return start_failed(self.data, self.home.log, last_complaint(output))


def remove_socket_folder(store: ClusterDirectory, folder: Path | None) -> None:
    """Remove the folder of a stopped server's socket, if it is one in /tmp and empty."""
    if folder is not None and folder.parent == SOCKETS and folder.name.startswith(_SOCKET_PREFIX):
        store.account.run(["/bin/sh", "-c", 'rmdir -- "$1"', "sh", folder])
