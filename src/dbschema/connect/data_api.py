"""Execute SQL through the RDS Data API: HTTPS calls, for networks without access to the port of the cluster.

The API has no sessions. A call is independent, or belongs to a transaction with an identifier; locks and settings end
with the transaction. A call without a response may have been executed. Only a call that a paused database rejected is
repeated.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from dbschema._retry import Pauses, Retry
from dbschema.connect import aws, errors
from dbschema.connect.translation import rejection
from dbschema.errors import ConnectError

if TYPE_CHECKING:
    from collections.abc import Callable

log: Final = logging.getLogger("dbschema.connect")

LONGEST_STATEMENT: Final = 65_536
"""The limit of the API, in characters."""

OVER_A_CONNECTION: Final = (
    "run the command where the cluster's port can be reached, with DB_SECRET_ARN and DB_HOST"
)
"""The next step of an error for something that the API does not support."""

_PAUSES: Final = Pauses(1.0, 5.0)
_STATE: Final = re.compile(r";?\s*SQLState: ([0-9A-Z]{5})\b")
_HINT: Final = re.compile(r"\bHint: (.+?)\.?\s*(?:; \w+: |$)")
_MORE: Final = re.compile(r"\s*(?:\b(?:Hint|Detail|Where): |; (?:Position|SQLState): )")
_NO_TRANSACTION: Final = re.compile(r"\btransaction\b.*\bis not found\b", re.IGNORECASE)
_CLUSTER: Final = re.compile(r"arn:[\w-]+:rds:[\w-]*:\w*:cluster:(.+)")
_UNKNOWN: Final = frozenset(
    {None, "InternalServerErrorException", "ServiceUnavailableError", "DatabaseUnavailableException", "TransactionNotFoundException"}
)  # fmt: skip


@dataclass(frozen=True)
class DataApi:
    """A database behind the API.

    It names a secret, and does not contain it: the API reads the secret at each call.

    Args:
        cluster: the ARN of the cluster.
        secret: the ARN of the secret with user name and password.
        database: the name of the database.
        source: the variable that names the cluster.
        wake_seconds: how long to wait for a paused database, in seconds.
    """

    cluster: str
    secret: str = field(repr=False)
    database: str
    source: str = "AURORA_CLUSTER_ARN"
    wake_seconds: float = 60.0

    user: None = None
    """The secret contains the user; it is not read here."""

    @property
    def host(self) -> str:
        """The name of the cluster."""
        named = _CLUSTER.fullmatch(self.cluster)
        return named[1] if named else self.cluster

    @property
    def server(self) -> str:
        """The cluster in words."""
        return f"the Data API of {self.host}"

    @property
    def place(self) -> str:
        """The database in words, such as 'app at the Data API of shop'."""
        return f"{self.database} at {self.server}"

    def begin(self) -> Transaction:
        """Begin a transaction; wait for a paused database."""
        response = self._call("begin_transaction", database=self.database)
        return Transaction(self, response["transactionId"])

    def execute(self, statement: str, transaction: str | None = None) -> list[tuple[Any, ...]]:
        """Execute a statement, in a transaction or on its own, and return its rows.

        A value is a bool, int, float or str, a list of them, or None. The statement must cast other types to text.

        Raises:
            DataApiUnsupported: the statement is too long; nothing was sent.
            Rejection: PostgreSQL rejects the statement, as on a connection.
            Unanswered: it is unknown whether the statement was executed.
            AwsDenied: the API rejects the call.
        """
        if len(statement) > LONGEST_STATEMENT:
            raise errors.DataApiUnsupported(
                f"A statement for {self.place} has {len(statement):,} characters, "
                f"and the RDS Data API accepts at most {LONGEST_STATEMENT:,}",
                f"Split it, or {OVER_A_CONNECTION}",
            )
        named = {} if transaction is None else {"transactionId": transaction}
        response = self._call("execute_statement", sql=statement, database=self.database, **named)
        return [tuple(map(_value, record)) for record in response.get("records", ())]

    def _call(self, operation: str, **arguments: str) -> dict[str, Any]:
        return self._awake(
            lambda: aws.call_data_api(
                operation, self.cluster, self.source, secretArn=self.secret, **arguments
            )
        )

    def _awake(self, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Repeat `call` until the database has resumed; a paused database executes nothing."""
        retry = Retry(_PAUSES, self.wake_seconds)
        while True:
            try:
                return call()
            except errors.AwsDenied as error:
                left = retry.left
                if error.aws_code != "DatabaseResumingException":
                    raise _meaning(error, self) from error
                if left <= 0:
                    raise errors.NotReady(self, "the database is paused, and resumes") from error
            level = logging.WARNING if retry.attempt == 1 else logging.INFO
            log.log(level, "%s resumes (attempt %d, %.0f s left)", self.place, retry.attempt, left)
            retry.pause()


@dataclass(frozen=True)
class Transaction:
    """An open transaction; the API rolls it back after three minutes without a call."""

    api: DataApi
    name: str

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Execute a statement in this transaction. See `DataApi.execute`."""
        return self.api.execute(statement, self.name)

    def commit(self) -> None:
        """Commit.

        Raises:
            Unanswered: it is unknown whether the transaction was committed.
        """
        self._end("commit_transaction")

    def rollback(self) -> None:
        """Try to roll back; if the call fails, the API rolls the idle transaction back."""
        with suppress(ConnectError):
            self._end("rollback_transaction")

    def _end(self, operation: str) -> None:
        api = self.api
        try:
            aws.call_data_api(
                operation, api.cluster, api.source, secretArn=api.secret, transactionId=self.name
            )
        except errors.AwsDenied as error:
            raise _meaning(error, api) from error


def _meaning(error: errors.AwsDenied, api: DataApi) -> ConnectError:
    """Translate an error of the API; use the message of PostgreSQL if the API contains it."""
    text = error.reason.removeprefix(f"{error.aws_code}: ")
    state = _STATE.search(text)
    if error.aws_code == "BadRequestException" and state is None and _NO_TRANSACTION.search(text):
        # Some versions of the API: the transaction is unknown, or has ended. No statement was rejected.
        return errors.Unanswered(api.place, error.reason)
    if error.aws_code == "StatementTimeoutException":
        # There is no SQLSTATE: the API ended the statement, and not PostgreSQL.
        return errors.Cancelled(
            api,
            f"A statement on {api.place} was cancelled, because the RDS Data API limits each statement to 45 s",
            words="{reason}",
            step=f"Split it, or {OVER_A_CONNECTION}",
        )
    if state is not None or error.aws_code in {"DatabaseErrorException", "BadRequestException"}:
        hint = _HINT.search(text)
        return rejection(
            api, _MORE.split(text)[0], state=state[1] if state else None, hint=hint[1] if hint else None
        )
    if error.aws_code in _UNKNOWN:
        return errors.Unanswered(api.place, error.reason)
    return error


def _value(typed: dict[str, Any]) -> Any:
    """Return the value of a field, which has the name of its type as key."""
    if typed.get("isNull"):
        return None
    (value,) = typed.values()
    return [item for items in value.values() for item in items] if isinstance(value, dict) else value
