"""Two servers with streaming replication that pass for the two instances of an Aurora cluster.

They have two loopback addresses (127.0.0.1, 127.0.0.2; Linux has them all) and one port, as instances of a cluster have two
names and one port. Aurora's own functions, by which the AWS Advanced Python Wrapper learns who writes, are stubs. Replication
is synchronous: what was committed is on the standby, as on Aurora, whose instances share their storage.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from dbschema.testing import place
from dbschema.tools.server.address import choose_port
from dbschema.tools.server.binaries import find_binaries
from dbschema.tools.server.os_user import default_os_user

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

DATABASE = "app"
HOSTS = {"1": "127.0.0.1", "2": "127.0.0.2"}
PATTERN = "127.0.0.?"
"""What DB_FAILOVER_HOSTS says: the hosts of the instances, with a question mark for their names."""

# Which of the two is the writer follows from who asks whom, as it does at the moment of a failover.
STUBS = """
SET allow_system_table_mods = on;
CREATE FUNCTION pg_catalog.aurora_db_instance_identifier() RETURNS text LANGUAGE sql STABLE AS
$$ SELECT current_setting('cluster_name') $$;
CREATE FUNCTION pg_catalog.aurora_replica_status(
    OUT server_id text, OUT session_id text, OUT cpu float8, OUT replica_lag_in_msec float8,
    OUT last_update_timestamp timestamptz)
RETURNS SETOF record LANGUAGE sql STABLE AS
$$
    SELECT name, CASE WHEN (name = current_setting('cluster_name')) <> pg_is_in_recovery() THEN 'MASTER_SESSION_ID' ELSE name END,
           1.0::float8, 1.0::float8, now()
    FROM unnest(ARRAY['1', '2']) AS name
$$;
RESET allow_system_table_mods;
"""


class Pair:
    """Server 1, the primary, and server 2, its standby, until `fail_over`. Made on entering, gone on leaving."""

    def __init__(self) -> None:
        self.account = default_os_user()
        self.binaries = find_binaries()
        self.password = secrets.token_urlsafe(12)

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="dbschema-pair-", dir=place.folder()))
        # Below the ports that the system gives to connections, so that nobody gets it while a server is down.
        self.port = choose_port(self.folder)
        # Started by root, the servers run as another user, who has to get there.
        self.folder.chmod(0o755)
        try:
            self._make_primary()
            self._make_standby()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in HOSTS:
            self.stop(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, name: str, driver: str = "") -> str:
        """The address of a server's database."""
        scheme = f"postgresql+{driver}" if driver else "postgresql"
        return f"{scheme}://postgres:{self.password}@{HOSTS[name]}:{self.port}/{DATABASE}"

    def ask(self, name: str, query: str) -> Any:
        """The first value of the answer of a server."""
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            row = connection.execute(query).fetchone()
        return None if row is None else row[0]

    def fail_over(self) -> None:
        """What Aurora does when its writer dies: the other one takes over."""
        self.stop("1")
        self.promote("2")

    def promote(self, name: str) -> None:
        """Make a standby a primary; returns when it accepts changes."""
        assert self.ask(name, "SELECT pg_promote(wait_seconds => 60)") is True

    def stop(self, name: str) -> None:
        """End a server at once, without a checkpoint; its clients see the connection break."""
        self._run(
            "pg_ctl", "-D", self._data(name), "-m", "immediate", "-w", "-t", "60", "stop", may_fail=True
        )

    def start(self, name: str, **settings: str) -> None:
        """Start a server and wait until it accepts connections."""
        given = {
            "cluster_name": name,
            "listen_addresses": HOSTS[name],
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": "50",
            "max_locks_per_transaction": "256",
            **settings,
        }
        options = " ".join(f"-c {key}='{value}'" for key, value in given.items())
        self._run(
            "pg_ctl", "-D", self._data(name), "-l", self._log(name), "-o", options, "-w", "-t", "60", "start"
        )

    def log(self, name: str) -> str:
        """What a server has logged."""
        return self._log(name).read_text(encoding="utf-8", errors="replace")

    def _make_primary(self) -> None:
        data = self._data("1")
        data.mkdir(mode=0o700)
        if self.account.switch:
            os.chown(data, self.account.uid, self.account.gid)
        password = self.folder / "password"
        password.write_text(self.password, encoding="utf-8")
        self._run(
            "initdb", "-D", data, "-U", "postgres", "-E", "UTF8", "--no-locale", "--no-sync",
            "--auth=scram-sha-256", f"--pwfile={password}",
        )  # fmt: skip
        with (data / "pg_hba.conf").open("a", encoding="utf-8") as rules:
            rules.write("host all,replication all 127.0.0.0/8 scram-sha-256\n")
        self.start("1")
        address = self.url("1").replace(f"/{DATABASE}", "/postgres")
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}")
        with psycopg.connect(self.url("1"), autocommit=True) as connection:
            connection.execute(STUBS)

    def _make_standby(self) -> None:
        data = self._data("2")
        data.mkdir(mode=0o700)
        if self.account.switch:
            os.chown(data, self.account.uid, self.account.gid)
        address = f"host={HOSTS['1']} port={self.port} user=postgres password={self.password}"
        self._run("pg_basebackup", "-D", data, "-R", "-X", "stream", "-c", "fast", "--no-sync", "-d", address)
        self.start("2")
        # From now on a commit waits for the standby. Set here, so that the standby does not wait for one when it is promoted.
        with psycopg.connect(self.url("1"), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("ALTER SYSTEM SET synchronous_commit = 'remote_apply'")
            connection.execute("SELECT pg_reload_conf()")
        while self.ask("1", "SELECT sync_state FROM pg_stat_replication") != "sync":
            time.sleep(0.01)

    def _data(self, name: str) -> Path:
        return self.folder / name

    def _log(self, name: str) -> Path:
        return self._data(name) / "server.log"

    def _run(self, program: str, *arguments: str | Path, may_fail: bool = False) -> None:
        done = self.account.run([self.binaries.bin_dir / program, *arguments], timeout=120)
        if done.returncode != 0 and not may_fail:
            raise RuntimeError(f"{program}: {done.stderr.decode()} {done.stdout.decode()}")


def is_possible() -> bool:
    """Whether this system has a second loopback address: macOS has it only when an administrator has added it."""
    return sys.platform == "linux"
