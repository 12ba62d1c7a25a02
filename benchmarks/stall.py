"""Measure how long statements of live traffic are blocked while a revision changes their table.

    python benchmarks/stall.py [--rows 5000000] [--kinds index,not-null] [--wait-for-disk] [--show] [--url postgresql://…]

Two readers and two writers, each a process with its own connection, work on a table of `--rows` rows while
`dbschema.migrations.runner` applies revisions to it. The table is narrow: five columns, about 100 bytes for each row with its key.
Autogenerate writes both variants of a change in this run (`--show` prints them): the plain one, which is Alembic's, in one
revision, and the non-blocking one of `dbschema.autogenerate.online`, in one or more revisions, if it differs. The output has the longest
statement of the four clients during the change, the number of statements above the limit, and the duration of the change.

Then the reverse: the drops that autogenerate writes are applied, and their downgrade is measured.

The last kind is a small change behind a reader that stays for four seconds: without a lock timeout, as in psql,
and with the runner's 50 ms and its retries. The first line is the traffic alone for five seconds: the noise of the
machine. Writers do not wait for the disk (`synchronous_commit = off`), so that the figures show locks and not the
disk's queue; with `--wait-for-disk` they wait. The traffic pauses two milliseconds between two statements.

Limit: in the last variant of each kind no statement takes longer than 100 ms. The exit code shows whether it holds.

With --url the database is empty and the login may create tables; without, a private server is started in a temporary folder.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import shutil
import sys
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, cast

import psycopg
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.operations.ops import DowngradeOps, UpgradeOps
from alembic.runtime.migration import MigrationContext
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    NullPool,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    text,
)

from dbschema.autogenerate.online import parts
from dbschema.autogenerate.render import render_item
from dbschema.ddl import Policy, RowSecurity, declare
from dbschema.migrations import runner
from dbschema.migrations.alembic_env import PLUGINS
from dbschema.migrations.timeouts import Timeouts
from dbschema.sql import NAMING_CONVENTION
from dbschema.tools.server import PrivateServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

BAR = 100.0
OWNERS = 1000
PAUSE = 0.002
READER_STAYS = 4.0
ENVIRONMENT = """
from alembic import context
from sqlalchemy import MetaData

from dbschema.migrations import alembic_env

alembic_env.run(context, MetaData())
"""
REVISION = '''"""Revision {id}."""
import sqlalchemy as sa
from alembic import op

revision = "{id}"
down_revision = {below!r}


def upgrade():
{up}


def downgrade():
{down}
'''
TABLES = """
op.execute("CREATE TABLE owners (id integer CONSTRAINT pk_owners PRIMARY KEY)")
op.execute(
    "CREATE TABLE items (id bigint CONSTRAINT pk_items PRIMARY KEY, owner_id integer, number bigint,"
    " amount integer DEFAULT 0 NOT NULL, note text)"
)
"""


def models(*extra: Any, **columns: Column[Any]) -> MetaData:
    """Return the two tables, with the additions of a change; a column of the same name replaces the previous one."""
    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    Table("owners", metadata, Column("id", Integer, primary_key=True, autoincrement=False))
    found: dict[str, Column[Any]] = {
        "id": Column("id", BigInteger, primary_key=True, autoincrement=False),
        "owner_id": Column("owner_id", Integer),
        "number": Column("number", BigInteger),
        "amount": Column("amount", Integer, server_default=text("0"), nullable=False),
        "note": Column("note", Text),
        **columns,
    }
    tabular = [item for item in extra if not isinstance(item, (Policy, RowSecurity))]
    Table("items", metadata, *found.values(), *tabular)
    declare(metadata, *(item for item in extra if isinstance(item, (Policy, RowSecurity))))
    return metadata


@dataclass(frozen=True)
class Kind:
    """A change.

    Args:
        name: its name in the output.
        expected: the models after it.
        reader: whether a reader holds the table before it.
    """

    name: str
    expected: Callable[[], MetaData]
    reader: bool = False


KINDS = (
    Kind("index", lambda: models(Index("idx_items_number", "number"))),
    Kind("foreign-key", lambda: models(owner_id=Column("owner_id", Integer, ForeignKey("owners.id")))),
    Kind("check", lambda: models(CheckConstraint("amount >= 0", name="amount"))),
    Kind("not-null", lambda: models(number=Column("number", BigInteger, nullable=False))),
    Kind("unique", lambda: models(UniqueConstraint("number"))),
    Kind(
        "column-default",
        lambda: models(status=Column("status", Text, server_default="new", nullable=False)),
    ),
    Kind("policy", lambda: models(RowSecurity("items"), Policy("few", "items", using="amount >= 0"))),
    Kind("behind-a-reader", lambda: models(remark=Column("remark", Text)), reader=True),
)


@dataclass(frozen=True)
class Step:
    """The source of both directions of a revision."""

    up: str
    down: str = "pass"


class Scripts:
    """A growing folder of revisions, each named by a number."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._count = folder, 0
        (folder / "versions").mkdir(parents=True)
        (folder / "env.py").write_text(ENVIRONMENT)

    @property
    def head(self) -> str:
        return f"{self._count:04}"

    def add(self, step: Step) -> None:
        below = self.head if self._count else None
        self._count += 1
        name = self.head
        source = REVISION.format(
            id=name, below=below, up=indent(step.up.strip(), "    "), down=indent(step.down.strip(), "    ")
        )
        (self.folder / "versions" / f"r{name}.py").write_text(source)

    def forget(self, head: str) -> None:
        """Delete the revisions above `head`."""
        while self.head != head:
            (self.folder / "versions" / f"r{self.head}.py").unlink()
            self._count -= 1


