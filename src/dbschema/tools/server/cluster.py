"""The cluster: its data folder made by initdb, and the files that say who may connect and how it runs."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING, Final

from dbschema.tools.server.address import USER
from dbschema.tools.server.errors import bad_setting, disk_full, init_failed
from dbschema.tools.server.translate import cause_in, last_complaint, os_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dbschema.tools.server.binaries import Binaries
    from dbschema.tools.server.directory import ClusterDirectory

NEEDED_BYTES: Final = 128 * 1024 * 1024
"""Free space below which no cluster is made: a new one takes half of it."""

CONFIG: Final = "dbschema.conf"
_UNFINISHED: Final = "initdb-"

SETTINGS: Final[Mapping[str, str]] = {
    # What a developer's machine spares; durability stays as PostgreSQL ships it.
    "max_connections": "100",
    "shared_buffers": "128MB",
    "min_wal_size": "32MB",
    "max_wal_size": "512MB",
    "max_locks_per_transaction": "256",  # a whole schema is built in one transaction when catalogs are compared
    "cluster_name": "dbschema",
    # The same answers on every machine.
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "password_encryption": "scram-sha-256",
    # Everything goes to the log file in the home, which the server is started with.
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_checkpoints": "off",
}
"""What the private server runs with, unless the caller or ALTER SYSTEM says otherwise."""

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
"""What nobody else decides: these stand on the server's command line, where not even ALTER SYSTEM reaches them."""

_HBA: Final = f"""\
# Written by dbschema at each start: nobody connects without a password, or without being the user of this system
# who owns the server; nobody connects from another machine.
# TYPE  DATABASE  USER  ADDRESS       METHOD
local   all       {USER}              peer map={USER}
local   all       all                 scram-sha-256
host    all       all   127.0.0.1/32  scram-sha-256
"""
_SETTING_NAME: Final = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?", re.IGNORECASE)


def check_options(options: Mapping[str, str]) -> dict[str, str]:
    """Give back a copy of the caller's settings, or raise `BadSetting` for one that is not the caller's to give."""
    for name in options:
        if _SETTING_NAME.fullmatch(name) is None:
            raise bad_setting(name, "it is no name of a setting")
        if name.lower() in DECIDED:
            raise bad_setting(name, "the private server decides it")
    return dict(options)


def initialise(store: ClusterDirectory, binaries: Binaries, password: str, *, sync: bool = True) -> Path:
    """Make the data folder of a new cluster in `store` and return it.

    initdb works under a temporary name and the finished folder is renamed, so a folder under the final name is
    always whole, however initdb ended.

    Args:
        password: of the superuser.
        sync: False where the caller gave up durability anyway, for tests.
    """
    account = store.account
    data = store.folder / str(binaries.major)
    if os.path.lexists(data):
        raise init_failed(store.folder, f"{data} exists and holds no data that can be read; move it away")
    remove_unfinished(store)
    _check_room(store.folder)
    unfinished = store.folder / f"{_UNFINISHED}{os.urandom(4).hex()}"
    password_file = unfinished.with_name(unfinished.name + ".password")
    try:
        account.write(password_file, password + "\n")
        _run_initdb(store, binaries, unfinished, password_file, sync=sync)
        config = (unfinished / "postgresql.conf").read_text(encoding="utf-8")
        account.write(unfinished / "postgresql.conf", f"{config}\ninclude_if_exists = '{CONFIG}'\n")
        account.rename(unfinished, data)
    finally:
        account.remove_tree(password_file)
        account.remove_tree(unfinished)
    return data


def remove_unfinished(store: ClusterDirectory) -> None:
    """Remove what an initdb that was killed left behind."""
    for folder in store.folder.glob(f"{_UNFINISHED}*"):
        store.account.remove_tree(folder)


def configure(store: ClusterDirectory, data: Path, system_users: Sequence[str]) -> None:
    """Write the settings and who may connect, where they are not written so already.

    Args:
        system_users: the users of this machine who are the superuser on the Unix socket without a password.
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
            store.account.write(path, text)


def command(
    binaries: Binaries, data: Path, port: int, socket_dir: Path, options: Mapping[str, str]
) -> list[str | Path]:
    """The server's command line, with what nobody else decides and the caller's settings."""
    quoted = str(socket_dir).replace('"', '""')
    decided = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": f'"{quoted}"',
        "unix_socket_permissions": "0777",  # the folder around the socket keeps others out
        "hba_file": str(data / "pg_hba.conf"),
        "ident_file": str(data / "pg_ident.conf"),
    }
    settings = [part for name, value in {**options, **decided}.items() for part in ("-c", f"{name}={value}")]
    return [binaries.bin_dir / "postgres", "-D", data, *settings]


def _run_initdb(
    store: ClusterDirectory, binaries: Binaries, folder: Path, password_file: Path, *, sync: bool
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
        result = store.account.run([*common, *locale])
        if result.returncode == 0:
            return
        output = os.fsdecode(result.stderr)
        if "locale" not in output:
            break
        store.account.remove_tree(folder)
    raise cause_in(output, store.folder) or init_failed(store.folder, last_complaint(output))


def _locales(major: int) -> list[list[str]]:
    """How texts are ordered, the best first: by code point everywhere, so that no machine sorts otherwise.

    PostgreSQL 17 brings C.UTF-8 along; before, most Linux systems have it; the last is everywhere, and knows
    upper and lower case of ASCII only.
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
