"""The Alembic environment that an `env.py` calls: it selects the database, the models and the transaction.

It serves the revisions of this package and those of an application with its own models:

    from alembic import context
    from dbschema.migrations import alembic_env
    from shop.models import metadata

    alembic_env.run(context, metadata)
"""

from __future__ import annotations

import contextlib
import logging.config
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from alembic.util import CommandError
from sqlalchemy import Engine, MetaData

from dbschema import connect
from dbschema.connect.errors import NoAddress
from dbschema.errors import BadAddress, DbSchemaError
from dbschema.migrations import preflight
from dbschema.migrations.alembic_command import COMPARE, WITHIN, AlembicRun, RunOptions, choice
from dbschema.migrations.errors import InvalidIndex
from dbschema.migrations.timeouts import Timeouts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from alembic.config import Config
    from alembic.operations.ops import MigrationScript
    from alembic.runtime.environment import EnvironmentContext, ProcessRevisionDirectiveFn
    from alembic.runtime.migration import MigrationContext, MigrationInfo
    from sqlalchemy import Connection

    Context: TypeAlias = EnvironmentContext | ModuleType

Models: TypeAlias = MetaData | Sequence[MetaData] | Callable[[], MetaData | Sequence[MetaData]]

ONLINE = "online"
LOCK_TIMEOUT = "5s"
"""The lock timeout of a statement in an offline script, which has no retries. For runs, see `timeouts`."""

SERVERS = "dbschema.servers"
"""The group of entry points that start a server and return its URL, for a command without an address."""

PLUGINS = ("alembic.autogenerate.*", "alembic.ext.checkconstraint_byname", "dbschema.*")
"""The comparisons of autogenerate: those of Alembic, CHECK constraints by name, and the declared objects of dbschema."""


class LazyMetaData(Sequence[MetaData]):
    """The metadata to compare, imported when autogenerate reads it.

    The import of the models takes longer than the SQL of an upgrade, and an upgrade must not depend on today's models.

    Args:
        load: returns a MetaData or several; called at most once.
    """

    def __init__(self, load: Callable[[], MetaData | Sequence[MetaData]]) -> None:
        self._load = load
        self._loaded: tuple[MetaData, ...] | None = None

    def _all(self) -> tuple[MetaData, ...]:
        if self._loaded is None:
            loaded = self._load()
            self._loaded = (loaded,) if isinstance(loaded, MetaData) else tuple(loaded)
        return self._loaded

    def __iter__(self) -> Iterator[MetaData]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    @overload
    def __getitem__(self, index: int) -> MetaData: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[MetaData]: ...
    def __getitem__(self, index: int | slice) -> MetaData | Sequence[MetaData]:
        return self._all()[index]

    def __bool__(self) -> bool:
        return True  # libraries call it; it must not load the models


def run(context: Context, metadata: Models, *, compare: bool = True, **options: Any) -> None:
    """Run the current Alembic command.

    The database is the first of these:

    1. `config.attributes["connection"]`: a SQLAlchemy Connection or an Engine. A Connection stays open; if it is in a
       transaction, this function neither commits it nor rolls it back.
    2. the address in `config.attributes["url"]`
    3. the address of `-x url=…`
    4. the environment (`connect.VARIABLES`)
    5. `sqlalchemy.url` of the ini file
    6. the private server

    `--sql` needs no database.

    With an address, a command that changes the database is a run like those of `dbschema.migrations.runner`: one run at a
    time, the preflight, `Timeouts.from_environment()`, retries after lock timeouts, and a comparison with the models after a
    complete upgrade. `-x within=600` sets its deadline in seconds; `-x compare=no` skips the comparison. `config.attributes`
    of these names do the same. With a connection or an engine, the caller is responsible for all of this.

    Args:
        context: `alembic.context`.
        metadata: the models that autogenerate and a complete upgrade compare the database with; a function is called only
            for a comparison.
        compare: False: an upgrade compares only with `-x compare=yes`.
        options: further arguments of `context.configure`, such as `include_schemas` or `version_table`.

    Raises:
        DbSchemaError: the command failed. The `alembic` command line gets its CommandError instead and prints it on one line.
    """
    config: Config = context.config
    from_command_line = config.cmd_opts is not None
    if (
        from_command_line
        and config.config_file_name is not None
        and config.file_config.has_section("loggers")
    ):
        logging.config.fileConfig(config.config_file_name, disable_existing_loggers=False)
    settings = {
        "target_metadata": LazyMetaData(metadata) if callable(metadata) else metadata,
        "transaction_per_migration": True,
        "compare_type": True,
        "compare_server_default": True,
        "autogenerate_plugins": list(PLUGINS),
        **options,
        "process_revision_directives": _directives(context, options.get("process_revision_directives")),
    }
    try:
        if context.is_offline_mode():
            _offline(context, settings)
        else:
            _online(context, settings, compare=compare)
    except DbSchemaError as error:
        if from_command_line:
            raise CommandError(str(error)) from error
        raise


