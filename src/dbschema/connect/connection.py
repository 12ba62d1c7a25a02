"""How one connection is opened: with a fresh token, with a password that may have been rotated, by a server that may sleep.

`opener` gives connections of psycopg; SQLAlchemy calls the same for each of its own (event `do_connect`), so that neither
tokens nor waiting are the business of whoever uses them, and no token ever stands in an address.

The engine for asyncio, with psycopg's asynchronous connections, by the same rules as the other.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias, TypeVar

import psycopg

from dbschema._retry import Pauses, Retry
from dbschema.connect import errors
from dbschema.secrecy import Parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Dialect, Engine

    from dbschema.connect.aws import Secret
    from dbschema.connect.settings import Settings


T = TypeVar("T")

log: Final = logging.getLogger("dbschema.connect")

_ASLEEP: Final = (errors.Unreachable, errors.NotReady)
_PAUSES: Final = Pauses(0.5, 5.0)

OLDEST_SERVER: Final = 15
"""The oldest major version of PostgreSQL that the schema is made for."""

# An address that names one of these keeps its own.
_DEFAULTS: Final[dict[str, str | int]] = {
    "application_name": "dbschema",
    # Revisions, comments and seeds are Unicode; PGCLIENTENCODING or the database's own setting could not carry them.
    "client_encoding": "utf8",
    "connect_timeout": 10,  # seconds, for each host
    # A server that vanished during a long run is noticed after a minute, not after the system's two hours.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
# The private server listens on loopback without TLS; PG* variables that are meant for another server do not count.
_PRIVATE: Final[dict[str, str | int]] = {
    "sslmode": "disable",
    "gssencmode": "disable",
    "channel_binding": "disable",
    "target_session_attrs": "any",
    "options": "",
}

Open: TypeAlias = "Callable[..., psycopg.Connection]"
"""Opens connections to one database: ``open(autocommit=False, **parameters)``, with libpq's parameters."""


def opener(settings: Settings) -> Open:
    """What opens psycopg's connections to `settings`; for a program that needs several. See `open`."""
    made = _Opener(settings, Waiting())

    def connect(*, autocommit: bool = False, **parameters: Any) -> psycopg.Connection:
        arguments = Parameters(
            {
                **settings.address.libpq(),
                **own_parameters(settings),
                **parameters,
                "autocommit": autocommit,
            }
        )
        connection: psycopg.Connection = made.connect(lambda given: psycopg.connect(**given), arguments)
        check_server_version(connection, settings)
        return connection

    return connect


def open(  # noqa: A001  within the package `connect`, the word says what it opens
    settings: Settings, *, autocommit: bool = False, **parameters: Any
) -> psycopg.Connection:
    """A connection of psycopg, by the same rules as those of `create_engine`, without importing SQLAlchemy.

    Args:
        settings: the database.
        autocommit: as psycopg has it.
        parameters: of libpq and psycopg, over those of `settings`.

    Raises:
        ServerTooOld: the connection is closed.
        psycopg.Error: for `translating`.
    """
    return opener(settings)(autocommit=autocommit, **parameters)


def own_parameters(settings: Settings) -> dict[str, Any]:
    """The parameters that the schema's own work adds to what the address says."""
    named = settings.address.query
    arguments: dict[str, Any] = {key: value for key, value in _DEFAULTS.items() if key not in named}
    if settings.is_private:
        arguments |= {"hostaddr": settings.host, **_PRIVATE}
    if settings.proxy and "options" not in named:
        arguments["options"] = ""  # RDS Proxy refuses a connection that brings settings, as PGOPTIONS would
    # None is repeated often enough to gain by it, and a proxy would have to keep the connection for us alone.
    arguments["prepare_threshold"] = None
    return arguments


