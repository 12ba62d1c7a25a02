"""What can go wrong with the private server, each as an error of its own with its facts as fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class PostgresMissing(ServerError):
    """No folder with a PostgreSQL server was found."""

    def __init__(self, install: str) -> None:
        self.install = install
        super().__init__(
            "No PostgreSQL server was found (asked: pg_config, PATH, the usual folders of the distributions)",
            f"{install}; if one is installed elsewhere, set DBSCHEMA_PG_BIN to the folder that holds 'initdb'",
        )


class PostgresTooOld(ServerError):
    """A PostgreSQL server is there, but none is new enough."""

    def __init__(self, version: str, bin_dir: Path, oldest: int, install: str) -> None:
        self.version, self.bin_dir, self.oldest, self.install = version, bin_dir, oldest, install
        super().__init__(
            f"PostgreSQL {version} in {bin_dir} is older than {oldest}, the oldest served", install
        )


class PostgisMissing(ServerError):
    """A PostgreSQL server is there, but the files of PostGIS are not."""

    def __init__(self, version: str, bin_dir: Path, install: str) -> None:
        self.version, self.bin_dir, self.install = version, bin_dir, install
        super().__init__(f"PostgreSQL {version} in {bin_dir} has no PostGIS", install)


class BadBinaries(ServerError):
    """DBSCHEMA_PG_BIN names a folder that does not hold a PostgreSQL server."""

    def __init__(self, bin_dir: Path, reason: str) -> None:
        self.bin_dir, self.reason = bin_dir, reason
        super().__init__(
            f"DBSCHEMA_PG_BIN names {bin_dir}, where {reason}",
            "Set it to the folder that holds 'initdb' and 'postgres', or unset it to have one found",
        )


class OtherMajor(ServerError):
    """The data were written by another major version than the ones that are installed."""

    def __init__(self, data: Path, major: int, installed: Sequence[int], install: str) -> None:
        self.data, self.major, self.installed = data, major, tuple(installed)
        there = ", ".join(str(number) for number in self.installed) or "none"
        super().__init__(
            f"The data in {data} belong to PostgreSQL {major}, and the servers found here are of version {there}",
            f"{install} to go on with the data, or give them up with 'dbschema down --destroy'",
        )


class NotWritable(ServerError):
    """A folder or file of the private server cannot be written."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(
            f"The private server cannot write in {path} ({reason})",
            "Make it writable, or set DBSCHEMA_HOME to a folder that is",
        )


class DiskFull(ServerError):
    """There is no room left where the data stand."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(
            f"There is not enough room for the private server in {path} ({reason})",
            "Free some space there, or set DBSCHEMA_HOME to a folder on another disk",
        )


class BadHome(ServerError):
    """The home of the private server cannot be used as a folder."""

    def __init__(self, home: Path, reason: str) -> None:
        self.home, self.reason = home, reason
        super().__init__(
            f"The private server cannot live in {str(home)!r}: {reason}",
            "Set DBSCHEMA_HOME to another folder",
        )


class NotOurs(ServerError):
    """A folder stands where the data belong, and this package did not make it."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(
            f"{path} was not made by dbschema for this home ({reason}), so it is left alone",
            "Move it away, or set DBSCHEMA_HOME to another folder",
        )


class BelongsToOther(ServerError):
    """The private server of this home is another user's."""

    def __init__(self, path: Path, owner: str) -> None:
        self.path, self.owner = path, owner
        super().__init__(
            f"The private server with {path} belongs to the user {owner!r}",
            "Call as the user who started it (root, if it was started with sudo), or set DBSCHEMA_HOME to a folder of your own",
        )


class NoAccount(ServerError):
    """There is no user under whom PostgreSQL could run."""

    def __init__(self, reason: str, next_step: str) -> None:
        self.reason = reason
        super().__init__(f"There is no user to run PostgreSQL as: {reason}", next_step)


class ServerBusy(ServerError):
    """Another process starts, stops or removes the same private server, and does not come to an end."""

    def __init__(self, lock: Path, holder: int | None, waited: float) -> None:
        self.lock, self.holder, self.waited = lock, holder, waited
        who = "another process" if holder is None else f"process {holder}"
        super().__init__(
            f"{who.capitalize()} holds {lock} since more than {waited:.0f} s",
            "Wait until it has finished, or end it, and call again",
        )


class BadSetting(ServerError):
    """A setting was given that the private server decides itself, or that is no setting's name."""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(
            f"The setting {name!r} cannot be given to the private server: {reason}", "Leave it out"
        )


class NotRunning(ServerError):
    """The private server was asked for its address and does not run."""

    def __init__(self, home: Path) -> None:
        self.home = home
        super().__init__(f"The private server in {home} is not running", "Start it with 'dbschema up'")


class InitFailed(ServerError):
    """initdb refused to make a cluster."""

    def __init__(self, folder: Path, reason: str) -> None:
        self.folder, self.reason = folder, reason
        super().__init__(
            f"No cluster could be made in {folder}: initdb says: {reason}",
            "Remove the cause, or choose other binaries with DBSCHEMA_PG_BIN",
        )


class StartFailed(ServerError):
    """PostgreSQL ended, or did not become ready, after it was started."""

    def __init__(self, data: Path, log: Path, reason: str) -> None:
        self.data, self.log, self.reason = data, log, reason
        super().__init__(f"PostgreSQL with the data in {data} did not start: {reason}", f"Read more in {log}")


class StopFailed(ServerError):
    """PostgreSQL did not end in time after it was told to."""

    def __init__(self, pid: int, log: Path, waited: float) -> None:
        self.pid, self.log, self.waited = pid, log, waited
        super().__init__(
            f"PostgreSQL (process {pid}) is still there {waited:.0f} s after it was told to stop",
            f"Read {log}, or stop it at once with stop(mode='immediate')",
        )


class NoConnection(ServerError):
    """The server runs, and refuses our own connection."""

    def __init__(self, place: str, reason: str, password_file: Path) -> None:
        self.place, self.reason, self.password_file = place, reason, password_file
        super().__init__(
            f"The private server at {place} runs but refuses the connection: {reason}",
            f"If its password was changed, remove {password_file}: the next start sets a new one",
        )


class PasswordLost(ServerError):
    """The server runs, and the file with its password is gone."""

    def __init__(self, password_file: Path) -> None:
        self.password_file = password_file
        super().__init__(
            f"The password of the private server is not in {password_file} any more",
            "Call 'dbschema up': it sets a new one",
        )
