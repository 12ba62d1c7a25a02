"""The private server: one cluster in one home folder, started on demand and left running."""

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
from dbschema.tools.server.launch import READY_SECONDS, Launch, remove_socket_folder
from dbschema.tools.server.translate import os_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dbschema.tools.server.process import PidFile

_TRIES = 4
"""How often a start begins again because another caller has stopped the server meanwhile."""


class PrivateServer:
    """A PostgreSQL of the caller's own, reachable from this machine only.

    Every method can be called at any time, by several processes at once, and after any crash; each raises
    `dbschema.errors.ServerError` or a child of it. An object keeps nothing but its arguments: the truth is in the
    home and in the running process.

    Args:
        home: the folder for everything about the server; None: `default_home()`. Made when it is first started.
        options: settings of postgresql.conf for the next start, as texts (``{"fsync": "off"}``). Where the server runs
            already they do nothing, and they are not remembered.

    Raises:
        BadSetting: `options` names no setting, or one that the private server decides.
    """

    def __init__(self, home: Path | None = None, *, options: Mapping[str, str] | None = None) -> None:
        self.home = Path(os.path.realpath(default_home() if home is None else home))
        self._home = Home(self.home)
        self._options = cluster.check_options(options or {})

    def __repr__(self) -> str:
        return f"PrivateServer({str(self.home)!r})"

    def start(self) -> Address:
        """Let the server run: make the cluster if there is none, start it if it does not run, wait until it accepts.

        The server outlives the caller. Its database is there when this returns; its port is that of the last run,
        unless another program has taken it.

        Raises:
            ServerError: it cannot run; the children in `dbschema.tools.server.errors` tell the situations apart.
        """
        for attempt in range(1, _TRIES + 1):
            address = self._ready_address() or self._start_alone()
            try:
                ensure_database(address, self._home.password_file)
            except NoConnection:
                # Another caller may have stopped the server in between, and a third one started it again at the same
                # address: nothing tells that from a server that refuses us, but that it happens again and again.
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
            False where it was not running.
        """
        if self._find_store() is None:
            return False
        with os_errors(self.home), exclusive(self._home.lock):
            store = self._find_store()
            return store is not None and self._stop_in(store, mode)

    def destroy(self) -> bool:
        """Stop the server, then remove its data, its socket's folder and its files in the home.

        Returns:
            False where there was nothing.

        Raises:
            NotOurs: a folder stands in the place of the data that this package did not make; nothing is removed.
        """
        if self._find_store() is None and not self._home.is_ours():
            return False
        self._home.make()
        with os_errors(self.home), exclusive(self._home.lock):
            store = self._find_store()
            if store is not None:
                self._stop_in(store, "immediate")
                for data in store.data_folders().values():
                    process.end_left_behind(data, store.account)
                store.remove()
            self._home.remove()
        return True

    def status(self) -> Status:
        """How the server stands; nothing is started, made or changed."""
        state = self._home.read_state()
        store = self._find_store()
        noted = None if store is None else self._alive(store)
        version = state.version
        if version is None and store is not None and (folders := store.data_folders()):
            version = str(max(folders))
        return Status(
            running=noted is not None,
            pid=None if noted is None else noted.pid,
            port=state.port if noted is None else noted.port,
            home=self.home,
            version=version,
            bin_dir=None if state.bin_dir is None else Path(state.bin_dir),
            address=self._ready_address(),
        )

    def address(self) -> Address:
        """Where the running server is reached.

        Raises:
            NotRunning: it does not run, or does not accept connections yet.
            ServerError: the file with its password is gone.
        """
        address = self._ready_address()
        if address is not None:
            return address
        store = self._find_store()
        if store is not None and self._alive(store) is not None and self._home.read_password() is None:
            raise password_lost(self._home.password_file)
        raise NotRunning(self.home)

    def _start_alone(self) -> Address:
        """Start the server, or wait for the one that another caller has just started, while we hold the lock."""
        self._home.make()
        with os_errors(self.home), exclusive(self._home.lock):
            store = self._find_store() or make_cluster_directory(self.home)
            noted = self._settled(store)
            known = self._home.read_password()
            password = known or new_password()
            has_data = bool(store.data_folders())
            if noted is None:
                noted = self._launch(store, password)
            if noted.port is None or noted.socket_dir is None:
                raise bad_home(self.home, f"{process.PID_FILE} does not tell where the server listens")
            if known is None:
                # Kept only when the server has it: broken off before, the next start finds none and sets another.
                if has_data:
                    set_password(noted.socket_dir, noted.port, password, self._home.password_file)
                self._home.write_password(password)
            return self._address(noted.port, noted.socket_dir, password)

    def _launch(self, store: ClusterDirectory, password: str) -> PidFile:
        state = self._home.read_state()
        folders = store.data_folders()
        if folders:
            major = max(folders)
            data = folders[major]
            binaries = find_binaries(major=major, data=data)
        else:
            binaries = find_binaries()
            data = cluster.initialise(store, binaries, password, sync=self._options.get("fsync") != "off")
        caller = pwd.getpwuid(os.geteuid()).pw_name
        cluster.configure(store, data, [caller, store.account.name])
        noted = Launch(self._home, store, data, binaries, self._options).start(state.port)
        self._home.write_state(State(noted.port, str(store.folder), str(binaries.bin_dir), binaries.version))
        return noted

    def _settled(self, store: ClusterDirectory) -> PidFile | None:
        """The server that runs, after it has become ready if it was starting; None when none does, or it has ended."""
        for data in store.data_folders().values():
            noted = process.running(data, store.account)
            if noted is None or noted.state == "ready":
                continue
            if process.wait_for_state(data, noted.pid, seconds=READY_SECONDS) == "late":
                reason = f"process {noted.pid} is in the state {noted.state!r} for {READY_SECONDS:.0f} s"
                raise start_failed(data, self._home.log, reason)
        return self._alive(store)

    def _ready_address(self) -> Address | None:
        store = self._find_store()
        noted = None if store is None else self._alive(store)
        if noted is None or noted.state != "ready" or noted.port is None or noted.socket_dir is None:
            return None
        password = self._home.read_password()
        return None if password is None else self._address(noted.port, noted.socket_dir, password)

    def _address(self, port: int, socket_dir: Path, password: str) -> Address:
        return Address(HOST, port, USER, password, DATABASE, socket_dir)

    def _find_store(self) -> ClusterDirectory | None:
        with os_errors(self.home):
            return find_cluster_directory(self.home, self._home.read_state().store)

    def _alive(self, store: ClusterDirectory) -> PidFile | None:
        for data in store.data_folders().values():
            noted = process.running(data, store.account)
            if noted is not None:
                return noted
        return None

    def _stop_in(self, store: ClusterDirectory, mode: Literal["fast", "immediate"]) -> bool:
        stopped = False
        for data in store.data_folders().values():
            noted = process.running(data, store.account)
            if noted is not None and process.stop(data, store.account, self._home.log, mode):
                stopped = True
                remove_socket_folder(store, noted.socket_dir)
        return stopped
