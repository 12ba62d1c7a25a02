"""Choose the OS user who runs PostgreSQL, and run programs and write files as that user.

PostgreSQL does not run as root. If root calls, the server belongs to another user, and each change of that user's
files runs as that user. So root never follows a symbolic link that the other user has created.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dbschema.errors import ServerError
from dbschema.tools.server.errors import no_os_user, start_failed
from dbschema.tools.server.os_errors import cause_in, last_complaint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

UNPRIVILEGED_USERS: Final = ("postgres", "nobody")
"""The users who run the server if root calls: the first that exists."""

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
    """Return the environment of a server's programs: the search paths of this process, and `extra`.

    A server outlives its caller, so it must not keep the caller's credentials. The caller's PGDATA, PGPORT and
    PGOPTIONS would change the server. The locale is C: this package parses the messages, and macOS requires a locale.
    """
    kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    return {"PATH": os.defpath, **kept, "LC_ALL": "C", **(extra or {})}


@dataclass(frozen=True)
class OsUser:
    """A user of this machine; `switch` is True if this process is root and has to change to that user."""

    name: str
    uid: int
    gid: int
    switch: bool

    def run(
        self, args: Sequence[str | Path], *, stdin: bytes = b"", timeout: float = _STEP_SECONDS
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program as this user, in the folder /, and return its exit code and output.

        Raises:
            ServerError: the user may not run it, or it does not end within `timeout` seconds.
        """
        try:
            return subprocess.run(  # noqa: S603  the arguments are a list, without a shell
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
            raise self._may_not_run(os.fspath(args[0])) from error
        except subprocess.TimeoutExpired as error:
            raise ServerError(
                f"{os.fspath(args[0])} did not end within {timeout:.0f} s",
                "Look at the load of this machine",
            ) from error

    def spawn(self, args: Sequence[str | Path], *, log: int, environment: Mapping[str, str]) -> int:
        """Start a program that outlives this process, as this user, and return its process id.

        The program is a grandchild in its own session. So Ctrl-C and the end of a terminal or of a make recipe do not
        end it, and it does not become a zombie of this process. Standard output and standard error go to the
        descriptor `log`: with an inherited pipe, ``url=$(dbschema url)`` would never return.
        """
        try:
            result = subprocess.run(  # noqa: S603  the arguments are a list, the script is a constant
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
            raise self._may_not_run("/bin/sh") from error
        return int(result.stdout)

    def write(self, path: Path, content: str | bytes) -> None:
        """Write a file as this user (mode 0600) under a temporary name, then rename it."""
        data = content.encode() if isinstance(content, str) else content
        script = 'umask 077 && cat >"$1.new" && mv -f -- "$1.new" "$1"'
        self._step(["/bin/sh", "-c", script, "sh", path], path, stdin=data)

    def rename(self, old: Path, new: Path) -> None:
        """Rename a folder as this user; fail if `new` exists."""
        self._step(["/bin/sh", "-c", '[ ! -e "$2" ] && mv -- "$1" "$2"', "sh", old, new], new)

    def make_folder(self, path: Path) -> None:
        """Create a folder as this user (mode 0700) if it is absent."""
        self._step(["/bin/sh", "-c", 'umask 077 && mkdir -p -- "$1"', "sh", path], path)

    def remove_tree(self, path: Path) -> None:
        """Remove a file or a folder as this user, including its read-only folders."""
        script = 'rm -rf -- "$1" 2>/dev/null || { chmod -R u+rwX -- "$1"; rm -rf -- "$1"; }'
        self._step(["/bin/sh", "-c", script, "sh", path], path)

    def can_enter(self, folder: Path) -> bool:
        """Return whether this user can enter `folder` and all its parents."""
        return self.run(["/bin/sh", "-c", '[ -x "$1" ]', "sh", folder]).returncode == 0

    def _step(self, args: Sequence[str | Path], path: Path, *, stdin: bytes = b"") -> None:
        result = self.run(args, stdin=stdin)
        if result.returncode != 0:
            output = os.fsdecode(result.stderr)
            raise cause_in(output, path) or start_failed(path, path, last_complaint(output))

    def _may_not_run(self, program: str) -> ServerError:
        return no_os_user(
            f"{self.name!r} may not run {program}",
            "Make the folder readable for that user, or call as a user that is not root",
        )


def os_user_of(uid: int) -> OsUser:
    """Return the OS user with the id `uid`.

    Raises:
        ServerError: the id has no name on this machine; PostgreSQL requires one.
    """
    try:
        entry = pwd.getpwuid(uid)
    except KeyError as error:
        raise no_os_user(
            f"the user id {uid} has no name on this machine", "Give it an entry in /etc/passwd"
        ) from error
    return OsUser(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=os.geteuid() == 0)


def default_os_user() -> OsUser:
    """Return the OS user who runs a new private server: the caller, or the first of `UNPRIVILEGED_USERS` if root calls.

    Raises:
        ServerError: root calls and none of `UNPRIVILEGED_USERS` exists, or the caller's id has no name.
    """
    if os.geteuid() != 0:
        return os_user_of(os.geteuid())
    for name in UNPRIVILEGED_USERS:
        try:
            return os_user_of(pwd.getpwnam(name).pw_uid)
        except KeyError:
            continue
    raise no_os_user(
        f"root may not, and none of the users {', '.join(UNPRIVILEGED_USERS)} exists",
        "Create the user 'postgres', or call as a user that is not root",
    )
