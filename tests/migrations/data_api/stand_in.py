"""A stand-in for the RDS Data API over HTTP that executes on a real PostgreSQL, as strict as the original where it counts.

One statement a call, by the extended protocol; a transaction is a connection that is kept for its identifier; values of types
that the API cannot carry are refused; so are statements and answers that are too long. Faults are counted down by the tests.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

LONGEST_STATEMENT = 65_536
LONGEST_ANSWER = 1024 * 1024
CARRIED = {16, 20, 21, 23, 25, 700, 701, 1043, 1082, 1114, 1184, 1700, 2950, 114, 3802, 1009, 1015}
"""Type numbers of bool, integers, text, floats, varchar, dates and times, numeric, uuid, JSON, and arrays of texts."""


class Refused(Exception):
    """An error of the API: its code, its HTTP status and its message."""

    def __init__(self, code: str, message: str = "", status: int = 400) -> None:
        self.code, self.message, self.status = code, message, status


class DataApiStandIn:
    """The service, for one cluster whose databases are those of the server at `url`.

    Args:
        url: of the server, with the user that the secret names; the database is that of each request.
        cluster, secret: the ARNs that it knows.
        statement_seconds: after which a statement is ended; the original allows 45.
    """

    def __init__(self, url: str, cluster: str, secret: str, *, statement_seconds: float = 45.0) -> None:
        self._url, self.cluster, self.secret = url, cluster, secret
        self.password: str | None = None
        """What the secret holds, where that is not the password of `url`."""
        self.statement_seconds = statement_seconds
        self.resuming = 0
        """How many calls find the database paused."""
        self.lose_answer_to: list[str] = []
        """Operations whose next call is carried out, and its answer lost."""
        self.refuse: dict[str, Refused] = {}
        """What every call of an operation is answered with."""
        self.forget_at: list[str] = []
        """Operations whose next call finds its transaction ended, as after three minutes without a call."""
        self.not_found = "TransactionNotFoundException"
        """With which code that is told; older versions have "BadRequestException"."""
        self.calls: list[str] = []
        self.statements: list[str] = []
        self._transactions: dict[str, psycopg.Connection] = {}
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True

    @property
    def endpoint(self) -> str:
        """For AWS_ENDPOINT_URL_RDS_DATA."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def open_transactions(self) -> int:
        """How many transactions were begun and not ended."""
        return len(self._transactions)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        for transaction in list(self._transactions):
            self.end(transaction)

    def end(self, transaction: str) -> None:
        """Roll a transaction back, as the API does with one that was idle for three minutes."""
        with self._lock:
            connection = self._transactions.pop(transaction, None)
        if connection is not None:
            connection.close()

    def answer(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """What the API answers to a call."""
        with self._lock:
            self.calls.append(operation)
            if self.resuming > 0:
                self.resuming -= 1
                raise Refused("DatabaseResumingException", "The database is resuming after being auto-paused")
        if operation in self.refuse:
            raise self.refuse[operation]
        if request.get("resourceArn") != self.cluster:
            raise Refused("BadRequestException", "HttpEndpoint is not enabled for resource")
        if request.get("secretArn") != self.secret:
            raise Refused("SecretsErrorException", "Secrets Manager can't find the specified secret.")
        if operation in self.forget_at and "transactionId" in request:
            self.forget_at.remove(operation)
            self.end(request["transactionId"])
        if operation == "BeginTransaction":
            return self._begin(request)
        if operation == "Execute":
            return self._execute(request)
        return self._finish(operation, request)

    def _begin(self, request: dict[str, Any]) -> dict[str, Any]:
        connection = self._connect(request, autocommit=False)
        name = str(uuid.uuid4())
        with self._lock:
            self._transactions[name] = connection
        return {"transactionId": name}

    def _finish(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        connection = self._transaction(request)
        try:
            if operation == "CommitTransaction":
                connection.commit()
            else:
                connection.rollback()
        except psycopg.Error as error:
            raise _translated(error) from error
        finally:
            self.end(request["transactionId"])
        return {"transactionStatus": f"Transaction {operation}ted"}

    def _execute(self, request: dict[str, Any]) -> dict[str, Any]:
        sql = request["sql"]
        if len(sql) > LONGEST_STATEMENT:
            raise Refused("ValidationException", f"'sql' must have length less than {LONGEST_STATEMENT}")
        with self._lock:
            self.statements.append(sql)
        if "transactionId" in request:
            return self._run(self._transaction(request), sql)
        with self._connect(request, autocommit=True) as connection:
            return self._run(connection, sql)

    def _run(self, connection: psycopg.Connection, sql: str) -> dict[str, Any]:
        began = time.monotonic()
        try:
            # Prepared, so by the extended protocol: it takes one statement at a time, as the API does.
            cursor = connection.execute(sql, prepare=True)
        except psycopg.errors.QueryCanceled as error:
            # A limit that its caller has set is PostgreSQL's to tell; at the one of the API, the API does.
            if time.monotonic() - began < self.statement_seconds:
                raise _translated(error) from error
            raise Refused("StatementTimeoutException", "Request timed out") from error
        except psycopg.Error as error:
            raise _translated(error) from error
        if cursor.description is None:
            return {"numberOfRecordsUpdated": max(cursor.rowcount, 0), "generatedFields": []}
        if strange := [column.name for column in cursor.description if column.type_code not in CARRIED]:
            raise Refused(
                "UnsupportedResultException", f"The result contains the unsupported data type of {strange}"
            )
        records = [[_field(value) for value in row] for row in cursor]
        if len(json.dumps(records)) > LONGEST_ANSWER:
            raise Refused(
                "BadRequestException", "Database returned more than the allowed response size limit"
            )
        return {"numberOfRecordsUpdated": 0, "records": records}

    def _transaction(self, request: dict[str, Any]) -> psycopg.Connection:
        name = request["transactionId"]
        connection = self._transactions.get(name)
        if connection is None or connection.closed:
            status = 404 if self.not_found == "TransactionNotFoundException" else 400
            raise Refused(self.not_found, f"Transaction {name} Is Not Found", status)
        return connection

    def _connect(self, request: dict[str, Any], *, autocommit: bool) -> psycopg.Connection:
        given = {} if self.password is None else {"password": self.password}
        try:
            return psycopg.connect(
                self._url,
                dbname=request.get("database"),
                application_name="RDS Data API",
                options=f"-c statement_timeout={self.statement_seconds}s",
                autocommit=autocommit,
                **given,
            )
        except psycopg.OperationalError as error:
            raise Refused(
                "DatabaseErrorException", str(error).splitlines()[0].partition("failed: ")[2]
            ) from error


def _field(value: Any) -> dict[str, Any]:
    if value is None:
        return {"isNull": True}
    if isinstance(value, bool):
        return {"booleanValue": value}
    if isinstance(value, int):
        return {"longValue": value}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"stringValues": value}}
    return {"stringValue": str(value)}


def _translated(error: psycopg.Error) -> Refused:
    primary = error.diag.message_primary or str(error)
    hint = f"\n  Hint: {error.diag.message_hint}" if error.diag.message_hint else ""
    return Refused("DatabaseErrorException", f"ERROR: {primary}{hint}; SQLState: {error.sqlstate}")


def _handler(api: DataApiStandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = (
            -1
        )  # an answer goes out as one: in two parts, the second would wait 40 ms for a word about the first

        def do_POST(self) -> None:
            operation = self.path.strip("/")
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                answer, status, code = api.answer(operation, request), 200, ""
            except Refused as error:
                answer, status, code = {"message": error.message}, error.status, error.code
            if operation in api.lose_answer_to:
                api.lose_answer_to.remove(operation)
                self.close_connection = True
                return
            body = json.dumps(answer).encode()
            self.send_response(status)
            if code:
                self.send_header("x-amzn-ErrorType", code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler
