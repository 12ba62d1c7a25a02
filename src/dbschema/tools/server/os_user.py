"""The operating system's user under whom PostgreSQL runs, and everything that must be done as that user.

PostgreSQL refuses to run as root. When root calls, the server therefore belongs to another user, and root touches
that user's files only by becoming it: no step of root's follows a link that the other user could have planted.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dbschema.errors import ServerError
from dbschema.tools.server.errors import no_account, start_failed
from dbschema.tools.server.translate import cause_in, last_complaint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

STAND_INS: Final = ("postgres", "nobody")
"""Whom root becomes: the first of these that exists."""

_KEPT_ENVIRONMENT: Final = (
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "GDAL_DATA",
    "PROJ_DATA",
    "PROJ_LIB",
)
_STEP_SECONDS: Final = 120.0


def server_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a server's programs see of our environment: the search paths and no more.

    A server outlives its caller, so it must not carry the caller's keys along; and PGDATA, PGPORT or PGOPTIONS
    of the caller's would send it to another place. The locale is C: messages are read, and macOS needs one.
    """
    kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    return {"PATH": os.defpath, **kept, "LC_ALL": "C", **(extra or {})}


@dataclass(frozen=True)
class OsUser:
    """A user of this machine; `switch` where we are root and must become that user first."""

    name: str
    uid: int
    gid: int
    switch: bool

    def run(
        self, args: Sequence[str | Path], *, stdin: bytes = b"", timeout: float = _STEP_SECONDS
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program to its end as this user, from the root folder; its exit code is the caller's to read."""
        try:
            return subprocess.run(  # noqa: S603  arguments are a list, no shell reads them
                [os.fspath(arg) for arg in args],
                input=stdin,
                capture_output=True,
                timeout=timeout,
                check=False,
                cwd="/",
                env=server_environment(),
                user=self.uid if self.switch else None,
                group=self.gid if self.switch else None,
                extra_groups=[] if self.switch else None,
            )
        except PermissionError as error:
            raise self._refused(os.fspath(args[0])) from error
        except subprocess.TimeoutExpired as error:
            raise ServerError(
                f"{os.fspath(args[0])} has not come to an end within {timeout:.0f} s",
                "Look at the load of this machine",
            ) from error

    def spawn(self, args: Sequence[str | Path], *, log: int, environment: Mapping[str, str]) -> int:
        """Start a program that outlives us, as this user; returns its process id.

        It is a grandchild in a session of its own: Ctrl-C, the end of a terminal or of a make recipe do not reach it,
        and it is no zombie of ours when it dies. Both its outputs go to the open file `log`: were one of them
        our own pipe, ``url=$(dbschema url)`` would wait for ever.
        """
        try:
            result = subprocess.run(  # noqa: S603  arguments are a list, the script is a constant
                ["/bin/sh", "-c", '"$@" >&2 & echo $!', "sh", *(os.fspath(arg) for arg in args)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                timeout=_STEP_SECONDS,
                check=True,
                cwd="/",
                env=server_environment(environment),
                start_new_session=True,
                user=self.uid if self.switch else None,
                group=self.gid if self.switch else None,
                extra_groups=[] if self.switch else None,
            )
        except PermissionError as error:
            raise self._refused("/bin/sh") from error
        return int(result.stdout)

    def write(self, path: Path, content: str | bytes) -> None:
        """Write a file of this user's (mode 0600) under a temporary name, then rename it."""
        data = content.encode() if isinstance(content, str) else content
        script = 'umask 077 && cat >"$1.new" && mv -f -- "$1.new" "$1"'
        self._step(["/bin/sh", "-c", script, "sh", path], path, stdin=data)

    def rename(self, old: Path, new: Path) -> None:
        """Rename a folder of this user's, where nothing stands yet."""
        self._step(["/bin/sh", "-c", '[ ! -e "$2" ] && mv -- "$1" "$2"', "sh", old, new], new)

    def make_folder(self, path: Path) -> None:
        """Make a folder of this user's (mode 0700) inside one of its own, unless it is there."""
        self._step(["/bin/sh", "-c", 'umask 077 && mkdir -p -- "$1"', "sh", path], path)

    def remove_tree(self, path: Path) -> None:
        """Remove what this user owns at `path`, also where it was made read-only in between."""
        script = 'rm -rf -- "$1" 2>/dev/null || { chmod -R u+rwX -- "$1"; rm -rf -- "$1"; }'
        self._step(["/bin/sh", "-c", script, "sh", path], path)

    def can_enter(self, folder: Path) -> bool:
        """Whether this user can pass through `folder` and all the folders above it."""
        return self.run(["/bin/sh", "-c", '[ -x "$1" ]', "sh", folder]).returncode == 0

    def _step(self, args: Sequence[str | Path], path: Path, *, stdin: bytes = b"") -> None:
        result = self.run(args, stdin=stdin)
        if result.returncode != 0:
            output = os.fsdecode(result.stderr)
            raise cause_in(output, path) or start_failed(path, path, last_complaint(output))

    def _refused(self, program: str) -> ServerError:
        return no_account(
            f"{self.name!r} may not run {program}",
            "Make the folder readable for that user, or call as a user that is not root",
        )


def os_user_of(uid: int) -> OsUser:
    """The account with that id; `ServerError` where the machine has no name for it, which PostgreSQL insists on."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError as error:
        raise no_account(
            f"the user id {uid} has no name on this machine", "Give it an entry in /etc/passwd"
        ) from error
    return OsUser(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=os.geteuid() == 0)


def default_os_user() -> OsUser:
    """Who runs a new private server: the caller, or `STAND_INS` when the caller is root."""
    if os.geteuid() != 0:
        return os_user_of(os.geteuid())
    for name in STAND_INS:
        try:
            return os_user_of(pwd.getpwnam(name).pw_uid)
        except KeyError:
            continue
    raise no_account(
        f"root may not, and none of the users {', '.join(STAND_INS)} exists",
        "Create the user 'postgres', or call as a user that is not root",
    )
