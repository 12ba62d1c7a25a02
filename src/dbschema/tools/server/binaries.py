"""Find the newest PostgreSQL with PostGIS on this machine, and name the packages to install otherwise."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from dbschema.environment import Variable
from dbschema.tools.server.errors import (
    OtherMajor,
    bad_binaries,
    postgis_missing,
    postgres_missing,
    postgres_too_old,
)
from dbschema.tools.server.os_user import server_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


System = Literal["debian", "fedora", "macos", "other"]

_FAMILIES: Final[dict[str, System]] = {
    "debian": "debian",
    "ubuntu": "debian",
    "fedora": "fedora",
    "rhel": "fedora",
    "centos": "fedora",
}


def this_system() -> System:
    """Return the family of this operating system; "other" if there are no instructions for it."""
    if sys.platform == "darwin":
        return "macos"
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "other"
    for name in (release["ID"], *release.get("ID_LIKE", "").split()):
        if name in _FAMILIES:
            return _FAMILIES[name]
    return "other"


def how_to_install(major: int | None = None, system: System | None = None) -> str:
    """Return the command that installs PostgreSQL with PostGIS, as one sentence without full stop.

    Args:
        major: the major version to install; None: the default version of the distribution.
        system: the family of the operating system; None: that of this machine; "other": the commands of all families.
    """
    if major is None:
        debian = "apt-get install postgresql postgresql-postgis"
        fedora = "dnf install postgresql-server postgresql-contrib postgis"
        macos = "brew install postgresql@17 postgis"
    else:
        debian = f"apt-get install postgresql-{major} postgresql-{major}-postgis-3 (packages of other versions: apt.postgresql.org)"
        fedora = f"dnf install postgresql{major}-server postgresql{major}-contrib 'postgis3*_{major}' (packages of yum.postgresql.org)"
        macos = f"brew install postgresql@{major} postgis"
    if system is None:
        system = this_system()
    if system == "debian":
        return f"Install it with: {debian}"
    if system == "fedora":
        return f"Install it with: {fedora}"
    if system == "macos":
        return f"Install it with: {macos}"
    return f"Install it: on Debian and Ubuntu {debian}; on Fedora and RHEL {fedora}; on macOS {macos}"


OLDEST: Final = 15
"""The oldest major version of PostgreSQL that the schema supports."""

SETTING: Final = Variable(
    "DBSCHEMA_PG_BIN",
    "The folder with `postgres` and `initdb`.",
    reader="private server",
    default="the newest server that is found",
    example="/usr/lib/postgresql/17/bin",
)

_USUAL_PLACES: Final = (
    ("/usr/lib/postgresql", "*/bin"),  # Debian, Ubuntu
    ("/usr", "pgsql-*/bin"),  # packages of yum.postgresql.org
    ("/usr/local/pgsql", "bin"),  # built from source
    ("/opt/homebrew/opt", "postgresql*/bin"),
    ("/usr/local/opt", "postgresql*/bin"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql*/bin"),
    ("/Applications/Postgres.app/Contents/Versions", "*/bin"),
)
_VERSION: Final = re.compile(r"\b(\d+)(?:\.(\d+)|devel|beta\d+|rc\d+)")
_SECONDS: Final = 10


@dataclass(frozen=True)
class Binaries:
    """The programs of one installed PostgreSQL server.

    `version` is the version in the output of ``postgres --version``. `postgis` is True if the files of the extension
    are installed.
    """

    bin_dir: Path
    version: str
    major: int
    minor: int
    postgis: bool


def find_binaries(*, major: int | None = None, data: Path | None = None) -> Binaries:
    """Return the server in `DBSCHEMA_PG_BIN` if it is set, else the newest installed server that has PostGIS.

    Args:
        major: the required version, because it wrote the data directory; None: any version from `OLDEST` on.
        data: the data directory, for the message.

    Raises:
        PostgresMissing: no server fits (the message names the packages to install), or `DBSCHEMA_PG_BIN` contains none.
        OtherMajor: the version of the data directory is not installed.
    """
    named = os.environ.get(SETTING, "")
    if named:
        folder = Path(named).expanduser().absolute()
        found = [_inspect_named(folder)]
    else:
        found = [binaries for folder in candidate_folders() if (binaries := inspect(folder)) is not None]
    return choose(found, major=major, data=data)


def choose(found: Iterable[Binaries], *, major: int | None = None, data: Path | None = None) -> Binaries:
    """Return the newest of `found` with PostGIS, of version `major` if it is set; of equal versions, the first.

    See `find_binaries`.
    """
    newest_first = sorted(found, key=lambda binaries: (-binaries.major, -binaries.minor))
    if not newest_first:
        raise postgres_missing(how_to_install(major))
    if major is not None:
        fitting = [binaries for binaries in newest_first if binaries.major == major]
        if not fitting:
            installed = sorted({binaries.major for binaries in newest_first})
            raise OtherMajor(data or Path(), major, installed, how_to_install(major))
        newest_first = fitting
    new_enough = [binaries for binaries in newest_first if binaries.major >= OLDEST]
    if not new_enough:
        best = newest_first[0]
        raise postgres_too_old(best.version, best.bin_dir, OLDEST, how_to_install())
    for binaries in new_enough:
        if binaries.postgis:
            return binaries
    best = new_enough[0]
    raise postgis_missing(best.version, best.bin_dir, how_to_install(best.major))


def candidate_folders() -> list[Path]:
    """Return each folder that can contain a server, once: from pg_config, from PATH, then the usual places."""
    folders: dict[Path, None] = {}
    for folder in (*_from_pg_config(), *_from_path(), *_from_usual_places()):
        folders.setdefault(folder, None)
    return list(folders)


def inspect(bin_dir: Path) -> Binaries | None:
    """Return the server in `bin_dir`; None if there is no server, as in a client-only installation."""
    if not all(os.access(bin_dir / program, os.X_OK) for program in ("initdb", "postgres")):
        return None
    match = _VERSION.search(_output_of(bin_dir / "postgres", "--version"))
    if match is None:
        return None
    major, minor = int(match[1]), int(match[2] or 0)
    return Binaries(bin_dir, match[0], major, minor, _has_postgis(bin_dir, major))


def _inspect_named(folder: Path) -> Binaries:
    binaries = inspect(folder)
    if binaries is not None:
        return binaries
    if not folder.is_dir():
        raise bad_binaries(folder, "there is no folder")
    for program in ("initdb", "postgres"):
        if not os.access(folder / program, os.X_OK):
            raise bad_binaries(folder, f"no program {program!r} can be run")
    raise bad_binaries(folder, "'postgres --version' prints no version")


def _has_postgis(bin_dir: Path, major: int) -> bool:
    return any(_is_file(share / "extension" / "postgis.control") for share in _share_folders(bin_dir, major))


def _share_folders(bin_dir: Path, major: int) -> Iterator[Path]:
    """Yield the possible share folders of the server in `bin_dir`: from its pg_config, else the known layouts."""
    reported = _output_of(bin_dir / "pg_config", "--sharedir").strip()
    if reported:
        yield Path(reported)
        return
    prefix = bin_dir.parent
    yield prefix / "share"  # yum.postgresql.org
    yield prefix / "share" / "postgresql"  # Homebrew, Postgres.app, built from source
    yield prefix / "share" / "pgsql"  # Fedora
    yield Path(f"/usr/share/postgresql/{major}")  # Debian, Ubuntu


def _from_pg_config() -> Iterator[Path]:
    program = shutil.which("pg_config")
    if program is not None and (reported := _output_of(Path(program), "--bindir").strip()):
        yield Path(reported)


def _from_path() -> Iterator[Path]:
    for entry in os.get_exec_path():
        program = Path(entry) / "initdb"
        if entry and _is_file(program):
            yield program.resolve().parent


def _from_usual_places() -> Iterator[Path]:
    for root, pattern in _USUAL_PLACES:
        try:
            yield from sorted(Path(root).glob(pattern))
        except PermissionError:
            continue


def _is_file(path: Path) -> bool:
    """Return whether `path` is a visible file; PATH can contain folders that this user may not read."""
    return os.path.isfile(path)  # noqa: PTH113  Path.is_file raises if a parent is not accessible


def _output_of(program: Path, option: str) -> str:
    """Return the output of a program for an option; empty if the program is missing, fails or times out."""
    try:
        result = subprocess.run(  # noqa: S603  a program from the user's own search path or setting
            [program, option],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=True,
            cwd="/",
            env=server_environment(),
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return os.fsdecode(result.stdout)