def autogenerated(url: str, metadata: MetaData) -> tuple[Step, tuple[Step, ...]]:
    """Autogenerate the revisions from the database to the models: in the plain and in the non-blocking variant."""
    engine = create_engine(url, poolclass=NullPool)
    options = {
        "target_metadata": metadata,
        "compare_type": True,
        "compare_server_default": True,
        "autogenerate_plugins": list(PLUGINS),
        "sqlalchemy_module_prefix": "sa.",
        "alembic_module_prefix": "op.",
        "user_module_prefix": None,
    }
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)

        def code(operations: Any) -> str:
            source = render_python_code(operations, render_item=render_item, migration_context=context)
            lines = dedent(f"    {source}").splitlines()
            return "\n".join(line for line in lines if not line.startswith("#"))

        found = produce_migrations(context, metadata)
        plain = Step(code(found.upgrade_ops), code(found.downgrade_ops))
        online = [
            Step(code(UpgradeOps(part.up)), code(DowngradeOps(part.down)))
            for part in parts(cast("UpgradeOps", found.upgrade_ops))
        ]
    return plain, tuple(online)


def work(url: str, number: int, rows: int, line: Connection) -> None:
    """Run one client: statement after statement. On True it sends its statements since the last request; on False it ends."""
    chance = random.Random(number)
    writes = number % 2 == 1
    own = rows
    took: list[tuple[float, float]] = []
    errors: list[str] = []
    with psycopg.connect(url, autocommit=True) as connection:
        while True:
            key = chance.randint(1, rows)
            began = monotonic()
            try:
                if not writes:
                    connection.execute("SELECT number, note FROM items WHERE id = %s", (key,)).fetchone()
                elif key % 10:
                    connection.execute("UPDATE items SET amount = amount + 1 WHERE id = %s", (key,))
                else:
                    own += 1
                    new = 4 * own + number
                    connection.execute(
                        "INSERT INTO items (id, owner_id, number) VALUES (%s, 1, %s)", (new, new)
                    )
            except psycopg.Error as error:
                errors.append(f"{error.sqlstate} {error}".strip())
            took.append((began, monotonic() - began))
            sleep(PAUSE)
            if line.poll():
                if not line.recv():
                    return
                line.send((took, errors))
                took, errors = [], []


class Traffic:
    """The four clients."""

    def __init__(self, url: str, rows: int) -> None:
        fresh = multiprocessing.get_context("spawn")
        self._clients = []
        for number in range(4):
            here, there = fresh.Pipe()
            client = fresh.Process(target=work, args=(url, number, rows, there), daemon=True)
            client.start()
            there.close()
            self._clients.append((client, here))
        self.since()  # they have started

    def since(self) -> list[tuple[float, float]]:
        """Return the start and the duration of each statement since the last call."""
        for _, line in self._clients:
            line.send(True)
        took: list[tuple[float, float]] = []
        for _, line in self._clients:
            mine, errors = line.recv()
            if errors:
                raise SystemExit(
                    f"{len(errors)} statements of the traffic failed, the first with: {errors[0]}"
                )
            took += mine
        return took

    def end(self) -> None:
        for client, line in self._clients:
            line.send(False)
            client.join()


@contextmanager
def staying(url: str, *, stays: bool) -> Iterator[None]:
    """Run a reader that holds the table for four seconds."""
    if not stays:
        yield
        return
    there = threading.Event()

    def read() -> None:
        with psycopg.connect(url) as connection:
            connection.execute("SELECT FROM items LIMIT 1")
            there.set()
            sleep(READER_STAYS)

    reader = threading.Thread(target=read)
    reader.start()
    there.wait()
    yield
    reader.join()


@dataclass(frozen=True)
class Measured:
    longest: float
    late: int
    count: int
    seconds: float


def watched(traffic: Traffic, url: str, change: Callable[[], object], *, reader: bool = False) -> Measured:
    """Measure the longest statement during the change, in milliseconds."""
    traffic.since()
    with staying(url, stays=reader):
        began = monotonic()
        change()
        ended = monotonic()
    took = traffic.since()
    during = [1000 * seconds for start, seconds in took if start < ended and start + seconds > began]
    return Measured(max(during), sum(each > BAR for each in during), len(during), ended - began)


