"""Translate errors of psycopg and SQLAlchemy into errors of this package.

While a connection is opened, libpq reports a text and no SQLSTATE. The known texts are those of libpq and of a server in
English. An error that is not recognised keeps the message of the server, so that no information is lost in another
language.
"""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import psycopg

from dbschema.connect import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbschema.connect.settings import Endpoint, Settings


class Meaning(NamedTuple):
    """The error for one cause.

    Args:
        kind: the class of the error.
        words, step: the templates of the two sentences, for a class with several causes; None: those of the class.
        keeps_hint: the hint of the server replaces the next step.
    """

    kind: type[errors.Rejection]
    words: str | None = None
    step: str | None = None
    keeps_hint: bool = False


_UNKNOWN_HOST: Final = Meaning(
    errors.WrongHost,
    "The host of {place} cannot be found: {reason}",
    "Check the host in {source}, and whether this machine can resolve names",
)
_NOTHING_LISTENS: Final = Meaning(
    errors.Unreachable,
    "Nothing answers for {place}: {reason}",
    "Check host and port in {source}, and that the server runs and listens there",
)
_TIMED_OUT: Final = Meaning(
    errors.Unreachable,
    "{place} did not answer in time: {reason}",
    "Check the host in {source} and the firewalls on the way; DB_WAKE_SECONDS=60 waits for a paused database",
)
_NOT_POSTGRES: Final = Meaning(
    errors.WrongHost,
    "{server} is not a PostgreSQL server: {reason}",
    "Check host and port in {source}",
)
_NO_TLS: Final = Meaning(
    errors.TlsFailed,
    "{server} offers no TLS, and the address requires it",
    "Enable TLS in the server, or set sslmode=prefer (in the address, or as PGSSLMODE) if the network is trusted",
)
_TLS_DEMANDED: Final = Meaning(
    errors.TlsFailed,
    "{server} requires TLS: {reason}",
    "Add sslmode=verify-full (or require) to the address from {source}",
)
_CERTIFICATE: Final = Meaning(
    errors.TlsFailed,
    "TLS with {server} fails: {reason}",
    "Set DB_SSL_ROOT_CERT (or sslrootcert in the address) to the certificates of its authority, or check the host name in {source}",
)
_UNKNOWN_ROLE: Final = Meaning(
    errors.NotAdmitted,
    "{server} does not let {user} log in: {reason}",
    "Correct the user name in {source}, or have an administrator create the role with LOGIN",
)
_NOT_ADMITTED: Final = Meaning(
    errors.NotAdmitted,
    "{server} does not admit {user} to database {database} from here: {reason}",
    "Have an administrator add a line to pg_hba.conf, or connect from an admitted host",
)
_NO_ROOM: Final = Meaning(
    errors.Rejection,
    "{place} has run out of disk or memory: {reason}",
    "Free disk or memory of the server, or raise the setting that it names, and repeat",
    keeps_hint=True,
)
_EXTENSION_UNAVAILABLE: Final = Meaning(
    errors.Rejection,
    "{place} cannot create the extension: {reason}",
    "Install it on the server's machine (Debian and Ubuntu: postgresql-VERSION-postgis-3), or choose a service that offers it",
)
_WRONG_PASSWORD: Final = Meaning(errors.WrongPassword)
_UNKNOWN_DATABASE: Final = Meaning(errors.UnknownDatabase)
_TOO_MANY: Final = Meaning(errors.TooManyConnections)
_NOT_READY: Final = Meaning(errors.NotReady)
_LOST: Final = Meaning(errors.ConnectionLost)
_LOCK: Final = Meaning(errors.LockNotFree)
_INCOMPLETE: Final = Meaning(errors.Incomplete)
_UNRECOGNISED: Final = Meaning(errors.Rejection, keeps_hint=True)

_BY_STATE: Final[dict[str, Meaning]] = {
    "28P01": _WRONG_PASSWORD,
    "28000": _UNKNOWN_ROLE,
    "3D000": _UNKNOWN_DATABASE,
    "53300": _TOO_MANY,
    "57P03": _NOT_READY,
    "57P01": _LOST,
    "57P02": _LOST,
    "57P05": _LOST,
    "25006": Meaning(errors.ReadOnly),
    "55P03": _LOCK,
    "40P01": _LOCK,
    "57014": Meaning(errors.Cancelled),
    "53100": _NO_ROOM,
    "53200": _NO_ROOM,
    "42501": Meaning(errors.NotPrivileged, keeps_hint=True),
    "42P01": _INCOMPLETE,
    "42703": _INCOMPLETE,
    "42883": _INCOMPLETE,
    "42704": _INCOMPLETE,
    "3F000": _INCOMPLETE,
}

