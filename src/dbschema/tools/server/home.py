"""Manage the home of a private server: its files in a folder of the project, and the lock that admits one caller."""

from __future__ import annotations

import errno
import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dbschema.environment import Variable
from dbschema.tools.server.errors import ServerBusy, bad_home, belongs_to_other
from dbschema.tools.server.os_errors import os_errors

if TYPE_CHECKING:
    from collections.abc import Iterator


SETTING: Final = Variable(
    "DBSCHEMA_HOME",
    "The folder of the private server.",
    reader="private server",
    default="`.dbschema` in the project",
    example="/srv/shop",
)
FOLDER: Final = ".dbschema"
_PROJECT_MARKS: Final = ("alembic.ini", "pyproject.toml", ".git")
_MARK: Final = (
    "# Made by dbschema for its private server: nothing here belongs into the project's history.\n*\n"
)
_LOG_BYTES: Final = 10_000_000
"""The next start renames a log that is longer than this many bytes; one old log is kept."""


def default_home() -> Path:
    """Return the default home; the folder need not exist.

    It is `DBSCHEMA_HOME`, else ``.dbschema`` in the project. The project is the nearest folder, from the current one
    upwards, that contains alembic.ini, pyproject.toml or .git; without such a folder, it is the current one.

    Raises:
        BadHome: the current folder does not exist any more.
    """
    named = os.environ.get(SETTING, "")
    if named:
        return Path(named).expanduser().absolute()
    try:
        here = Path.cwd()
    except FileNotFoundError as error:
        raise bad_home(Path(FOLDER), "the current folder does not exist any more") from error
    for folder in (here, *here.parents):
        if any(os.path.lexists(folder / mark) for mark in _PROJECT_MARKS):
            return folder / FOLDER
    return here / FOLDER


@dataclass(frozen=True)
class State:
    """The stored facts of the last run; each is checked before it is used.

    `store` is the path of the cluster directory.
    """

    port: int | None = None
    store: str | None = None
    bin_dir: str | None = None
    version: str | None = None


