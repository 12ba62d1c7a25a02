"""Create the data directory of a cluster with initdb, and write its configuration and authentication files."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING, Final

from dbschema.tools.server.address import USER
from dbschema.tools.server.errors import bad_setting, disk_full, init_failed
from dbschema.tools.server.os_errors import cause_in, last_complaint, os_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dbschema.tools.server.binaries import Binaries
    from dbschema.tools.server.directory import ClusterDirectory

NEEDED_BYTES: Final = 128 * 1024 * 1024
"""The free space that a new cluster requires, in bytes; the cluster uses about half of it."""

CONFIG: Final = "dbschema.conf"
_UNFINISHED: Final = "initdb-"

SETTINGS: Final[Mapping[str, str]] = {
    # Sized for a developer's machine; durability settings keep the defaults of PostgreSQL.
    "max_connections": "100",
    "shared_buffers": "128MB",
    "min_wal_size": "32MB",
    "max_wal_size": "512MB",
    "max_locks_per_transaction": "256",  # a comparison of catalogs builds a whole schema in one transaction
    "cluster_name": "dbschema",
    # The same results on every machine.
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "password_encryption": "scram-sha-256",
    # The server logs to standard error, which the start redirects to the log file in the home.
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_checkpoints": "off",
}
"""The default settings of the private server; the caller's options and ALTER SYSTEM override them."""

DECIDED: Final = frozenset(
    {
        "config_file",
        "data_directory",
        "external_pid_file",
        "hba_file",
        "ident_file",
        "listen_addresses",
        "port",
        "unix_socket_directories",
        "unix_socket_permissions",
    }
)
"""The settings that a caller cannot choose: most are on the server's command line, which overrides ALTER SYSTEM."""

_HBA: Final = f"""\
# Written by dbschema at each start. A connection needs a password, or comes over the Unix socket from an OS user
# in pg_ident.conf. Connections from other machines are rejected.
# TYPE  DATABASE  USER  ADDRESS       METHOD
local   all       {USER}              peer map={USER}
local   all       all                 scram-sha-256
host    all       all   127.0.0.1/32  scram-sha-256
"""
_SETTING_NAME: Final = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?", re.IGNORECASE)


def check_options(options: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of the caller's settings.

    Raises:
        BadSetting: a name is not valid, or the private server decides the setting.
    """
    for name in options:
        if _SETTING_NAME.fullmatch(name) is None:
            raise bad_setting(name, "it is not a valid name of a setting")
        if name.lower() in DECIDED:
            raise bad_setting(name, "the private server decides it")
    return dict(options)


def initialise(directory: ClusterDirectory, binaries: Binaries, password: str, *, sync: bool = True) -> Path:
    """Create the data directory of a new cluster in `directory` and return its path.

    initdb writes to a temporary name, and the finished folder is renamed. So a folder under the final name is always
    complete, even if initdb was interrupted.

    Args:
        directory: the cluster directory.
        binaries: the server whose initdb runs.
        password: the password of the superuser.
        sync: False skips the flush to disk, for callers that run the server without fsync.
    """
    os_user = directory.os_user
    data = directory.folder / str(binaries.major)
    if os.path.lexists(data):
        raise init_failed(directory.folder, f"{data} exists and holds no data that can be read; move it away")
    remove_unfinished(directory)
    _check_room(directory.folder)
    unfinished = directory.folder / f"{_UNFINISHED}{os.urandom(4).hex()}"
    password_file = unfinished.with_name(unfinished.name + ".password")
    try:
        os_user.write(password_file, password + "\n")
        _run_initdb(directory, binaries, unfinished, password_file, sync=sync)
        config = (unfinished / "postgresql.conf").read_text(encoding="utf-8")
        os_user.write(unfinished / "postgresql.conf", f"{config}\ninclude_if_exists = '{CONFIG}'\n")
        os_user.rename(unfinished, data)
    finally:
        os_user.remove_tree(password_file)
        os_user.remove_tree(unfinished)
    return data


def remove_unfinished(directory: ClusterDirectory) -> None:
    """Remove the unfinished files of an interrupted initdb."""
    for folder in directory.folder.glob(f"{_UNFINISHED}*"):
        directory.os_user.remove_tree(folder)


def configure(directory: ClusterDirectory, data: Path, system_users: Sequence[str]) -> None:
    """Write the files for settings and authentication if their content differs.

    Args:
        directory: the cluster directory.
        data: the data directory.
        system_users: the OS users who connect as the superuser over the Unix socket without a password.
    """
    settings = "".join(f"{name} = '{_quoted(value)}'\n" for name, value in SETTINGS.items())
    names = "".join(f'{USER} "{name}" {USER}\n' for name in dict.fromkeys(system_users))
    files = {
        CONFIG: "# Written by dbschema at each start; for settings of your own use ALTER SYSTEM.\n"
        + settings,
        "pg_hba.conf": _HBA,
        "pg_ident.conf": "# Written by dbschema at each start.\n# MAP  SYSTEM-USER  USER\n" + names,
    }
    for name, text in files.items():
        path = data / name
        with os_errors(data):
            same = path.is_file() and path.read_bytes() == text.encode()
        if not same:
            directory.os_user.write(path, text)


def command(
    binaries: Binaries, data: Path, port: int, socket_dir: Path, options: Mapping[str, str]
) -> list[str | Path]:
    """Return the command line of the server, with the caller's settings and those that only this package decides."""
    quoted = str(socket_dir).replace('"', '""')
    decided = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": f'"{quoted}"',
        "unix_socket_permissions": "0777",  # the mode of its folder keeps other users out
        "hba_file": str(data / "pg_hba.conf"),
        "ident_file": str(data / "pg_ident.conf"),
    }
    settings = [part for name, value in {**options, **decided}.items() for part in ("-c", f"{name}={value}")]
    return [binaries.bin_dir / "postgres", "-D", data, *settings]


def _run_initdb(
    directory: ClusterDirectory, binaries: Binaries, folder: Path, password_file: Path, *, sync: bool
) -> None:
    common: list[str | Path] = [
        binaries.bin_dir / "initdb",
        "--pgdata",
        folder,
        "--username",
        USER,
        "--pwfile",
        password_file,
        "--auth-local=peer",
        "--auth-host=scram-sha-256",
        "--encoding=UTF8",
        "--data-checksums",
        *([] if sync else ["--no-sync"]),
    ]
    output = ""
    for locale in _locales(binaries.major):
        result = directory.os_user.run([*common, *locale])
        if result.returncode == 0:
            return
        output = os.fsdecode(result.stderr)
        if "locale" not in output:
            break
        directory.os_user.remove_tree(folder)
    raise cause_in(output, directory.folder) or init_failed(directory.folder, last_complaint(output))


def _locales(major: int) -> list[list[str]]:
    """Return initdb's options for the locale, the best first; all sort by code point, so every machine sorts equally.

    PostgreSQL 17 has a built-in C.UTF-8. Older versions use that of the system, which most Linux systems have. The
    locale C exists everywhere, but converts upper and lower case of ASCII only.
    """
    builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    libc = [["--locale-provider=libc", "--locale=C.UTF-8"], ["--locale-provider=libc", "--locale=C"]]
    return [builtin, *libc] if major >= 17 else libc


def _check_room(folder: Path) -> None:
    with os_errors(folder):
        free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise disk_full(folder, f"{free >> 20} MB are free, a new cluster needs {NEEDED_BYTES >> 20}")


def _quoted(value: str) -> str:
    return value.replace("'", "''")