def _directives(context: Context, theirs: ProcessRevisionDirectiveFn | None) -> ProcessRevisionDirectiveFn:
    """Return a hook that calls the hook of the environment first, then replaces operations by non-blocking ones."""

    def process(migration: MigrationContext, revision: Any, scripts: list[MigrationScript]) -> None:
        if theirs is not None:
            theirs(migration, revision, scripts)
        arguments = {**context.config.attributes, **context.get_x_argument(as_dictionary=True)}
        if choice(ONLINE, arguments.get(ONLINE), default=True):
            from dbschema.autogenerate.revisions import write_online  # noqa: PLC0415  only to write a revision

            write_online(migration, revision, scripts)

    return process


def _offline(context: Context, settings: dict[str, Any]) -> None:
    context.configure(
        dialect_name="postgresql",
        # The paramstyle of the driver would double each percent sign in a function body.
        dialect_opts={"paramstyle": "named"},
        literal_binds=True,
        **settings,
    )
    context.execute("SET client_encoding = 'UTF8'")
    context.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
    with context.begin_transaction():
        context.run_migrations()


def _online(context: Context, settings: dict[str, Any], *, compare: bool) -> None:
    passed: Connection | Engine | None = context.config.attributes.get("connection")
    if isinstance(passed, Engine):  # pytest-alembic passes an engine
        with passed.connect() as connection:
            _migrate(context, connection, settings)
        return
    if passed is not None:
        with _transaction_unchanged(passed):
            _migrate(context, passed, settings)
        return
    database = _database(context)
    with connect.translating(database):
        engine = connect.create_engine(database)
        with contextlib.closing(engine.connect()) as connection:
            if _changes(context):
                _run(context, connection, settings, database, compare=compare)
            else:
                _migrate(context, connection, settings)


def _changes(context: Context) -> bool:
    """Whether the command has a target revision: upgrade, downgrade, stamp. Other commands only read, or write a file."""
    try:
        context.get_revision_argument()
    except KeyError:
        return False
    return True


def _run(
    context: Context,
    connection: Connection,
    settings: dict[str, Any],
    database: connect.Settings,
    *,
    compare: bool,
) -> None:
    config: Config = context.config
    arguments = {**config.attributes, **context.get_x_argument(as_dictionary=True)}
    shown = config.cmd_opts is not None and sys.stderr.isatty()
    options = RunOptions.read(arguments, compare=compare, shown=shown)
    context.configure(connection=connection, **settings)
    command = AlembicRun(
        database,
        connection,
        context.script,
        context.get_context().opts["fn"],
        lambda hand_out: _migrate(context, connection, {**settings, "fn": hand_out}),
        settings["target_metadata"],
        options,
    )
    command.run(Timeouts.from_environment())


def _migrate(context: Context, connection: Connection, settings: dict[str, Any]) -> None:
    theirs = settings.get("on_version_apply") or ()
    callbacks = (*(theirs if isinstance(theirs, (tuple, list)) else (theirs,)), _reject_invalid_index)
    context.configure(connection=connection, **{**settings, "on_version_apply": callbacks})
    with context.begin_transaction():
        context.run_migrations()


def _reject_invalid_index(*, ctx: MigrationContext, step: MigrationInfo, **_: Any) -> None:
    """Check for invalid indexes before Alembic commits the revision as applied.

    Raises:
        InvalidIndex: the revision left an invalid index. It is not recorded, so that the next run repeats it.
    """
    connection = ctx.connection
    if connection is None or connection.dialect.name != "postgresql":
        return
    # Use SQLAlchemy here: the connection of a caller may have another driver than psycopg.
    if invalid := connection.exec_driver_sql(preflight.INVALID_INDEXES).all():
        place = str(connection.engine.url.database)
        revision = step.up_revision_id if step.is_upgrade else ", ".join(step.down_revision_ids)
        raise InvalidIndex(place, [row.quoted for row in invalid], str(revision))


@contextlib.contextmanager
def _transaction_unchanged(connection: Connection) -> Iterator[None]:
    """Roll back the transaction that Alembic's queries began; keep a transaction of the caller."""
    ours = not connection.in_transaction()
    try:
        yield
    finally:
        if ours and connection.in_transaction():
            connection.rollback()


def _database(context: Context) -> connect.Settings:
    config: Config = context.config
    address = config.attributes.get("url")
    if address is not None:
        return connect.resolve(address, source="the caller")
    arguments = context.get_x_argument(as_dictionary=True)
    if unknown := sorted(arguments.keys() - {"url", WITHIN, COMPARE, ONLINE}):
        raise BadAddress(
            f"The argument -x {unknown[0]} is unknown",
            "Give the address as -x url=postgresql://…; there are also -x within=SECONDS, -x compare=no and -x online=no",
        )
    if "url" in arguments:
        return connect.resolve(arguments["url"], source="-x url")
    written = config.get_main_option("sqlalchemy.url")
    if written is None:
        return connect.resolve(fallback=_private_server)
    try:
        return connect.resolve()
    except NoAddress:
        return connect.resolve(written, source=f"sqlalchemy.url in {config.config_file_name}")


def _private_server() -> str:
    """Start the private server if a package offers one, and return its address.

    Raises:
        NoAddress: no address is configured, and no package offers a server.
    """
    for server in entry_points(group=SERVERS):
        return str(server.load()())
    raise NoAddress