@dataclass(frozen=True)
class Home:
    """The files of a home. The caller owns all of them, and the server's OS user does not read them.

    Raises:
        BadHome: the path contains a line break.
    """

    path: Path

    def __post_init__(self) -> None:
        if "\n" in str(self.path) or "\r" in str(self.path):
            raise bad_home(self.path, "PostgreSQL cannot work in a path with a line break")

    @property
    def lock(self) -> Path:
        """The lock file; a caller that starts, stops or removes the server holds its lock."""
        return self.path / "server.lock"

    @property
    def log(self) -> Path:
        """The log of the server."""
        return self.path / "server.log"

    @property
    def password_file(self) -> Path:
        """The file with the superuser's password, readable by the caller only (mode 0600)."""
        return self.path / "server.password"

    @property
    def state_file(self) -> Path:
        """The file with `State` as JSON."""
        return self.path / "server.json"

    def make(self) -> None:
        """Create the folder with a .gitignore that excludes its content from the project's history."""
        with os_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            ignore = self.path / ".gitignore"
            if not ignore.exists():
                ignore.write_text(_MARK, encoding="ascii")

    def is_ours(self) -> bool:
        """Return whether the folder has the .gitignore of this package."""
        try:
            return (self.path / ".gitignore").read_text(encoding="utf-8") == _MARK
        except (OSError, UnicodeDecodeError):
            return False

    def read_state(self) -> State:
        """Read the stored state; an empty state if the file is missing or damaged."""
        try:
            raw = json.loads(self.state_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return State()
        if not isinstance(raw, dict):
            return State()
        port = raw.get("port")
        # type() and not isinstance(): JSON's true is an int in Python
        known = port if type(port) is int and 0 < port < 65536 else None
        texts = {
            key: value for key in ("store", "bin_dir", "version") if isinstance(value := raw.get(key), str)
        }
        return State(known, **texts)

    def write_state(self, state: State) -> None:
        """Store `state`."""
        with os_errors(self.path):
            _replace(self.state_file, json.dumps(asdict(state), indent=2) + "\n", 0o644)

    def read_password(self) -> str | None:
        """Read the password; None if there is no file with a password.

        Raises:
            NotOurs: the file belongs to another user.
        """
        try:
            text = self.password_file.read_text(encoding="ascii").strip()
        except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
            return None
        except PermissionError as error:
            raise belongs_to_other(self.password_file, owner_name(self.password_file)) from error
        return text or None

    def write_password(self, password: str) -> None:
        """Store the password; call this after the server has accepted it."""
        with os_errors(self.path):
            _replace(self.password_file, password + "\n", 0o600)

    def open_log(self) -> int:
        """Open the log for appending and return the descriptor; rename a log that is too long first."""
        with os_errors(self.path):
            if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
                self.log.replace(self.log.with_suffix(".log.1"))
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(self.log, flags, 0o600)
            _give_to_owner(descriptor, self.path)
            return descriptor

    def remove(self) -> None:
        """Remove the files of this package, then the folder if it is empty."""
        ours = [self.state_file, self.password_file, self.log, self.log.with_suffix(".log.1"), self.lock]
        if self.is_ours():
            ours.append(self.path / ".gitignore")
        with os_errors(self.path):
            for file in ours:
                file.unlink(missing_ok=True)
            if not any(self.path.iterdir()):
                self.path.rmdir()


def new_password() -> str:
    """Return a password of 192 random bits, in characters that need no escape in a URL."""
    import secrets  # noqa: PLC0415  slower to import than the rest of this package

    return secrets.token_urlsafe(24)


def path_hash(path: Path) -> str:
    """Return twelve hexadecimal digits of a hash of `path`, for names that must be short and reproducible."""
    import hashlib  # noqa: PLC0415  slow to import, and few commands need it

    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def owner_name(path: Path) -> str:
    """Return the name of the owner of `path`, for a message."""
    import pwd  # noqa: PLC0415  for a message only

    try:
        uid = path.lstat().st_uid
    except OSError:
        return "another user"
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _replace(path: Path, text: str, mode: int) -> None:
    """Replace a file atomically; at no time has it more permissions than `mode`."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            _give_to_owner(descriptor, path.parent)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _give_to_owner(descriptor: int, folder: Path) -> None:
    """Change the owner of a file that root has created in a user's home, so that the user can read it."""
    if os.geteuid() == 0:
        owner, facts = folder.stat(), os.fstat(descriptor)
        # With a second name, the file can be a hard link to a file outside of the home.
        if facts.st_uid == 0 and owner.st_uid != 0 and facts.st_nlink == 1:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


LOCK_SECONDS = 180.0
"""The default deadline of a wait for the lock, in seconds: longer than a start or a stop may take."""

_POLL_SECONDS: Final = 0.05


@contextmanager
def exclusive(path: Path, *, seconds: float | None = None) -> Iterator[None]:
    """Hold the exclusive lock of the file `path`, across processes and threads of this machine.

    The kernel releases the lock when its holder dies. The holder may remove the file: a caller that waits for the
    removed file locks the new one. On a read-only file system, no lock is taken: a server can neither start nor be
    created there.

    Args:
        path: the file; its folder exists.
        seconds: the deadline of the wait; None: `LOCK_SECONDS`.

    Raises:
        ServerBusy: another caller holds the lock until the deadline.
        OSError: the file cannot be opened.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415  10 ms, and a running server needs no lock

    deadline = LOCK_SECONDS if seconds is None else seconds
    lock = FileLock(
        path,
        timeout=deadline,
        mode=0o644,
        poll_interval=_POLL_SECONDS,
        fallback_to_soft=False,
        preserve_lock_file=True,
        on_acquired=_write_pid,
    )
    try:
        lock.acquire()
    except Timeout as error:
        raise ServerBusy(path, _holder(path), deadline) from error
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
    try:
        yield
    finally:
        lock.release()


def _write_pid(descriptor: int) -> None:
    """Write the process id into the file, for the error of a caller that waits."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _holder(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdigit() else None
