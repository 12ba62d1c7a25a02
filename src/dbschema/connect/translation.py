"""Errors of psycopg and SQLAlchemy, made into errors of our own in one place.

While a connection is made, libpq gives words and no SQLSTATE; the words are those of its sources and of an English
server. What is not recognised keeps the server's own sentence, so that nothing is lost on a server in another language.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import psycopg

from dbschema.connect import errors
from dbschema.connect.failure import sqlstate

if TYPE_CHECKING:
    from dbschema.connect.data_api import DataApi
    from dbschema.connect.settings import Settings

_BY_STATE: Final[dict[str, type[errors.Refusal]]] = {
    "28P01": errors.WrongPassword,
    "28000": errors.UnknownRole,
    "3D000": errors.UnknownDatabase,
    "53300": errors.TooManyConnections,
    "57P03": errors.NotReady,
    "57P01": errors.ConnectionLost,
    "57P02": errors.ConnectionLost,
    "57P05": errors.ConnectionLost,
    "25006": errors.ReadOnly,
    "55P03": errors.LockNotFree,
    "40P01": errors.LockNotFree,
    "57014": errors.Cancelled,
    "53100": errors.NoRoom,
    "53200": errors.NoRoom,
    "42501": errors.NotPrivileged,
    "42P01": errors.Incomplete,
    "42703": errors.Incomplete,
    "42883": errors.Incomplete,
    "42704": errors.Incomplete,
    "3F000": errors.Incomplete,
}

# The first that is found in the text; the order matters.
_BY_WORDS: Final[tuple[tuple[str, type[errors.Refusal]], ...]] = (
    (r"no pg_hba\.conf entry .*(no encryption|SSL off)|SSL connection is required|connection is insecure", errors.TlsDemanded),
    (r"no pg_hba\.conf entry|pg_hba\.conf rejects", errors.NotAdmitted),
    (r"server does not support SSL", errors.NoTls),
    (r"invalid response to SSL|expected authentication request|unsupported frontend protocol", errors.NotPostgres),
    (r"certificate|SSL error|SSL SYSCALL|server common name|private key", errors.CertificateRefused),
    (r"authentication failed|no password supplied|SCRAM", errors.WrongPassword),
    (r"role \".*\" (does not exist|is not permitted to log in)", errors.UnknownRole),
    (r"database \".*\" does not exist", errors.UnknownDatabase),
    (r"failed to resolve host|could not translate host name|[Nn]ame or service not known", errors.UnknownHost),
    (r"too many (clients|connections)|remaining connection slots", errors.TooManyConnections),
    (r"(starting up|shutting down|in recovery mode|not accepting connections|not yet accepting)", errors.NotReady),
    (r"timeout expired|timed out", errors.TimedOut),
    (r"Connection refused|No such file or directory|No route to host|Network is unreachable|Permission denied", errors.NothingListens),
    (r"closed the connection unexpectedly|connection reset|connection is closed|terminating connection|broken pipe|the connection is lost", errors.ConnectionLost),
)  # fmt: skip
_NO_EXTENSION: Final = re.compile(r'extension "[^"]+" is not available|extension control file', re.IGNORECASE)
_MAY_NOT_EXTEND: Final = re.compile(r'permission denied to create extension "([^"]+)"')
_MAY_NOT_CREATE: Final = re.compile(r"permission denied for (schema|database) (\S+)")
_LIBPQ_PREFIX: Final = re.compile(
    r"^connection (?:failed|is bad): |connection to server (?:at|on socket) .*? failed: |^consuming input failed: |\b(?:FATAL|ERROR|PANIC):\s+"
)


def translate(error: Exception, settings: Settings) -> errors.Refusal:
    """The error of ours that tells what `error`, of psycopg or SQLAlchemy, means for the database of `settings`."""
    original = getattr(error, "orig", None) or error
    diagnosis = original.diag if isinstance(original, psycopg.Error) else None
    text = (diagnosis.message_primary if diagnosis is not None else None) or str(original)
    hint = diagnosis.message_hint if diagnosis is not None else None
    return refusal(settings, text, state=sqlstate(error), hint=hint)


def refusal(
    settings: Settings | DataApi, text: str, *, state: str | None, hint: str | None
) -> errors.Refusal:
    """The error of ours for what a server says, however its words came here.

    Args:
        settings: the database.
        text: the message.
        state, hint: the server's code and its hint, where it gave them.
    """
    # The lines after the first repeat it for each host, or ask whether the server runs.
    reason = one_line(_LIBPQ_PREFIX.sub("", text.strip().partition("\n")[0]))
    kind = _kind(state, text)
    if kind is errors.NotPrivileged:
        hint = _grant(reason, settings) or hint
    return kind(settings, reason, sqlstate=state, hint=one_line(hint) if hint and _keeps_hint(kind) else None)


def one_line(text: str) -> str:
    """`text` on one line, without a full stop at its end."""
    return " ".join(text.split()).rstrip(".")


def _kind(state: str | None, text: str) -> type[errors.Refusal]:
    if _NO_EXTENSION.search(text) and state in {"0A000", "58P01", None}:
        return errors.ExtensionUnavailable
    if state is not None and state in _BY_STATE and state != "28000":
        return _BY_STATE[state]
    if state is None or state[:2] in {"08", "28"}:
        flat = " ".join(text.split())
        for words, kind in _BY_WORDS:
            if re.search(words, flat):
                return kind
    return errors.Refusal if state is None else _BY_STATE.get(state, errors.Refusal)


def _keeps_hint(kind: type[errors.Refusal]) -> bool:
    return kind in {errors.NotPrivileged, errors.NoRoom, errors.Refusal}


def _grant(reason: str, settings: Settings | DataApi) -> str | None:
    """The statement that an administrator runs, where the server's sentence tells which privilege is missing."""
    from dbschema.ddl.objects import quote  # noqa: PLC0415  imports SQLAlchemy, for an error only

    user = "CURRENT_USER" if settings.user is None else quote(settings.user)
    if extension := _MAY_NOT_EXTEND.search(reason):
        return f"Have an administrator run in this database: CREATE EXTENSION {quote(extension[1])}"
    if place := _MAY_NOT_CREATE.search(reason):
        return f"Have an administrator run: GRANT CREATE ON {place[1].upper()} {quote(place[2])} TO {user}"
    return None
