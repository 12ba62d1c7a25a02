"""Open connections: with a new token, a rotated password, or a server that has to resume first.

`opener` opens connections of psycopg. `attach` does the same for an engine of SQLAlchemy (event `do_connect`), with or
without asyncio. The users of a connection therefore handle neither tokens nor waiting, and no address contains a token.
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
"""The oldest major version of PostgreSQL that the schema supports."""

# A value in the address takes precedence.
_DEFAULTS: Final[dict[str, str | int]] = {
    "application_name": "dbschema",
    # Revisions, comments and seeds are Unicode. PGCLIENTENCODING or the setting of the database may not support it.
    "client_encoding": "utf8",
    "connect_timeout": 10,  # seconds, for each host
    # Detect a dead server after a minute; the default of the operating system is two hours.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
# The private server listens on loopback without TLS. These values override PG* variables for other servers.
_PRIVATE: Final[dict[str, str | int]] = {
    "sslmode": "disable",
    "gssencmode": "disable",
    "channel_binding": "disable",
    "target_session_attrs": "any",
    "options": "",
}

Open: TypeAlias = "Callable[..., psycopg.Connection]"
"""Opens connections to a database: ``open(autocommit=False, **parameters)``, with libpq's parameters."""


def opener(settings: Settings) -> Open:
    """Return a function that opens psycopg connections, for a program that needs several. See `open`."""
    connections = _Opener(settings, Waiting())

    def connect(*, autocommit: bool = False, **parameters: Any) -> psycopg.Connection:
        arguments = Parameters(
            {
                **settings.address.libpq(),
                **own_parameters(settings),
                **parameters,
                "autocommit": autocommit,
            }
        )
        connection: psycopg.Connection = connections.connect(
            lambda changed: psycopg.connect(**changed), arguments
        )
        check_server_version(connection, settings)
        return connection

    return connect


def open(  # noqa: A001  it is called as `connect.open`
    settings: Settings, *, autocommit: bool = False, **parameters: Any
) -> psycopg.Connection:
    """Open a psycopg connection as `create_engine` does, without importing SQLAlchemy.

    Args:
        settings: the database.
        autocommit: as in `psycopg.connect`.
        parameters: of libpq and psycopg; they override those of `settings`.

    Raises:
        ServerTooOld: the server is too old; the connection is closed.
        psycopg.Error: no connection is possible; `translating` translates it.
    """
    return opener(settings)(autocommit=autocommit, **parameters)


def own_parameters(settings: Settings) -> dict[str, Any]:
    """Return the parameters that this package adds to those of the address."""
    named = settings.address.query
    arguments: dict[str, Any] = {key: value for key, value in _DEFAULTS.items() if key not in named}
    if settings.is_private:
        arguments |= {"hostaddr": settings.host, **_PRIVATE}
    if settings.proxy and "options" not in named:
        arguments["options"] = ""  # RDS Proxy rejects startup settings, such as those of PGOPTIONS
    # Prepared statements do not pay off for so few repetitions, and pin the connection of a proxy.
    arguments["prepare_threshold"] = None
    return arguments


