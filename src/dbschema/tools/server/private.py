"""Start, stop, inspect and remove the private server: one cluster in one home, which outlives its callers."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dbschema.tools.server import cluster, process
from dbschema.tools.server.address import DATABASE, HOST, USER, Address, Status
from dbschema.tools.server.binaries import find_binaries
from dbschema.tools.server.database import ensure_database, set_password
from dbschema.tools.server.directory import ClusterDirectory, find_cluster_directory, make_cluster_directory
from dbschema.tools.server.errors import NoConnection, NotRunning, bad_home, password_lost, start_failed
from dbschema.tools.server.home import Home, State, default_home, exclusive, new_password
from dbschema.tools.server.os_errors import os_errors
from dbschema.tools.server.startup import READY_SECONDS, ServerStart, remove_socket_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dbschema.tools.server.process import PidFile

_TRIES = 4
"""The number of attempts of a start, because another caller can stop the server in between."""


class PrivateServer:
    """A PostgreSQL server of the caller, reachable from this machine only.

    Each method can be called at any time, by several processes at once, and after any crash; each raises
    `dbschema.errors.ServerError` or a subclass. An object stores its arguments only: the state is in the home and in
    the running process.

    Args:
        home: the folder with all files of the server; None: `default_home()`. The first start creates it.
        options: settings of postgresql.conf for the next start, as texts (``{"fsync": "off"}``). They have no effect on a
            running server and are not stored.

    Raises:
        BadSetting: a name in `options` is not valid, or the private server decides the setting.
    """

    def __init__(self, home: Path | None = None, *, options: Mapping[str, str] | None = None) -> None:
        self.home = Path(os.path.realpath(default_home() if home is None else home))
        self._home = Home(self.home)
        self._options = cluster.check_options(options or {})

    def __repr__(self) -> str:
        return f"PrivateServer({str(self.home)!r})"

    def start(self) -> Address:
        """Create the cluster if it is absent, start the server if it does not run, and wait until it is ready.

        The server outlives the caller. Its database exists when this returns. The port is that of the last run, unless
        another program uses it.

        Raises:
            ServerError: the server cannot run; the subclasses in `dbschema.tools.server.errors` name the cause.
        """
        for attempt in range(1, _TRIES + 1):
            address = self._ready_address() or self._start_under_lock()
            try:
                ensure_database(address, self._home.password_file)
            except NoConnection:
                # Another caller can have stopped the server in between, and a third one restarted it at the same
                # address. Only repeated failure distinguishes this from a server that rejects the password.
                if attempt == _TRIES:
                    raise
            else:
                break
        return address

    def stop(self, *, mode: Literal["fast", "immediate"] = "fast") -> bool:
        """Stop the server and wait until it has ended; the data stay.

        Args:
            mode: "fast" ends all sessions and writes everything; "immediate" writes nothing, as a crash.

        Returns:
            False if it was not running.
        """
        if self._find_directory() is None:
            return False
        with os_errors(self.home), exclusive(self._home.lock):
            directory = self._find_directory()
            return directory is not None and self._stop_in(directory, mode)

    def destroy(self) -> bool:
        """Stop the server, then remove its data, the folder of its socket and its files in the home.

        Returns:
            False if there was nothing to remove.

        Raises:
            NotOurs: this package did not create the folder in the place of the cluster directory; nothing is removed.
        """
        if self._find_directory() is None and not self._home.is_ours():
            return False
        self._home.make()
        with os_errors(self.home), exclusive(self._home.lock):
            directory = self._find_directory()
            if directory is not None:
                self._stop_in(directory, "immediate")
                for data in directory.data_folders().values():
                    process.end_left_behind(data, directory.os_user)
                directory.remove()
            self._home.remove()
        return True

    def status(self) -> Status:
        """Return the status of the server; nothing is started, created or changed."""
        state = self._home.read_state()
        directory = self._find_directory()
        pid_file = None if directory is None else self._running(directory)
        version = state.version
        if version is None and directory is not None and (folders := directory.data_folders()):
            version = str(max(folders))
        return Status(
            running=pid_file is not None,
            pid=None if pid_file is None else pid_file.pid,
            port=state.port if pid_file is None else pid_file.port,
            home=self.home,
            version=version,
            bin_dir=None if state.bin_dir is None else Path(state.bin_dir),
            address=self._ready_address(),
        )

    def address(self) -> Address:
        """Return the address of the running server.

        Raises:
            NotRunning: it does not run, or does not accept connections yet.
            ServerError: the file with its password is missing.
        """
        address = self._ready_address()
        if address is not None:
            return address
        directory = self._find_directory()
        if (
            directory is not None
            and self._running(directory) is not None
            and self._home.read_password() is None
        ):
            raise password_lost(self._home.password_file)
        raise NotRunning(self.home)

    def _start_under_lock(self) -> Address:
        """Start the server under the lock, or wait until the server that another caller has started is ready."""
        self._home.make()
        with os_errors(self.home), exclusive(self._home.lock):
            directory = self._find_directory() or make_cluster_directory(self.home)
            pid_file = self._wait_until_ready(directory)
            known = self._home.read_password()
            password = known or new_password()
            has_data = bool(directory.data_folders())
            if pid_file is None:
                pid_file = self._start_server(directory, password)
            if pid_file.port is None or pid_file.socket_dir is None:
                raise bad_home(
                    self.home, f"{process.PID_FILE} does not name the port and the socket of the server"
                )
            if known is None:
                # Store it after the server has it: after an interruption, the next start finds no file and sets a new
                # one.
                if has_data:
                    set_password(pid_file.socket_dir, pid_file.port, password, self._home.password_file)
                self._home.write_password(password)
            return self._address(pid_file.port, pid_file.socket_dir, password)

    def _start_server(self, directory: ClusterDirectory, password: str) -> PidFile:
        state = self._home.read_state()
        folders = directory.data_folders()
        if folders:
            major = max(folders)
            data = folders[major]
            binaries = find_binaries(major=major, data=data)
        else:
            binaries = find_binaries()
            data = cluster.initialise(directory, binaries, password, sync=self._options.get("fsync") != "off")
        caller = pwd.getpwuid(os.geteuid()).pw_name
        cluster.configure(directory, data, [caller, directory.os_user.name])
        pid_file = ServerStart(self._home, directory, data, binaries, self._options).start(state.port)
        self._home.write_state(
            State(pid_file.port, str(directory.folder), str(binaries.bin_dir), binaries.version)
        )
        return pid_file

    def _wait_until_ready(self, directory: ClusterDirectory) -> PidFile | None:
        """Return the pid file of the running server, after a wait until it is ready; None if no server runs.

        Raises:
            StartFailed: it is not ready before the deadline.
        """
        for data in directory.data_folders().values():
            pid_file = process.running(data, directory.os_user)
            if pid_file is None or pid_file.state == "ready":
                continue
            if process.wait_for_state(data, pid_file.pid, seconds=READY_SECONDS) == "late":
                reason = (
                    f"process {pid_file.pid} is in the state {pid_file.state!r} for {READY_SECONDS:.0f} s"
                )
                raise start_failed(data, self._home.log, reason)
        return self._running(directory)

    def _ready_address(self) -> Address | None:
        directory = self._find_directory()
        pid_file = None if directory is None else self._running(directory)
        if (
            pid_file is None
            or pid_file.state != "ready"
            or pid_file.port is None
            or pid_file.socket_dir is None
        ):
            return None
        password = self._home.read_password()
        return None if password is None else self._address(pid_file.port, pid_file.socket_dir, password)

    def _address(self, port: int, socket_dir: Path, password: str) -> Address:
        return Address(HOST, port, USER, password, DATABASE, socket_dir)

    def _find_directory(self) -> ClusterDirectory | None:
        with os_errors(self.home):
            return find_cluster_directory(self.home, self._home.read_state().store)

    def _running(self, directory: ClusterDirectory) -> PidFile | None:
        for data in directory.data_folders().values():
            pid_file = process.running(data, directory.os_user)
            if pid_file is not None:
                return pid_file
        return None

    def _stop_in(self, directory: ClusterDirectory, mode: Literal["fast", "immediate"]) -> bool:
        stopped = False
        for data in directory.data_folders().values():
            pid_file = process.running(data, directory.os_user)
            if pid_file is not None and process.stop(data, directory.os_user, self._home.log, mode):
                stopped = True
                remove_socket_folder(directory, pid_file.socket_dir)
        return stopped
