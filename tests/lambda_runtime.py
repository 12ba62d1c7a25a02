"""A stand-in for the part of AWS Lambda that runs a function: Lambda's own Runtime API over HTTP, and the real `awslambdaric`.

    function = Function(task_root, {"DATABASE_URL": url})
    answer = function.invoke({"action": "status"}, seconds=30)
    function.stop()

As in Lambda, a process serves one event at a time and is kept for the next one; when the time of an event is over it is killed
(SIGKILL), and the next event gets a new one. Two functions with the same environment are two of Lambda's at once.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).parents[1]
"""The checkout."""

_API: Final = "/2018-06-01/runtime/"
_ACCOUNT: Final = "arn:aws:lambda:eu-central-2:111122223333:function:"
_NAME: Final = "dbschema-migration"
FUNCTION_ARN: Final = _ACCOUNT + _NAME
"""As a function here learns its own from its context."""
LATE: Final = 30.0
"""How long a process may go on when its time is over, and Lambda would kill it. What the function does before that follows from
the time that it is told; a machine that stands still for a second shall not take its answer away."""
_START_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Answer:
    """What Lambda's Invoke gives back.

    Args:
        payload: what the function returned, or Lambda's object of an error (errorMessage, errorType, stackTrace).
        failed: whether it is the latter; "Unhandled" in Lambda's header X-Amz-Function-Error.
        log: what the process wrote meanwhile.
        request_id: of the invocation.
        trace: what Lambda handed over of X-Ray's trace.
    """

    payload: Any
    failed: bool
    log: str
    request_id: str
    trace: dict[str, str]

    @property
    def error(self) -> str:
        """The name of the error; empty where there is none."""
        return str(self.payload["errorType"]) if self.failed else ""

    @property
    def text(self) -> str:
        """The text of the error; empty where there is none."""
        return str(self.payload["errorMessage"]) if self.failed else ""

    @property
    def body(self) -> dict[str, Any]:
        """The answer to a plain invoke."""
        assert not self.failed, self.payload
        found: dict[str, Any] = json.loads(self.payload["body"])
        return found

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Those lines of the log that are JSON objects."""
        found = []
        for line in self.log.splitlines():
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if isinstance(value, dict):
                found.append(value)
        return found


def _trace(*, sampled: bool = True) -> dict[str, str]:
    """A trace: its id, that of the segment that Lambda itself makes, and whether it is kept."""
    root = f"1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}"
    return {"Root": root, "Parent": uuid.uuid4().hex[:16], "Sampled": str(int(sampled))}


@dataclass
class _Invocation:
    event: bytes
    seconds: float
    late: float
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    trace: dict[str, str] = field(default_factory=_trace)
    answered: threading.Event = field(default_factory=threading.Event)
    payload: Any = None
    failed: bool = False

    def answer(self, payload: Any, *, failed: bool) -> None:
        if not self.answered.is_set():
            self.payload, self.failed = payload, failed
            self.answered.set()


class _Server(ThreadingHTTPServer):
    """The Runtime API for one process."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Requests)
        self.waiting: queue.Queue[_Invocation | None] = queue.Queue()
        self.running: dict[str, _Invocation] = {}
        self.init_error: Any = None
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A process that was killed closes its connection; that is no error here."""


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = (
        -1
    )  # an answer goes out as one: in two parts, the second may wait 40 ms for a word about the first
    server: _Server

    def do_GET(self) -> None:
        if self.path != f"{_API}invocation/next":
            self._reply(404, b"")
            return
        invocation = self.server.waiting.get()
        if invocation is None:  # the process that asked was killed
            self.close_connection = True
            return
        self.server.running[invocation.request_id] = invocation
        deadline = int((time.time() + invocation.seconds) * 1000)
        self._reply(
            200,
            invocation.event,
            {
                "Content-Type": "application/json",
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": str(deadline),
                "Lambda-Runtime-Invoked-Function-Arn": FUNCTION_ARN,
                "Lambda-Runtime-Trace-Id": ";".join(
                    f"{name}={value}" for name, value in invocation.trace.items()
                ),
            },
        )

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.removeprefix(_API)
        if path == "init/error":
            self.server.init_error = json.loads(content)
        else:
            _, request_id, kind = path.split("/")
            payload = json.loads(content)
            self.server.running[request_id].answer(payload, failed=kind == "error")
        self._reply(202, b"{}")

    def _reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


