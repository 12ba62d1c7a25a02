"""How one connection is opened: with a fresh token, with a password that may have been rotated, by a server that may sleep.

SQLAlchemy calls it for each connection (its event `do_connect`), so that neither tokens nor waiting are the business of
whoever uses the engine, and no token ever stands in an address.
"""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, Any, Final

import psycopg
from sqlalchemy import event

from dbschema.connect import errors
from dbschema.connect.translate import translate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Dialect, Engine

    from dbschema.connect.aws import Secret
    from dbschema.connect.settings import Settings

log: Final = logging.getLogger("dbschema.connect")

_ASLEEP: Final = (errors.NothingListens, errors.TimedOut, errors.NotReady)
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 5.0


def attach(engine: Engine, settings: Settings) -> None:
    """Let `engine` open its connections as `settings` say; for an engine that an application made of `settings.url`.

    Args:
        engine: with the driver psycopg. `create_engine` of this package has done it already.
        settings: the database.
    """
    if settings.iam or settings.secret is not None or settings.wake_seconds > 0:
        opener = _Opener(settings)
        event.listen(engine, "do_connect", opener)


def password(settings: Settings) -> str | None:
    """The password for one connection that another program makes, such as psql: a token where they say so."""
    url = settings.url
    if not settings.iam:
        return url.password
    from dbschema.connect import aws  # noqa: PLC0415  few need it

    return aws.auth_token(url.host or "", url.port or 5432, url.username or "", settings.source)


class _Opener:
    """Opens connections of one engine. It keeps the user and password that the server accepted last."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._accepted: Secret | None = None

    def __call__(self, dialect: Dialect, _record: Any, args: list[Any], parameters: dict[str, Any]) -> Any:
        deadline = time.monotonic() + self._settings.wake_seconds
        attempt, pause, began = 1, _FIRST_PAUSE, time.monotonic()
        while True:
            try:
                connection = self._open(dialect, args, self._within(deadline, parameters))
            except psycopg.OperationalError as error:
                refusal = translate(error, self._settings)
                left = deadline - time.monotonic()
                if not isinstance(refusal, _ASLEEP) or left <= 0:
                    raise
                level = logging.WARNING if attempt == 1 else logging.INFO
                log.log(
                    level,
                    "%s does not answer yet (attempt %d, %.0f s left): %s",
                    self._settings.place,
                    attempt,
                    left,
                    refusal.reason,
                )
                # All clients of a database that wakes shall not come at once.
                time.sleep(min(left, pause * random.uniform(0.8, 1.2)))  # noqa: S311  nothing secret
                attempt, pause = attempt + 1, min(pause * 1.5, _LONGEST_PAUSE)
                continue
            if attempt > 1:
                seconds = time.monotonic() - began
                log.info("%s answers after %.1f s (attempt %d)", self._settings.place, seconds, attempt)
            return connection

    def _within(self, deadline: float, parameters: dict[str, Any]) -> dict[str, Any]:
        """`parameters` with a limit for the one attempt that does not reach far over the deadline."""
        if self._settings.wake_seconds <= 0:
            return parameters
        limit = int(parameters.get("connect_timeout") or 0)
        left = max(2, int(deadline - time.monotonic()) + 1)  # libpq takes 1 for 2
        return {**parameters, "connect_timeout": min(limit, left) if limit > 0 else left}

    def _open(self, dialect: Dialect, args: list[Any], parameters: dict[str, Any]) -> Any:
        if self._settings.iam:
            return dialect.connect(*args, **{**parameters, "password": password(self._settings)})
        if self._settings.secret is None:
            return dialect.connect(*args, **parameters)
        accepted = self._accepted
        if accepted is not None:
            parameters = _with(parameters, accepted)
        tried = {(parameters.get("user"), parameters.get("password"))}
        try:
            return dialect.connect(*args, **parameters)
        except psycopg.OperationalError as error:
            if not self._is_password(error):
                raise
            refused = error
        for secret, stage in self._versions():
            if (secret.username, secret.password) in tried:
                continue
            tried.add((secret.username, secret.password))
            try:
                connection = dialect.connect(*args, **_with(parameters, secret))
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
        yield aws.read_secret(name, self._settings.source), "AWSCURRENT"
        try:
            previous = aws.read_secret(name, self._settings.source, "AWSPREVIOUS")
        except errors.AwsRefused as error:
            if error.code == "ResourceNotFoundException":  # it was never rotated
                return
            raise
        yield previous, "AWSPREVIOUS"

    def _is_password(self, error: psycopg.OperationalError) -> bool:
        # 28P01; a server in another language says it in words that are not known, and asking once more does no harm.
        return type(translate(error, self._settings)) in {errors.WrongPassword, errors.Refusal}

    def _named(self) -> str:
        return f"The secret that {self._settings.source} names"


def _with(parameters: dict[str, Any], secret: Secret) -> dict[str, Any]:
    return {**parameters, "user": secret.username, "password": secret.password}
