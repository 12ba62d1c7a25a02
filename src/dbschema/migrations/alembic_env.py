"""The Alembic environment: which database, which models, which transaction; all that an `env.py` has to call.

It serves this package's revisions and those of an application that brings models of its own:

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
"""How long a statement of an offline script waits for a lock: nothing there tries again. For runs, see `timeouts`."""

SERVERS = "dbschema.servers"
"""Entry points whose functions start a server and return its URL, for a command without an address."""

PLUGINS = ("alembic.autogenerate.*", "alembic.ext.checkconstraint_byname", "dbschema.*")
"""What autogenerate compares: all that Alembic knows, CHECK constraints by their name, and our own objects."""


class LazyMetaData(Sequence[MetaData]):
    """The metadata to compare, imported when autogenerate looks at it.

    Importing models costs more time than an upgrade's SQL, and an upgrade must not depend on what the models are today.

    Args:
        load: gives a MetaData or several; called at most once.
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
        return True  # asked by libraries; the models stay where they are


def run(context: Context, metadata: Models, *, compare: bool = True, **options: Any) -> None:
    """Run the Alembic command that is under way.

    The database is, in this order: the connection in `config.attributes["connection"]` (a SQLAlchemy Connection, which
    stays open; where it is in a transaction, that is neither committed nor rolled back; or an Engine), the address in
    `config.attributes["url"]`, that of `-x url=…`, what the environment names (`connect.VARIABLES`), `sqlalchemy.url` of
    the ini file, the private server. `--sql` needs none.

    A command that changes a database which was found by its address is a run like those of `dbschema.migrations.runner`:
    one at a time, with `Timeouts.from_environment()`; what must not be changed is refused, revisions that meet a lock are
    tried again, and an upgrade that came to its end is compared with the models. `-x within=600` is its deadline in
    seconds, and `-x compare=no` leaves the comparison out; so do `config.attributes` of these names. On a connection that
    is given, all of this is the giver's.

    Args:
        context: `alembic.context`.
        metadata: what autogenerate, and an upgrade at its end, compare the database with; a function is called only then.
        compare: False: an upgrade compares nothing, unless `-x compare=yes` asks for it.
        options: further arguments of `context.configure`, such as `include_schemas` or `version_table`.

    Raises:
        DbSchemaError: the database cannot be reached, or refuses; for the `alembic` command line as its CommandError,
            which it prints on one line.
    """
    config: Config = context.config
    by_hand = config.cmd_opts is not None
    if by_hand and config.config_file_name is not None and config.file_config.has_section("loggers"):
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
        if by_hand:
            raise CommandError(str(error)) from error
        raise


def _directives(context: Context, theirs: ProcessRevisionDirectiveFn | None) -> ProcessRevisionDirectiveFn:
    """The hook of the environment, and then ours: what it leaves is written in the form that stalls nobody."""

    def process(migration: MigrationContext, revision: Any, scripts: list[MigrationScript]) -> None:
        if theirs is not None:
            theirs(migration, revision, scripts)
        given = {**context.config.attributes, **context.get_x_argument(as_dictionary=True)}
        if choice(ONLINE, given.get(ONLINE), default=True):
            from dbschema.autogenerate.revisions import write_online  # noqa: PLC0415  for whoever writes a revision

            write_online(migration, revision, scripts)

    return process


def _offline(context: Context, settings: dict[str, Any]) -> None:
    context.configure(
        dialect_name="postgresql",
        # With the driver's own style, every percent sign in a function's body would be written twice.
        dialect_opts={"paramstyle": "named"},
        literal_binds=True,
        **settings,
    )
    context.execute("SET client_encoding = 'UTF8'")
    context.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
    with context.begin_transaction():
        context.run_migrations()


def _online(context: Context, settings: dict[str, Any], *, compare: bool) -> None:
    given: Connection | Engine | None = context.config.attributes.get("connection")
    if isinstance(given, Engine):  # what pytest-alembic gives
        with given.connect() as connection:
            _migrate(context, connection, settings)
        return
    if given is not None:
        with _left_as_it_was(given):
            _migrate(context, given, settings)
        return
    database = _database(context)
    with connect.translating(database):
        engine = connect.create_engine(database)
        with contextlib.closing(engine.connect()) as connection:
            if _changes(context):
                _guarded(context, connection, settings, database, compare=compare)
            else:
                _migrate(context, connection, settings)


def _changes(context: Context) -> bool:
    """Whether the command goes to a revision: upgrade, downgrade, stamp; the others look, or write a file."""
    try:
        context.get_revision_argument()
    except KeyError:
        return False
    return True


def _guarded(
    context: Context,
    connection: Connection,
    settings: dict[str, Any],
    database: connect.Settings,
    *,
    compare: bool,
) -> None:
    config: Config = context.config
    given = {**config.attributes, **context.get_x_argument(as_dictionary=True)}
    shown = config.cmd_opts is not None and sys.stderr.isatty()
    wishes = RunOptions.read(given, compare=compare, shown=shown)
    context.configure(connection=connection, **settings)
    command = AlembicRun(
        database,
        connection,
        context.script,
        context.get_context().opts["fn"],
        lambda hand_out: _migrate(context, connection, {**settings, "fn": hand_out}),
        settings["target_metadata"],
        wishes,
    )
    command.run(Timeouts.from_environment())


def _migrate(context: Context, connection: Connection, settings: dict[str, Any]) -> None:
    given = settings.get("on_version_apply") or ()
    callbacks = (*(given if isinstance(given, (tuple, list)) else (given,)), _refuse_invalid_index)
    context.configure(connection=connection, **{**settings, "on_version_apply": callbacks})
    with context.begin_transaction():
        context.run_migrations()


def _refuse_invalid_index(*, ctx: MigrationContext, step: MigrationInfo, **_: Any) -> None:
    """Raise where an index was left unfinished: called before the revision is committed as applied.

    Raises:
        InvalidIndex: so that the next run repeats the revision.
    """
    connection = ctx.connection
    if connection is None or connection.dialect.name != "postgresql":
        return
    # By SQLAlchemy: a connection that is given may have another driver than ours.
    if found := connection.exec_driver_sql(preflight.INVALID_INDEXES).all():
        place = str(connection.engine.url.database)
        revision = step.up_revision_id if step.is_upgrade else ", ".join(step.down_revision_ids)
        raise InvalidIndex(place, [row.quoted for row in found], str(revision))


@contextlib.contextmanager
def _left_as_it_was(connection: Connection) -> Iterator[None]:
    """End the transaction that Alembic's reading began, unless there was one before."""
    ours = not connection.in_transaction()
    try:
        yield
    finally:
        if ours and connection.in_transaction():
            connection.rollback()


def _database(context: Context) -> connect.Settings:
    config: Config = context.config
    given = config.attributes.get("url")
    if given is not None:
        return connect.resolve(given, source="the caller")
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
    """Start the private server, where the package has one; its address.

    Raises:
        NoAddress: no address is configured, and no tool offers a server.
    """
    for offered in entry_points(group=SERVERS):
        return str(offered.load()())
    raise NoAddress