# The first pattern that matches the text is used; the order matters.
_BY_WORDS: Final[tuple[tuple[str, Meaning], ...]] = (
    (r"no pg_hba\.conf entry .*(no encryption|SSL off)|SSL connection is required|connection is insecure", _TLS_DEMANDED),
    (r"no pg_hba\.conf entry|pg_hba\.conf rejects", _NOT_ADMITTED),
    (r"server does not support SSL", _NO_TLS),
    (r"invalid response to SSL|expected authentication request|unsupported frontend protocol", _NOT_POSTGRES),
    (r"certificate|SSL error|SSL SYSCALL|server common name|private key", _CERTIFICATE),
    (r"authentication failed|no password supplied|SCRAM", _WRONG_PASSWORD),
    (r"role \".*\" (does not exist|is not permitted to log in)", _UNKNOWN_ROLE),
    (r"database \".*\" does not exist", _UNKNOWN_DATABASE),
    (r"failed to resolve host|could not translate host name|[Nn]ame or service not known", _UNKNOWN_HOST),
    (r"too many (clients|connections)|remaining connection slots", _TOO_MANY),
    (r"(starting up|shutting down|in recovery mode|not accepting connections|not yet accepting)", _NOT_READY),
    (r"timeout expired|timed out", _TIMED_OUT),
    (r"Connection refused|No such file or directory|No route to host|Network is unreachable|Permission denied", _NOTHING_LISTENS),  # words: libpq's message
    (r"closed the connection unexpectedly|connection reset|connection is closed|terminating connection|broken pipe|the connection is lost", _LOST),
)  # fmt: skip
_NO_EXTENSION: Final = re.compile(r'extension "[^"]+" is not available|extension control file', re.IGNORECASE)
_MAY_NOT_EXTEND: Final = re.compile(r'permission denied to create extension "([^"]+)"')
_MAY_NOT_CREATE: Final = re.compile(r"permission denied for (schema|database) (\S+)")
_LIBPQ_PREFIX: Final = re.compile(
    r"^connection (?:failed|is bad): |connection to server (?:at|on socket) .*? failed: |^consuming input failed: |\b(?:FATAL|ERROR|PANIC):\s+"
)


def translate(error: Exception, settings: Settings) -> errors.Rejection:
    """Return the error of this package for an error of psycopg or SQLAlchemy."""
    original = getattr(error, "orig", None) or error
    diagnosis = original.diag if isinstance(original, psycopg.Error) else None
    text = (diagnosis.message_primary if diagnosis is not None else None) or str(original)
    hint = diagnosis.message_hint if diagnosis is not None else None
    return rejection(settings, text, state=sqlstate(error), hint=hint)


def rejection(settings: Endpoint, text: str, *, state: str | None, hint: str | None) -> errors.Rejection:
    """Return the error of this package for a message of a server, over a connection or the Data API.

    Args:
        settings: the database.
        text: the message.
        state, hint: the SQLSTATE and the hint of the server; None: it sent none.
    """
    # Further lines repeat the message for each host, or ask whether the server runs.
    reason = one_line(_LIBPQ_PREFIX.sub("", text.strip().partition("\n")[0]))
    meaning = _meaning(state, text)
    if meaning.kind is errors.NotPrivileged:
        hint = _grant(reason, settings) or hint
    return meaning.kind(
        settings,
        reason,
        sqlstate=state,
        hint=one_line(hint) if hint and meaning.keeps_hint else None,
        words=meaning.words,
        step=meaning.step,
    )


def one_line(text: str) -> str:
    """Put a text on one line, without a full stop at its end."""
    return " ".join(text.split()).rstrip(".")


def _meaning(state: str | None, text: str) -> Meaning:
    if _NO_EXTENSION.search(text) and state in {"0A000", "58P01", None}:
        return _EXTENSION_UNAVAILABLE
    if state is not None and state in _BY_STATE and state != "28000":
        return _BY_STATE[state]
    if state is None or state[:2] in {"08", "28"}:
        flat = " ".join(text.split())
        for words, meaning in _BY_WORDS:
            if re.search(words, flat):
                return meaning
    return _UNRECOGNISED if state is None else _BY_STATE.get(state, _UNRECOGNISED)


def _grant(reason: str, settings: Endpoint) -> str | None:
    """Return the statement for an administrator, if the message of the server names the missing privilege."""
    from dbschema.ddl.base import quote  # noqa: PLC0415  imports SQLAlchemy; needed for an error only

    user = "CURRENT_USER" if settings.user is None else quote(settings.user)
    if extension := _MAY_NOT_EXTEND.search(reason):
        return f"Have an administrator run in this database: CREATE EXTENSION {quote(extension[1])}"
    if place := _MAY_NOT_CREATE.search(reason):
        return f"Have an administrator run: GRANT CREATE ON {place[1].upper()} {quote(place[2])} TO {user}"
    return None


@contextmanager
def translating(settings: Settings) -> Iterator[None]:
    """Translate errors of psycopg and SQLAlchemy that leave the block.

    Raises:
        Rejection: the translated error; its cause is the original error.
    """
    try:
        yield
    except Exception as error:
        if is_of_the_database(error):
            raise translate(error, settings) from error
        raise


def is_of_the_database(error: BaseException) -> bool:
    """Return whether an error is from psycopg, or wraps one in SQLAlchemy's. It does not import SQLAlchemy."""
    alchemy = sys.modules.get("sqlalchemy.exc")
    return isinstance(error, psycopg.Error) or (alchemy is not None and isinstance(error, alchemy.DBAPIError))


def behind(error: Exception) -> Exception:
    """Return the error of the database that caused a `PendingRollbackError` of SQLAlchemy; else the error itself.

    Example: Alembic's `autocommit_block` commits at its end, even after a failed statement.
    """
    alchemy = sys.modules.get("sqlalchemy.exc")
    before: BaseException | None = error
    while alchemy is not None and isinstance(before, alchemy.PendingRollbackError):
        before = before.__context__
    return before if isinstance(before, Exception) and is_of_the_database(before) else error


def sqlstate(error: BaseException) -> str | None:
    """Return the SQLSTATE of an error of psycopg or SQLAlchemy; None if it has none."""
    original = getattr(error, "orig", None) or error
    return original.sqlstate if isinstance(original, psycopg.Error) else None
