"""Find, create and remove the cluster directory, which contains the data and belongs to the server's OS user.

The cluster directory is a folder of the home. If root calls and the server's OS user cannot enter the home (a project
below /root), the directory is in another place, and the home stores its path. A marker file in the directory names
the home for which this package created it. A folder without the marker is never written and never removed.
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
from dbschema.tools.server.os_errors import os_errors
from dbschema.tools.server.os_user import OsUser, default_os_user, os_user_of

if TYPE_CHECKING:
    from collections.abc import Iterator

INSIDE: Final = "postgres"
MARKER: Final = ".dbschema-home"
ELSEWHERE: tuple[Path, ...] = (Path("/var/lib/dbschema"), Path("/var/tmp/dbschema"))  # noqa: S108  made and checked below


@dataclass(frozen=True)
class ClusterDirectory:
    """An existing cluster directory and the OS user who owns it."""

    folder: Path
    os_user: OsUser

    def data_folders(self) -> dict[int, Path]:
        """Return the complete data directories, by the major version that wrote them."""
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
        """Remove the directory with its content, and its parent outside of the home if that is empty then."""
        for entry in self.folder.iterdir():
            # Remove the marker last, so that an interrupted removal can be repeated.
            if entry.name != MARKER:
                self.os_user.remove_tree(entry)
        self.os_user.remove_tree(self.folder / MARKER)
        with os_errors(self.folder):
            self.folder.rmdir()
        if self.folder.parent in ELSEWHERE:
            try:
                self.folder.parent.rmdir()
            except OSError:
                return


def find_cluster_directory(home: Path, remembered: str | None) -> ClusterDirectory | None:
    """Return the cluster directory of `home`; None if it does not exist yet.

    Args:
        home: the home.
        remembered: the path that the home stores; None if it stores none.

    Raises:
        NotOurs: another file or folder is in its place, or the directory belongs to another user.
    """
    inside = home / INSIDE
    if os.path.lexists(inside):
        if _marked_home(inside) is None:
            raise not_ours(inside, f"it has no file {MARKER}")
        return _open(inside)
    for folder in _elsewhere(home, remembered):
        if not os.path.lexists(folder):
            continue
        marked = _marked_home(folder)
        if marked == home:
            return _open(folder)
        if marked is not None and str(folder) == remembered and not marked.exists():
            # The project was moved: update the marker.
            directory = _open(folder)
            directory.os_user.write(folder / MARKER, os.fsencode(home) + b"\n")
            return directory
    return None


def make_cluster_directory(home: Path) -> ClusterDirectory:
    """Create an empty cluster directory in `home`, or in `ELSEWHERE` if the server's OS user cannot enter the home.

    Raises:
        BadHome: the OS user can enter none of these places.
    """
    os_user = default_os_user()
    if not os_user.switch or os_user.can_enter(home):
        with os_errors(home):
            return _make(home / INSIDE, home, os_user)
    name = _name_elsewhere(home)
    for base in ELSEWHERE:
        try:
            _make_base(base)
            if os_user.can_enter(base):
                return _make(base / name, home, os_user)
        except OSError:
            continue
    raise not_writable(
        home, f"the user {os_user.name!r}, as whom PostgreSQL runs, cannot enter it, nor {ELSEWHERE[0]}"
    )


def _make(folder: Path, home: Path, os_user: OsUser) -> ClusterDirectory:
    """Create the directory under a temporary name and rename it, so that it never exists without its marker."""
    new = folder.with_name(f".{folder.name}-{os.urandom(4).hex()}")
    new.mkdir(mode=0o700)
    try:
        if os_user.switch:
            os.chown(new, os_user.uid, os_user.gid, follow_symlinks=False)
        os_user.write(new / MARKER, os.fsencode(home) + b"\n")
        new.rename(folder)
    except BaseException:
        os_user.remove_tree(new / MARKER)
        new.rmdir()
        raise
    return ClusterDirectory(folder, os_user)


def _make_base(base: Path) -> None:
    """Create a parent for cluster directories outside of the home.

    Raises:
        PermissionError: it exists, and another user owns it or can write in it, so its content can be replaced.
    """
    try:
        base.mkdir(mode=0o755)
        base.chmod(0o755)  # independent of the umask: the server's OS user has to enter it
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
    """Return the home in the marker of `folder`; None if `folder` is not a cluster directory."""
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode):
        return None
    try:
        return Path(os.fsdecode((folder / MARKER).read_bytes().removesuffix(b"\n")))
    except PermissionError as error:
        raise belongs_to_other(folder, owner_name(folder)) from error
    except OSError:
        return None


def _open(folder: Path) -> ClusterDirectory:
    uid = folder.lstat().st_uid
    if uid == 0:
        raise not_ours(folder, "it belongs to root, as after a copy, and PostgreSQL does not run as root")
    if os.geteuid() not in (0, uid):
        raise belongs_to_other(folder, owner_name(folder))
    return ClusterDirectory(folder, os_user_of(uid))
