"""The store: the folder that holds the data and belongs to the server's user.

It stands in the home. Where root calls and the server's user cannot enter the home (a project below /root), it stands
elsewhere, and the home remembers where. A marker inside tells that this package made it, and for which home; a folder
without one is never written, nor removed.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dbschema.tools.server.errors import belongs_to_other, not_ours, not_writable
from dbschema.tools.server.home import owner_name, path_hash
from dbschema.tools.server.os_user import OsUser, default_os_user, os_user_of
from dbschema.tools.server.translate import os_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

INSIDE: Final = "postgres"
MARKER: Final = ".dbschema-home"
ELSEWHERE: tuple[Path, ...] = (Path("/var/lib/dbschema"), Path("/var/tmp/dbschema"))  # noqa: S108  made and checked below


@dataclass(frozen=True)
class ClusterDirectory:
    """A store that is there, and the account to which it belongs."""

    folder: Path
    account: OsUser

    def data_folders(self) -> dict[int, Path]:
        """The finished data folders, by the major version that wrote them."""
        found: dict[int, Path] = {}
        for folder in self.folder.iterdir():
            if folder.name.isdigit():
                try:
                    text = (folder / "PG_VERSION").read_text(encoding="ascii").strip()
                except (OSError, UnicodeDecodeError):
                    continue
                if text.isdigit():
                    found[int(text)] = folder
        return found

    def remove(self) -> None:
        """Remove the store with everything in it, and the folder for stores elsewhere when this was the last."""
        for entry in self.folder.iterdir():
            # The marker goes last: a removal that is broken off can be repeated.
            if entry.name != MARKER:
                self.account.remove_tree(entry)
        self.account.remove_tree(self.folder / MARKER)
        with os_errors(self.folder):
            self.folder.rmdir()
        if self.folder.parent in ELSEWHERE:
            try:
                self.folder.parent.rmdir()
            except OSError:
                return


def find_cluster_directory(home: Path, remembered: str | None) -> ClusterDirectory | None:
    """The store of `home`; None where there is none yet.

    Raises:
        NotOurs: something stands in its place that this package did not make for this home.
        NotOurs: it is another user's.
    """
    inside = home / INSIDE
    if os.path.lexists(inside):
        if _marked_home(inside) is None:
            raise not_ours(inside, f"it has no file {MARKER}")
        return _taken(inside)
    for folder in _elsewhere(home, remembered):
        if not os.path.lexists(folder):
            continue
        marked = _marked_home(folder)
        if marked == home:
            return _taken(folder)
        if marked is not None and str(folder) == remembered and not marked.exists():
            # The project was moved: the store follows it.
            store = _taken(folder)
            store.account.write(folder / MARKER, os.fsencode(home) + b"\n")
            return store
    return None


def make_cluster_directory(home: Path) -> ClusterDirectory:
    """Make an empty store for `home`, in it where the server's user can enter it, else elsewhere."""
    account = default_os_user()
    if not account.switch or account.can_enter(home):
        with os_errors(home):
            return _make(home / INSIDE, home, account)
    name = _name_elsewhere(home)
    for base in ELSEWHERE:
        try:
            _make_base(base)
            if account.can_enter(base):
                return _make(base / name, home, account)
        except OSError:
            continue
    raise not_writable(
        home, f"the user {account.name!r}, as whom PostgreSQL runs, cannot enter it, nor {ELSEWHERE[0]}"
    )


def _make(folder: Path, home: Path, account: OsUser) -> ClusterDirectory:
    """Make a store under a temporary name and rename it, so that one without its marker is never left behind."""
    new = folder.with_name(f".{folder.name}-{os.urandom(4).hex()}")
    new.mkdir(mode=0o700)
    try:
        if account.switch:
            os.chown(new, account.uid, account.gid, follow_symlinks=False)
        account.write(new / MARKER, os.fsencode(home) + b"\n")
        new.rename(folder)
    except BaseException:
        account.remove_tree(new / MARKER)
        new.rmdir()
        raise
    return ClusterDirectory(folder, account)


def _make_base(base: Path) -> None:
    """Make the folder for stores elsewhere, or see that it is root's own: others could exchange what is in it."""
    try:
        base.mkdir(mode=0o755)
        base.chmod(0o755)  # whatever the umask says, the server's user passes through
    except FileExistsError:
        facts = base.lstat()
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != 0 or facts.st_mode & 0o022:
            raise PermissionError(base) from None


def _elsewhere(home: Path, remembered: str | None) -> Iterator[Path]:
    if remembered is not None and Path(remembered).parent in ELSEWHERE:
        yield Path(remembered)
    for base in ELSEWHERE:
        yield base / _name_elsewhere(home)


def _name_elsewhere(home: Path) -> str:
    project = home.parent.name if home.name.startswith(".") else home.name
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", project)[:40]
    return f"{readable}-{path_hash(home)}"


def _marked_home(folder: Path) -> Path | None:
    """The home for which `folder` was made; None where it is no store."""
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode):
        return None
    try:
        return Path(os.fsdecode((folder / MARKER).read_bytes().removesuffix(b"\n")))
    except PermissionError as error:
        raise belongs_to_other(folder, owner_name(folder)) from error
    except OSError:
        return None


def _taken(folder: Path) -> ClusterDirectory:
    uid = folder.lstat().st_uid
    if uid == 0:
        raise not_ours(folder, "it belongs to root, as after a copy, and PostgreSQL does not run as root")
    if os.geteuid() not in (0, uid):
        raise belongs_to_other(folder, owner_name(folder))
    return ClusterDirectory(folder, os_user_of(uid))
