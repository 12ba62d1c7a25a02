"""A database behind the RDS Data API: SQL by HTTPS calls, for places from which no port of the cluster can be reached.

There is no session: a call stands alone, or belongs to a transaction that has an identifier. What a session keeps (a lock, a
setting) ends with its transaction. A call whose answer is lost may have been carried out, so no call is repeated here but
those that a paused database has refused.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from dbschema._retry import Pauses, Retry
from dbschema.connect import aws, errors
from dbschema.connect.translation import refusal
from dbschema.errors import ConnectError

if TYPE_CHECKING:
    from collections.abc import Callable

log: Final = logging.getLogger("dbschema.connect")

LONGEST_STATEMENT: Final = 65_536
"""Characters; the API takes no longer one."""

OVER_A_CONNECTION: Final = (
    "run the command where the cluster's port can be reached, with DB_SECRET_ARN and DB_HOST"
)
"""The way out where the API is not enough."""

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
    """One database behind the API. It holds no secret: the API reads the one that is named, at each call.

    Args:
        cluster: the ARN of the cluster.
        secret: the ARN of the secret with user name and password.
        database: the name of the database.
        source: the variable that names it.
        wake_seconds: how long to wait for a paused database.
    """

    cluster: str
    secret: str = field(repr=False)
    database: str
    source: str = "AURORA_CLUSTER_ARN"
    wake_seconds: float = 60.0

    user: None = None
    """The user stands in the secret, which is not read here."""

    @property
    def host(self) -> str:
        """The cluster, by its name."""
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
        """Begin a transaction; a paused database is waited for."""
        answer = self._call("begin_transaction", database=self.database)
        return Transaction(self, answer["transactionId"])

    def execute(self, statement: str, transaction: str | None = None) -> list[tuple[Any, ...]]:
        """Execute one statement: in a transaction, or by itself; the rows of its answer.

        Values are bool, int, float, str, lists of them, or None; of other types PostgreSQL has to make text.

        Raises:
            DataApiUnsupported: the statement is too long; nothing was sent.
            Refusal: what PostgreSQL says, as on a connection.
            Unanswered: it is not known whether it was executed.
            AwsRefused: the API cannot be used like this.
        """
        if len(statement) > LONGEST_STATEMENT:
            raise errors.DataApiUnsupported(
                f"A statement for {self.place} has {len(statement):,} characters, "
                f"and the RDS Data API takes no more than {LONGEST_STATEMENT:,}",
                f"Divide it, or {OVER_A_CONNECTION}",
            )
        named = {} if transaction is None else {"transactionId": transaction}
        answer = self._call("execute_statement", sql=statement, database=self.database, **named)
        return [tuple(map(_value, record)) for record in answer.get("records", ())]

    def _call(self, operation: str, **arguments: str) -> dict[str, Any]:
        return self._awake(
            lambda: aws.call_data_api(
                operation, self.cluster, self.source, secretArn=self.secret, **arguments
            )
        )

    def _awake(self, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What `call` gives when the database has woken; one that is paused has executed nothing."""
        retry = Retry(_PAUSES, self.wake_seconds)
        while True:
            try:
                return call()
            except errors.AwsRefused as error:
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
    """A transaction that was begun; the API rolls it back when no call names it for three minutes."""

    api: DataApi
    name: str

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """As `DataApi.execute`, in this transaction."""
        return self.api.execute(statement, self.name)

    def commit(self) -> None:
        """Commit.

        Raises:
            Unanswered: it may be committed, or not.
        """
        self._end("commit_transaction")

    def rollback(self) -> None:
        """Roll back, as well as that can be done: where it cannot, the API does it when the transaction has been idle."""
        with suppress(ConnectError):
            self._end("rollback_transaction")

    def _end(self, operation: str) -> None:
        api = self.api
        try:
            aws.call_data_api(
                operation, api.cluster, api.source, secretArn=api.secret, transactionId=self.name
            )
        except errors.AwsRefused as error:
            raise _meaning(error, api) from error


def _meaning(error: errors.AwsRefused, api: DataApi) -> ConnectError:
    """The error of ours for what the API answers: PostgreSQL's own words where it passes them on."""
    text = error.reason.removeprefix(f"{error.aws_code}: ")
    state = _STATE.search(text)
    if error.aws_code == "BadRequestException" and state is None and _NO_TRANSACTION.search(text):
        # Of some versions of the API: it has forgotten a transaction, or has ended it. Nothing was refused.
        return errors.Unanswered(api.place, error.reason)
    if error.aws_code == "StatementTimeoutException":
        # Without a SQLSTATE: it is the API that ended the statement, and not PostgreSQL.
        return errors.Cancelled(
            api,
            f"A statement on {api.place} was ended, because the RDS Data API gives each one 45 s",
            words="{reason}",
            step=f"Divide it, or {OVER_A_CONNECTION}",
        )
    if state is not None or error.aws_code in {"DatabaseErrorException", "BadRequestException"}:
        hint = _HINT.search(text)
        return refusal(
            api, _MORE.split(text)[0], state=state[1] if state else None, hint=hint[1] if hint else None
        )
    if error.aws_code in _UNKNOWN:
        return errors.Unanswered(api.place, error.reason)
    return error


def _value(one: dict[str, Any]) -> Any:
    """A value of an answer, which comes with the name of its type."""
    if one.get("isNull"):
        return None
    (value,) = one.values()
    return [item for items in value.values() for item in items] if isinstance(value, dict) else value