def check_server_version(connection: psycopg.Connection, settings: Settings) -> None:
    """Close a connection to a server that is too old, and raise.

    Raises:
        ServerTooOld: it is.
    """
    version = connection.info.server_version
    if version < OLDEST_SERVER * 10_000:
        shown = connection.info.parameter_status("server_version") or str(version // 10_000)
        connection.close()
        raise errors.ServerTooOld(settings, shown, OLDEST_SERVER)


def attach(engine: Engine, settings: Settings) -> None:
    """Let `engine` open its connections as `settings` say; for an engine that an application made of `settings.url`.

    Args:
        engine: with the driver psycopg, or the synchronous side (`sync_engine`) of one with its asynchronous connections.
            `create_engine` and `create_async_engine` of this package have done it already.
        settings: the database.
    """
    if (
        settings.iam
        or settings.secret is not None
        or settings.wake_seconds > 0
        or settings.failover_seconds > 0
    ):
        from sqlalchemy import event  # noqa: PLC0415  whoever has an engine has imported it

        waiting = Waiting()
        if engine.dialect.is_async:
            waiting = AsyncioWaiting()
        made = _Opener(settings, waiting)

        def do_connect(dialect: Dialect, _record: Any, args: list[Any], parameters: dict[str, Any]) -> Any:
            parameters = Parameters(parameters)
            return made.connect(lambda given: dialect.connect(*args, **given), parameters)

        event.listen(engine, "do_connect", do_connect)


def password(settings: Settings, host: str | None = None) -> str | None:
    """The password for one connection that another program makes, such as psql: a token where they say so.

    Args:
        settings: the database.
        host: another instance of its cluster, for which a token has to be its own.
    """
    address = settings.address
    if not settings.iam:
        return address.password
    from dbschema.connect import aws  # noqa: PLC0415  few need it

    return aws.auth_token(
        host or address.host or "", address.port or 5432, address.user or "", settings.source
    )


def _host_of_the_writer(settings: Settings) -> str:
    with closing(open(settings, autocommit=True)) as connection:
        return connection.info.host


class Waiting:
    """How to wait: by stopping the thread."""

    blocks: ClassVar[bool] = True

    def pause(self, seconds: float) -> None:
        """Wait that long."""
        time.sleep(seconds)

    def call(self, function: Callable[..., T], *arguments: object) -> T:
        """What `function` gives, which waits for others."""
        return function(*arguments)


class _Opener:
    """Opens connections by a function of others. It keeps the user and password that the server accepted last."""

    def __init__(self, settings: Settings, waiting: Waiting) -> None:
        self._settings = settings
        self._waiting = waiting
        self._accepted: Secret | None = None

    def connect(self, make: Callable[[dict[str, Any]], Any], parameters: dict[str, Any]) -> Any:
        """A connection that `make` makes of `parameters`, perhaps at its second attempt or with another password."""
        retry = Retry(_PAUSES, self._settings.wake_seconds, sleep=self._waiting.pause)
        while True:
            try:
                connection = self._reach(make, self._within(retry.left, parameters))
            except psycopg.OperationalError as error:
                refusal = _translated(error, self._settings)
                left = retry.left
                if not isinstance(refusal, _ASLEEP) or left <= 0:
                    raise
                level = logging.WARNING if retry.attempt == 1 else logging.INFO
                log.log(
                    level,
                    "%s does not answer yet (attempt %d, %.0f s left): %s",
                    self._settings.place,
                    retry.attempt,
                    left,
                    refusal.reason,
                )
                retry.pause()
                continue
            if retry.attempt > 1:
                log.info(
                    "%s answers after %.1f s (attempt %d)", self._settings.place, retry.waited, retry.attempt
                )
            return connection

    def _within(self, left: float, parameters: dict[str, Any]) -> dict[str, Any]:
        """`parameters` with a limit for the one attempt that does not reach far over the deadline."""
        if self._settings.wake_seconds <= 0:
            return parameters
        limit = int(parameters.get("connect_timeout") or 0)
        longest = max(2, int(left) + 1)  # libpq takes 1 for 2
        limit = min(limit, longest) if limit > 0 else longest
        return Parameters({**parameters, "connect_timeout": limit})

    def _reach(self, make: Callable[[dict[str, Any]], Any], parameters: dict[str, Any]) -> Any:
        """A connection to where the address says, or to the instance that writes."""
        if not self._settings.failover_seconds:
            return self._open(make, parameters)
        if not self._waiting.blocks:
            # The wrapper opens connections in threads of its own, where those of a task cannot be opened: it finds the host.
            host = self._waiting.call(_host_of_the_writer, self._settings)
            return self._open(make, Parameters({**parameters, "host": host}))
        from dbschema.connect import failover  # noqa: PLC0415  few need it

        return failover.connect(self._settings, lambda given: self._open(make, given), parameters)

    def _open(self, make: Callable[[dict[str, Any]], Any], parameters: dict[str, Any]) -> Any:
        if self._settings.iam:
            host = parameters.get("host")
            return make(
                Parameters({**parameters, "password": self._waiting.call(password, self._settings, host)})
            )
        if self._settings.secret is None:
            return make(parameters)
        accepted = self._accepted
        if accepted is not None:
            parameters = _with(parameters, accepted)
        tried = {_login(parameters.get("user"), parameters.get("password"))}
        try:
            return make(parameters)
        except psycopg.OperationalError as error:
            if not self._is_password(error):
                raise
            refused = error
        for secret, stage in self._versions():
            if (login := _login(secret.username, secret.password)) in tried:
                continue
            tried.add(login)
            try:
                connection = make(_with(parameters, secret))
            except psycopg.OperationalError as error:
                if not self._is_password(error):
                    raise
                refused = error
                continue
            self._accepted = secret
            log.info("%s was rotated; %s takes its version %s", self._named(), self._settings.place, stage)
            return connection
        raise refused

    def _versions(self) -> Iterator[tuple[Secret, str]]:
        """The secret as it is now; then, for a server that does not have the new password yet, as it was before."""
        from dbschema.connect import aws  # noqa: PLC0415  few need it

        name = self._settings.secret or ""
        yield self._waiting.call(aws.read_secret, name, self._settings.source), "AWSCURRENT"
        try:
            previous = self._waiting.call(aws.read_secret, name, self._settings.source, "AWSPREVIOUS")
        except errors.AwsRefused as error:
            if error.aws_code == "ResourceNotFoundException":  # it was never rotated
                return
            raise
        yield previous, "AWSPREVIOUS"

    def _is_password(self, error: psycopg.OperationalError) -> bool:
        # 28P01; a server in another language says it in words that are not known, and asking once more does no harm.
        refusal = _translated(error, self._settings)
        return isinstance(refusal, errors.WrongPassword) or not refusal.is_recognised

    def _named(self) -> str:
        return f"The secret that {self._settings.source} names"


def _with(parameters: dict[str, Any], secret: Secret) -> dict[str, Any]:
    return Parameters({**parameters, "user": secret.username, "password": secret.password})


def _login(user: str | None, password: str | None) -> int:
    """User and password to be compared, without them: what prints the variables of a frame shall not find them there."""
    return hash((user, password))


def _translated(error: psycopg.Error, settings: Settings) -> errors.Refusal:
    from dbschema.connect.translation import translate  # noqa: PLC0415  for an error only

    return translate(error, settings)


class AsyncioWaiting(Waiting):
    """Waiting in a task of asyncio, where the others go on; SQLAlchemy opens connections in its greenlet."""

    blocks = False

    def pause(self, seconds: float) -> None:
        """Wait for some seconds."""
        from dbschema._sqlalchemy import await_only  # noqa: PLC0415  a program without asyncio does not need SQLAlchemy

        await_only(asyncio.sleep(seconds))

    def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Run a blocking function in a thread."""
        from dbschema._sqlalchemy import await_only  # noqa: PLC0415  as above

        return await_only(asyncio.to_thread(function, *arguments))