class Function:
    """A function, with at most one process at a time.

    Args:
        task_root: the folder that an archive is unpacked into, or the checkout: it has `lambda_entry.py`.
        environment: the variables of the function; nothing of this process's environment is handed on but PATH and HOME.
        handler: "module.function".
        python: the interpreter; it must have `awslambdaric`.
        path: further folders that modules are found in, such as `src` of the checkout.
        options: of the interpreter, such as "-S": without what is installed there.
    """

    def __init__(
        self,
        task_root: Path,
        environment: Mapping[str, str],
        *,
        handler: str = "lambda_entry.handler",
        python: str = sys.executable,
        path: tuple[Path, ...] = (),
        options: tuple[str, ...] = (),
    ) -> None:
        self.environment = dict(environment)
        self._task_root, self._handler, self._path = task_root, handler, path
        self._command = [python, *options, "-m", "awslambdaric", handler]
        self._process: subprocess.Popen[bytes] | None = None
        self._server: _Server | None = None
        descriptor, log = tempfile.mkstemp(prefix="dbschema-lambda-", suffix=".log")
        os.close(descriptor)
        self._log = Path(log)
        self.starts = 0

    def invoke(self, event: object, *, seconds: float = 60.0, late: float = LATE) -> Answer:
        """Call the function and wait for its answer, at most until it is killed; as `begin`."""
        return self.begin(event, seconds=seconds, late=late).result()

    def begin(
        self, event: object, *, seconds: float = 60.0, late: float = LATE, sampled: bool = True
    ) -> Pending:
        """Call the function, and do something else meanwhile.

        Args:
            event: the event; text is sent as it is, anything else as JSON.
            seconds: the timeout of the function; counted from when its process has asked for the event, as an
                init of its own does not count in Lambda.
            late: how long after that it is killed; 0: as Lambda does it.
            sampled: whether X-Ray keeps the trace of this call.
        """
        self._start()
        assert self._process is not None
        assert self._server is not None
        content = event.encode() if isinstance(event, str) else json.dumps(event).encode()
        invocation = _Invocation(content, seconds, late, trace=_trace(sampled=sampled))
        offset = self._log.stat().st_size
        pending = Pending(self, invocation, self._process, self._server, self._log, offset)
        self._server.waiting.put(invocation)
        return pending

    def kill(self) -> None:
        """End the process at once (SIGKILL), as Lambda does when the time is over; the next event gets a new one."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._server is not None:
            self._server.waiting.put(None)
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def stop(self) -> None:
        """End the process and forget its log."""
        self.kill()
        self._log.unlink(missing_ok=True)

    @property
    def everything(self) -> str:
        """All that its processes have written."""
        return self._log.read_text("utf-8", errors="replace")

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self.kill()
        self.starts += 1
        self._server = _Server()
        variables = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": os.environ.get("HOME", ""),
            "TZ": ":UTC",
            "LANG": "en_US.UTF-8",
            "AWS_REGION": "eu-central-2",
            "AWS_DEFAULT_REGION": "eu-central-2",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "AWS_LAMBDA_FUNCTION_NAME": _NAME,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_port}",
            "LAMBDA_TASK_ROOT": str(self._task_root),
            "_HANDLER": self._handler,
            "PYTHONPATH": os.pathsep.join(map(str, (self._task_root, *self._path))),
            **self.environment,
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._task_root,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )


@dataclass
class Pending:
    """An invocation under way."""

    function: Function
    invocation: _Invocation
    process: subprocess.Popen[bytes]
    server: _Server
    log_path: Path
    offset: int
    answer: Answer | None = None

    @property
    def pid(self) -> int:
        """Of the process."""
        return self.process.pid

    @property
    def log(self) -> str:
        """What was written so far."""
        return self.log_path.read_bytes()[self.offset :].decode("utf-8", "replace")

    def result(self) -> Answer:
        """Wait for the answer; a process that is gone, or too slow, is told as Lambda tells it."""
        if self.answer is None:
            self._wait()
            invocation = self.invocation
            self.answer = Answer(
                invocation.payload, invocation.failed, self.log, invocation.request_id, invocation.trace
            )
        return self.answer

    def _wait(self) -> None:
        invocation, taken = self.invocation, None
        begun = time.monotonic()
        while not invocation.answered.wait(0.02):
            now = time.monotonic()
            if self.server.init_error is not None:
                self.process.wait()
                invocation.answer(self.server.init_error, failed=True)
            elif self.process.poll() is not None:
                code = self.process.returncode
                reason = f"signal: {-code}" if code < 0 else f"exit status {code}"
                self._fail(
                    "Runtime.ExitError",
                    f"RequestId: {invocation.request_id} Error: Runtime exited with error: {reason}",
                )
            elif taken is None:
                if invocation.request_id in self.server.running:
                    taken = now
                elif now - begun > _START_SECONDS:
                    self.function.kill()
                    raise AssertionError(f"The process did not ask for an event:\n{self.log}")
            elif now - taken > invocation.seconds + invocation.late:
                self.function.kill()
                self._fail(
                    "Sandbox.Timedout",
                    f"RequestId: {invocation.request_id} Error: Task timed out after {invocation.seconds:.2f} seconds",
                )

    def _fail(self, kind: str, message: str) -> None:
        self.invocation.answer({"errorType": kind, "errorMessage": message}, failed=True)