def check_server_version(connection: psycopg.Connection, settings: Settings) -> None:
    """Raise if the server is too old, and close the connection.

    Raises:
        ServerTooOld: the server is older than `OLDEST_SERVER`.
    """
    version = connection.info.server_version
    if version < OLDEST_SERVER * 10_000:
        shown = connection.info.parameter_status("server_version") or str(version // 10_000)
        connection.close()
        raise errors.ServerTooOld(settings, shown, OLDEST_SERVER)


def attach(engine: Engine, settings: Settings) -> None:
    """Make an engine that an application created from `settings.url` open its connections as `settings` say.

    An engine of this package does not need it: `create_engine` and `create_async_engine` call it.

    Args:
        engine: an engine with the driver psycopg; of an asynchronous engine, its `sync_engine`.
        settings: the database.
    """
    if (
        settings.iam
        or settings.secret is not None
        or settings.wake_seconds > 0
        or settings.failover_seconds > 0
    ):
        from sqlalchemy import event  # noqa: PLC0415  the caller has an engine and has imported it

        waiting = Waiting()
        if engine.dialect.is_async:
            waiting = AsyncioWaiting()
        connections = _Opener(settings, waiting)

        def do_connect(dialect: Dialect, _record: Any, args: list[Any], parameters: dict[str, Any]) -> Any:
            parameters = Parameters(parameters)
            return connections.connect(lambda changed: dialect.connect(*args, **changed), parameters)

        event.listen(engine, "do_connect", do_connect)


def password(settings: Settings, host: str | None = None) -> str | None:
    """Return the password, or a new IAM token, for a connection of another program such as psql.

    Args:
        settings: the database.
        host: another instance of the cluster, because a token is valid for one host; None: the host of the address.
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
    """Wait in this thread, and block it."""

    blocks: ClassVar[bool] = True

    def pause(self, seconds: float) -> None:
        """Wait for some seconds."""
        time.sleep(seconds)

    def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Call a blocking function."""
        return function(*arguments)


class _Opener:
    """Opens connections with the function of a driver; remembers the user and password that the server accepted last."""

    def __init__(self, settings: Settings, waiting: Waiting) -> None:
        self._settings = settings
        self._waiting = waiting
        self._accepted: Secret | None = None

    def connect(self, make: Callable[[dict[str, Any]], Any], parameters: dict[str, Any]) -> Any:
        """Open a connection with `make`; repeat until the server answers, and read a rotated password again."""
        retry = Retry(_PAUSES, self._settings.wake_seconds, sleep=self._waiting.pause)
        while True:
            try:
                connection = self._reach(make, self._within(retry.left, parameters))
            except psycopg.OperationalError as error:
                rejection = _translated(error, self._settings)
                left = retry.left
                if not isinstance(rejection, _ASLEEP) or left <= 0:
                    raise
                level = logging.WARNING if retry.attempt == 1 else logging.INFO
                log.log(
                    level,
                    "%s does not answer yet (attempt %d, %.0f s left): %s",
                    self._settings.place,
                    retry.attempt,
                    left,
                    rejection.reason,
                )
                retry.pause()
                continue
            if retry.attempt > 1:
                log.info(
                    "%s answers after %.1f s (attempt %d)", self._settings.place, retry.waited, retry.attempt
                )
            return connection

    def _within(self, left: float, parameters: dict[str, Any]) -> dict[str, Any]:
        """Limit `connect_timeout` of the next attempt, so that it ends soon after the deadline."""
        if self._settings.wake_seconds <= 0:
            return parameters
        limit = int(parameters.get("connect_timeout") or 0)
        longest = max(2, int(left) + 1)  # libpq raises 1 to 2
        limit = min(limit, longest) if limit > 0 else longest
        return Parameters({**parameters, "connect_timeout": limit})

    def _reach(self, make: Callable[[dict[str, Any]], Any], parameters: dict[str, Any]) -> Any:
        """Connect to the host of the address; with failover, to the writer of the cluster."""
        if not self._settings.failover_seconds:
            return self._open(make, parameters)
        if not self._waiting.blocks:
            # The wrapper connects in threads of its own, and asyncio connections need their task: it only finds the host.
            host = self._waiting.call(_host_of_the_writer, self._settings)
            return self._open(make, Parameters({**parameters, "host": host}))
        from dbschema.connect import failover  # noqa: PLC0415  few need it

        return failover.connect(self._settings, lambda changed: self._open(make, changed), parameters)

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
            rejected = error
        for secret, stage in self._versions():
            if (login := _login(secret.username, secret.password)) in tried:
                continue
            tried.add(login)
            try:
                connection = make(_with(parameters, secret))
            except psycopg.OperationalError as error:
                if not self._is_password(error):
                    raise
                rejected = error
                continue
            self._accepted = secret
            log.info("%s was rotated; %s accepts its version %s", self._named(), self._settings.place, stage)
            return connection
        raise rejected

    def _versions(self) -> Iterator[tuple[Secret, str]]:
        """Read the current version of the secret, then the previous one: the server may not know the new password yet."""
        from dbschema.connect import aws  # noqa: PLC0415  few need it

        name = self._settings.secret or ""
        yield self._waiting.call(aws.read_secret, name, self._settings.source), "AWSCURRENT"
        try:
            previous = self._waiting.call(aws.read_secret, name, self._settings.source, "AWSPREVIOUS")
        except errors.AwsDenied as error:
            if error.aws_code == "ResourceNotFoundException":  # it was never rotated
                return
            raise
        yield previous, "AWSPREVIOUS"

    def _is_password(self, error: psycopg.OperationalError) -> bool:
        # 28P01. The message of a server in another language is not recognised; one more attempt is harmless.
        rejection = _translated(error, self._settings)
        return isinstance(rejection, errors.WrongPassword) or not rejection.is_recognised

    def _named(self) -> str:
        return f"The secret that {self._settings.source} names"


def _with(parameters: dict[str, Any], secret: Secret) -> dict[str, Any]:
    return Parameters({**parameters, "user": secret.username, "password": secret.password})


def _login(user: str | None, password: str | None) -> int:
    """Return a hash of user and password for comparison, so that the variables of a frame do not contain them."""
    return hash((user, password))


def _translated(error: psycopg.Error, settings: Settings) -> errors.Rejection:
    from dbschema.connect.translation import translate  # noqa: PLC0415  needed for an error only

    return translate(error, settings)


class AsyncioWaiting(Waiting):
    """Wait in a task of asyncio, and let other tasks run; SQLAlchemy opens connections in its greenlet."""

    blocks = False

    def pause(self, seconds: float) -> None:
        """Wait for some seconds."""
        from dbschema._sqlalchemy import await_only  # noqa: PLC0415  a program without asyncio does not need SQLAlchemy

        await_only(asyncio.sleep(seconds))

    def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Run a blocking function in a thread."""
        from dbschema._sqlalchemy import await_only  # noqa: PLC0415  as above

        return await_only(asyncio.to_thread(function, *arguments))