def print_line(name: str, form: str, measured: Measured) -> None:
    print(
        f"{name:16} {form:9} {measured.longest:12,.0f} {measured.late:10,} of {measured.count:<8,} {measured.seconds:10.1f}",
        flush=True,
    )


def fill(url: str, rows: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"INSERT INTO owners SELECT generate_series(1, {OWNERS})")
        connection.execute(
            f"INSERT INTO items SELECT n, 1 + n % {OWNERS}, n, n % 100, 'note ' || n FROM generate_series(1, {rows}) AS n"
        )
        connection.execute("VACUUM ANALYZE")


def measure(url: str, folder: Path, rows: int, kinds: list[Kind], *, show: bool) -> float:
    """Print a line for each variant of each kind; return the longest blocking of those with a limit."""
    scripts = Scripts(folder / "scripts")
    sqlalchemy_url = url.replace("postgresql://", "postgresql+psycopg://", 1)

    def upgrade(timeouts: Timeouts) -> Callable[[], object]:
        return lambda: runner.upgrade(url, location=scripts.folder, timeouts=timeouts)

    def add(steps: tuple[Step, ...], *, show: bool) -> None:
        for step in steps:
            scripts.add(step)
        if show:
            print(indent("\n--\n".join(each.up.strip() for each in steps), "    | "))

    add((Step(TABLES),), show=False)
    upgrade(Timeouts())()
    fill(url, rows)
    print(f"{'change':16} {'form':9} {'longest, ms':>12} {'later than bar':>14} {'':8} {'change, s':>10}")
    traffic = Traffic(url, rows)
    alone = watched(traffic, url, lambda: sleep(5))
    print_line("none", "-", alone)
    if alone.longest > BAR / 2:
        print(
            "The machine itself delays the traffic: this run is not meaningful for the changes.", flush=True
        )
    worst = 0.0
    for kind in kinds:
        plain, online = autogenerated(sqlalchemy_url, kind.expected())
        forms: list[tuple[str, tuple[Step, ...], Timeouts]] = [("plain", (plain,), Timeouts())]
        if len(online) > 1 or online[0] != plain:
            forms.append(("online", online, Timeouts()))
        if kind.reader:
            forms = [("no limit", (plain,), Timeouts(lock=0)), ("runner's", (plain,), Timeouts())]
        for number, (form, steps, timeouts) in enumerate(forms, 1):
            start = scripts.head
            add(steps, show=show)
            measured = watched(traffic, url, upgrade(timeouts), reader=kind.reader)
            print_line(kind.name, form, measured)
            if number == len(forms):
                worst = max(worst, measured.longest)
            runner.downgrade(url, start, location=scripts.folder)
            scripts.forget(start)
        if forms[-1][0] == "online":
            # The drop, and then its downgrade.
            add(online, show=False)
            upgrade(Timeouts())()
            start = scripts.head
            add(autogenerated(sqlalchemy_url, models())[1], show=False)
            upgrade(Timeouts())()
            back = watched(
                traffic, url, lambda target=start: runner.downgrade(url, target, location=scripts.folder)
            )
            print_line(kind.name, "back", back)
            worst = max(worst, back.longest)
            upgrade(Timeouts())()
    traffic.end()
    return worst


def main() -> int:
    """Measure each kind; return 0 if the limit holds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--kinds", default=",".join(kind.name for kind in KINDS))
    parser.add_argument("--wait-for-disk", action="store_true", help="writers wait for the disk")
    parser.add_argument("--show", action="store_true", help="print the revisions")
    parser.add_argument("--url", help="an empty database; private tables are made in it and left there")
    arguments = parser.parse_args()
    asked = arguments.kinds.split(",")
    if unknown := set(asked) - {kind.name for kind in KINDS}:
        parser.error(f"no such kinds: {', '.join(sorted(unknown))}")
    kinds = [kind for kind in KINDS if kind.name in asked]
    folder = Path(tempfile.mkdtemp(prefix="dbschema-benchmark-"))
    folder.chmod(0o755)  # the server may run as another user
    options = {} if arguments.wait_for_disk else {"synchronous_commit": "off"}
    server = None if arguments.url else PrivateServer(folder / "server", options=options)
    try:
        url = arguments.url or cast("PrivateServer", server).start().url()
        worst = measure(url, folder, arguments.rows, kinds, show=arguments.show)
    finally:
        if server is not None:
            server.destroy()
        shutil.rmtree(folder, ignore_errors=True)
    verdict = "holds" if worst <= BAR else "is missed"
    print(f"longest stall in the last form of each: {worst:,.0f} ms, and the bar of {BAR:,.0f} ms {verdict}")
    return 0 if worst <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
