"""The home of a private server: the folder of the project in which everything about it is kept or noted.

One caller at a time: a lock on a file, with a deadline and the holder's process id.
"""

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
from dbschema.tools.server.translate import os_errors

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
"""A log longer than this is put aside at the next start; one older log is kept."""


def default_home() -> Path:
    """The home that is meant when none is named; no folder is made.

    `DBSCHEMA_HOME`, else ``.dbschema`` in the project: in the nearest folder from the current one upwards that holds
    alembic.ini, pyproject.toml or .git; else in the current folder itself.
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
    """What is remembered between two runs. None of it is trusted: each is checked before it is used."""

    port: int | None = None
    store: str | None = None
    bin_dir: str | None = None
    version: str | None = None


@dataclass(frozen=True)
class Home:
    """The files of a home; all belong to the caller, and the server's user needs to read none of them."""

    path: Path

    def __post_init__(self) -> None:
        if "\n" in str(self.path) or "\r" in str(self.path):
            raise bad_home(self.path, "PostgreSQL cannot work in a path with a line break")

    @property
    def lock(self) -> Path:
        """The file whose lock is held by whoever starts, stops or removes the server."""
        return self.path / "server.lock"

    @property
    def log(self) -> Path:
        """What the server writes."""
        return self.path / "server.log"

    @property
    def password_file(self) -> Path:
        """The superuser's password, for nobody but the caller (mode 0600)."""
        return self.path / "server.password"

    @property
    def state_file(self) -> Path:
        """`State` as JSON."""
        return self.path / "server.json"

    def make(self) -> None:
        """Make the folder, with a .gitignore that keeps all of it out of the project's history."""
        with os_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            ignore = self.path / ".gitignore"
            if not ignore.exists():
                ignore.write_text(_MARK, encoding="ascii")

    def is_ours(self) -> bool:
        """Whether this package made the folder, or made it its own before anything else was in its way."""
        try:
            return (self.path / ".gitignore").read_text(encoding="utf-8") == _MARK
        except (OSError, UnicodeDecodeError):
            return False

    def read_state(self) -> State:
        """What is remembered; nothing where the file is missing or damaged."""
        try:
            raw = json.loads(self.state_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return State()
        if not isinstance(raw, dict):
            return State()
        port = raw.get("port")
        # type(), because JSON's true is an int to Python
        known = port if type(port) is int and 0 < port < 65536 else None
        texts = {
            key: value for key in ("store", "bin_dir", "version") if isinstance(value := raw.get(key), str)
        }
        return State(known, **texts)

    def write_state(self, state: State) -> None:
        """Remember `state`."""
        with os_errors(self.path):
            _replace(self.state_file, json.dumps(asdict(state), indent=2) + "\n", 0o644)

    def read_password(self) -> str | None:
        """The password; None where there is no file with one.

        Raises:
            NotOurs: the file is another user's.
        """
        try:
            text = self.password_file.read_text(encoding="ascii").strip()
        except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
            return None
        except PermissionError as error:
            raise belongs_to_other(self.password_file, owner_name(self.password_file)) from error
        return text or None

    def write_password(self, password: str) -> None:
        """Keep the password, once the server has it."""
        with os_errors(self.path):
            _replace(self.password_file, password + "\n", 0o600)

    def open_log(self) -> int:
        """A descriptor that appends to the log; a log that has grown long is put aside first."""
        with os_errors(self.path):
            if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
                self.log.replace(self.log.with_suffix(".log.1"))
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(self.log, flags, 0o600)
            _give_to_owner(descriptor, self.path)
            return descriptor

    def remove(self) -> None:
        """Remove our own files, and the folder if nothing else is in it; the lock goes last."""
        ours = [self.state_file, self.password_file, self.log, self.log.with_suffix(".log.1"), self.lock]
        if self.is_ours():
            ours.append(self.path / ".gitignore")
        with os_errors(self.path):
            for file in ours:
                file.unlink(missing_ok=True)
            if not any(self.path.iterdir()):
                self.path.rmdir()


def new_password() -> str:
    """A password of 192 random bits, in characters that need no escape in a URL."""
    import secrets  # noqa: PLC0415  its imports cost more than all of this package's

    return secrets.token_urlsafe(24)


def path_hash(path: Path) -> str:
    """Twelve hexadecimal digits that tell one path from another, for names that must be short and foreseeable."""
    import hashlib  # noqa: PLC0415  it takes time to load, and only a start needs it

    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def owner_name(path: Path) -> str:
    """The name of the user to whom `path` belongs, for a message."""
    import pwd  # noqa: PLC0415  needed for a message only

    try:
        uid = path.lstat().st_uid
    except OSError:
        return "another user"
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _replace(path: Path, text: str, mode: int) -> None:
    """Write a file so that every reader sees the old text or the new one, and never with wider rights than `mode`."""
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
    """Give a file that root has just made in a user's home to that user, who could not read it otherwise."""
    if os.geteuid() == 0:
        owner, facts = folder.stat(), os.fstat(descriptor)
        # A second name would mean that the file is not ours, but linked here from elsewhere.
        if facts.st_uid == 0 and owner.st_uid != 0 and facts.st_nlink == 1:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


LOCK_SECONDS = 180.0
"""How long a caller waits for another one: longer than any start or stop may take."""

_POLL_SECONDS: Final = 0.05


@contextmanager
def exclusive(path: Path, *, seconds: float | None = None) -> Iterator[None]:
    """Hold the lock file `path` alone, across processes and threads of this machine.

    The kernel releases the lock when its holder dies. The holder may remove the file: a caller that waited for the
    removed file locks the new one. On a read-only file system there is no lock: no server can start or be made there.

    Args:
        path: the file; its folder exists.
        seconds: how long to wait; None: `LOCK_SECONDS`.

    Raises:
        ServerBusy: another caller held it all that time.
        OSError: the file cannot be opened.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415  10 ms, and a server that runs needs no lock

    patience = LOCK_SECONDS if seconds is None else seconds
    lock = FileLock(
        path,
        timeout=patience,
        mode=0o644,
        poll_interval=_POLL_SECONDS,
        fallback_to_soft=False,
        preserve_lock_file=True,
        on_acquired=_sign,
    )
    try:
        lock.acquire()
    except Timeout as error:
        raise ServerBusy(path, _holder(path), patience) from error
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
    try:
        yield
    finally:
        lock.release()


def _sign(descriptor: int) -> None:
    """Write our process id into the file, for the error of a caller that waits."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _holder(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdigit() else None
