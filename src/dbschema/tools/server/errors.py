"""Define the errors of the private server: classes that callers distinguish, and functions for their variants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.errors import BadSetting, ServerError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class PostgresMissing(ServerError):
    """This machine has no PostgreSQL server of the required version with PostGIS.

    Changed: nothing.
    Fix: install the packages that the message names, or set DBSCHEMA_PG_BIN to the folder that holds `initdb`.

    Args:
        what: what is missing, and where; no full stop at its end.
        next_step: how to install it; no full stop at its end.
        bin_dir: the folder of the server that does not suffice; None if there is no single one.
    """

    code = "postgres-missing"

    def __init__(self, what: str, next_step: str, *, bin_dir: Path | None = None) -> None:
        self.bin_dir = bin_dir
        super().__init__(what, next_step)


def postgres_missing(install: str) -> PostgresMissing:
    """No folder with a PostgreSQL server was found."""
    return PostgresMissing(
        "No PostgreSQL server was found (searched: pg_config, PATH, the usual folders of the distributions)",
        f"{install}; if one is installed elsewhere, set DBSCHEMA_PG_BIN to the folder that holds 'initdb'",
    )


def postgres_too_old(version: str, bin_dir: Path, oldest: int, install: str) -> PostgresMissing:
    """The newest installed server is older than the oldest supported version."""
    return PostgresMissing(
        f"PostgreSQL {version} in {bin_dir} is older than {oldest}, the oldest supported version",
        install,
        bin_dir=bin_dir,
    )


def postgis_missing(version: str, bin_dir: Path, install: str) -> PostgresMissing:
    """The server is installed without the files of PostGIS."""
    return PostgresMissing(f"PostgreSQL {version} in {bin_dir} has no PostGIS", install, bin_dir=bin_dir)


def bad_binaries(bin_dir: Path, reason: str) -> PostgresMissing:
    """DBSCHEMA_PG_BIN names a folder without a PostgreSQL server."""
    return PostgresMissing(
        f"DBSCHEMA_PG_BIN names {bin_dir}, where {reason}",
        "Set it to the folder that holds 'initdb' and 'postgres', or unset it to search for a server",
        bin_dir=bin_dir,
    )


class OtherMajor(ServerError):
    """The data directory belongs to a major version of PostgreSQL that is not installed.

    Changed: nothing.
    Fix: install that version, or remove the data with `dbschema down --destroy`.

    Args:
        data: the data directory.
        major: the version that wrote it.
        installed: the versions that are installed.
        install: how to install the version that wrote it.
    """

    code = "other-major"

    def __init__(self, data: Path, major: int, installed: Sequence[int], install: str) -> None:
        self.data, self.major, self.installed = data, major, tuple(installed)
        there = ", ".join(str(number) for number in self.installed) or "none"
        super().__init__(
            f"The data in {data} belong to PostgreSQL {major}, and the servers found here are of version {there}",
            f"{install} to keep the data, or remove them with 'dbschema down --destroy'",
        )


class BadHome(ServerError):
    """The home of the private server cannot be used: its path is not valid, it is not writable, or its disk is full.

    Changed: nothing in a database.
    Fix: make the folder writable or free space, or set DBSCHEMA_HOME to another folder.

    Args:
        path: the folder or file.
        what: what is wrong with it; no full stop at its end.
        next_step: what the reader can do about it; no full stop at its end.
    """

    code = "bad-home"

    def __init__(self, path: Path, what: str, next_step: str = "Set DBSCHEMA_HOME to another folder") -> None:
        self.path = path
        super().__init__(what, next_step)


def bad_home(home: Path, reason: str) -> BadHome:
    """The home cannot be used as a folder."""
    return BadHome(home, f"The private server cannot use {str(home)!r} as its home: {reason}")


def not_writable(path: Path, reason: str) -> BadHome:
    """A folder or file of the private server cannot be written."""
    return BadHome(
        path,
        f"The private server cannot write in {path} ({reason})",
        "Make it writable, or set DBSCHEMA_HOME to a folder that is",
    )


def disk_full(path: Path, reason: str) -> BadHome:
    """The disk of the data directory has no room left."""
    return BadHome(
        path,
        f"There is not enough room for the private server in {path} ({reason})",
        "Free some space there, or set DBSCHEMA_HOME to a folder on another disk",
    )


class NotOurs(ServerError):
    """The folder of the data belongs to another user, or dbschema did not make it for this home.

    Changed: nothing.
    Fix: call as the user who started the server, move the folder away, or set DBSCHEMA_HOME to another folder.

    Args:
        path: the folder or file.
        what: why it is left alone; no full stop at its end.
        next_step: what the reader can do about it; no full stop at its end.
        owner: the user to whom it belongs, if that is the reason.
    """

    code = "not-ours"

    def __init__(self, path: Path, what: str, next_step: str, *, owner: str | None = None) -> None:
        self.path, self.owner = path, owner
        super().__init__(what, next_step)


def not_ours(path: Path, reason: str) -> NotOurs:
    """Another file or folder is in the place of the cluster directory."""
    return NotOurs(
        path,
        f"{path} was not made by dbschema for this home ({reason}), so it is left alone",
        "Move it away, or set DBSCHEMA_HOME to another folder",
    )


def belongs_to_other(path: Path, owner: str) -> NotOurs:
    """The private server of this home belongs to another user."""
    return NotOurs(
        path,
        f"The private server with {path} belongs to the user {owner!r}",
        "Call as the user who started it (root, if it was started with sudo), or set DBSCHEMA_HOME to a folder of your own",
        owner=owner,
    )


class ServerBusy(ServerError):
    """Another process holds the lock of the private server until the deadline.

    Changed: nothing.
    Fix: wait for the process that the message names, or end it; then call again.

    Args:
        lock: the lock file.
        holder: the process that holds it, if it is known.
        waited: seconds until the deadline.
    """

    code = "server-busy"

    def __init__(self, lock: Path, holder: int | None, waited: float) -> None:
        self.lock, self.holder, self.waited = lock, holder, waited
        who = "another process" if holder is None else f"process {holder}"
        super().__init__(
            f"{who.capitalize()} holds {lock} since more than {waited:.0f} s",
            "Wait until it has finished, or end it, and call again",
        )


class NotRunning(ServerError):
    """The private server is not running, or does not accept connections yet.

    Changed: nothing.
    Fix: start it with `dbschema up`.

    Args:
        home: its home.
    """

    code = "not-running"

    def __init__(self, home: Path) -> None:
        self.home = home
        super().__init__(f"The private server in {home} is not running", "Start it with 'dbschema up'")


class StartFailed(ServerError):
    """initdb or PostgreSQL failed, or the server was not ready before the deadline.

    Changed: nothing in a database; an unfinished data directory is removed by the next start.
    Fix: remove the cause that the message or the log names; then start again with `dbschema up`.

    Args:
        path: the folder of the data.
        what: which step failed, and why; no full stop at its end.
        next_step: what the reader can do about it; no full stop at its end.
        log: the log of the server; None if the failed step has none.
    """

    code = "start-failed"

    def __init__(self, path: Path, what: str, next_step: str, *, log: Path | None = None) -> None:
        self.path, self.log = path, log
        super().__init__(what, next_step)


def init_failed(folder: Path, reason: str) -> StartFailed:
    """initdb failed to make a cluster."""
    return StartFailed(
        folder,
        f"No cluster could be made in {folder}: initdb says: {reason}",
        "Remove the cause, or choose other binaries with DBSCHEMA_PG_BIN",
    )


def start_failed(data: Path, log: Path, reason: str) -> StartFailed:
    """PostgreSQL ended, or did not become ready, after its start."""
    return StartFailed(
        data, f"PostgreSQL with the data in {data} did not start: {reason}", f"Read more in {log}", log=log
    )


class NoConnection(ServerError):
    """The private server runs and rejects the connection.

    Changed: nothing.
    Fix: if its password was changed, remove the password file that the message names; then call `dbschema up`.

    Args:
        place: its address.
        reason: the answer of the server.
        password_file: the file with its password.
    """

    code = "no-connection"

    def __init__(self, place: str, reason: str, password_file: Path) -> None:
        self.place, self.reason, self.password_file = place, reason, password_file
        super().__init__(
            f"The private server at {place} runs but rejects the connection: {reason}",
            f"If its password was changed, remove {password_file}: the next start sets a new one",
        )


def no_os_user(reason: str, next_step: str) -> ServerError:
    """There is no OS user to run PostgreSQL as."""
    return ServerError(f"There is no user to run PostgreSQL as: {reason}", next_step)


def bad_setting(name: str, reason: str) -> BadSetting:
    """The caller cannot choose this setting of the private server."""
    return BadSetting(
        name,
        f"cannot be given to the private server: {reason}",
        "Leave it out",
        subject=f"The setting {name!r}",
    )


def stop_failed(pid: int, log: Path, waited: float) -> ServerError:
    """PostgreSQL did not end before the deadline of a stop."""
    return ServerError(
        f"PostgreSQL (process {pid}) is still there {waited:.0f} s after the signal to stop",
        f"Read {log}, or stop it at once with stop(mode='immediate')",
    )


def password_lost(password_file: Path) -> ServerError:
    """The server runs, and the file with its password is missing."""
    return ServerError(
        f"The password of the private server is not in {password_file} any more",
        "Call 'dbschema up': it sets a new one",
    )
