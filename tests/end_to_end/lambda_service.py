"""Stand-in for AWS Lambda: its Invoke API over HTTP in front, the Runtime API behind, and `awslambdaric` in between.

Functions are processes of the real runtime client on an unpacked archive. One process serves one call at a time and is
kept for the next; two calls at once get two processes; one whose time is over is killed.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from pathlib import Path

REGION = "eu-central-2"
ACCOUNT = "111122223333"
LONGEST = 60.0
"""Seconds to wait for what comes at once or never."""


def arn_of(function: str) -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}"


@dataclass(frozen=True)
class Function:
    """What Lambda knows of a function.

    Args:
        name: the last part of its ARN.
        handler: such as "lambda_entry.handler".
        task_root: the unpacked archive.
        environment: its variables.
        timeout: seconds of one call.
    """

    name: str
    handler: str
    task_root: Path
    environment: dict[str, str]
    timeout: float = 60.0


@dataclass
class Result:
    """What came of one call: the text of an answer, and whether it is an error's."""

    payload: bytes
    error: bool = False


@dataclass
class Call:
    """One call, on its way through a process."""

    payload: bytes
    timeout: float
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    deadline: float = 0.0
    delivered: threading.Event = field(default_factory=threading.Event)
    result: queue.SimpleQueue[Result] = field(default_factory=queue.SimpleQueue)

    def deliver(self) -> None:
        """Begin to count: what a process needs to start is not taken from the time of its first call."""
        self.deadline = time.time() + self.timeout
        self.delivered.set()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Print nothing."""

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    """A server on a port of its own, in threads."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


class Sandbox:
    """One process of the runtime client, with a Runtime API of its own, as each micro machine of Lambda has it."""

    def __init__(
        self, function: Function, python: str, runtime: Path, shared: dict[str, str], log: Path
    ) -> None:
        self.function, self.log = function, log
        self.calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self.current: Call | None = None
        self.served = 0
        self._api = serve(self._handler())
        environment = {
            "PATH": os.environ["PATH"],
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PYTHONPATH": f"{function.task_root}{os.pathsep}{runtime}",
            "LAMBDA_TASK_ROOT": str(function.task_root),
            "LAMBDA_RUNTIME_DIR": str(runtime),
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._api.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "_HANDLER": function.handler,
            **shared,
            **function.environment,
        }
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                # Without site-packages: a function has its archive and the runtime, and nothing else.
                [python, "-S", "-m", "awslambdaric", function.handler],
                cwd=function.task_root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        threading.Thread(target=self._watch, daemon=True).start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        sandbox = self

        class Api(_Handler):
            def do_GET(self) -> None:
                call = sandbox.calls.get()
                if call is None:
                    self.close_connection = True
                    return
                call.deliver()
                self.answer(
                    200,
                    call.payload,
                    Content_Type="application/json",
                    Lambda_Runtime_Aws_Request_Id=call.id,
                    Lambda_Runtime_Deadline_Ms=str(int(call.deadline * 1000)),
                    Lambda_Runtime_Invoked_Function_Arn=arn_of(sandbox.function.name),
                    Lambda_Runtime_Trace_Id="Root=1-65a5a5a5-0123456789abcdef01234567;Sampled=0",
                )

            def do_POST(self) -> None:
                body = self.body()
                self.answer(202, b'{"status":"OK"}')
                sandbox.finish(Result(body, error=not self.path.endswith("/response")))

        return Api

    def _watch(self) -> None:
        code = self.process.wait()
        reason = f"Runtime exited with error: {'signal' if code < 0 else 'exit status'} {abs(code)}"
        self.finish(Result(_error("Runtime.ExitError", f"RequestId: {self.id} Error: {reason}"), error=True))

    @property
    def id(self) -> str:
        """The id of the call that is under way."""
        return self.current.id if self.current else "none"

    def finish(self, result: Result) -> None:
        """Give a call its result; one that came too late is nobody's."""
        call, self.current = self.current, None
        if call is not None:
            call.result.put(result)

    def run(self, call: Call) -> Result:
        """Let the process serve one call, until it answers, dies, or its time is over."""
        self.current = call
        self.calls.put(call)
        while not call.delivered.wait(0.05) and self.process.poll() is None:
            pass
        if not call.delivered.is_set():
            return call.result.get(timeout=LONGEST)  # it died before it asked for a call
        try:
            result = call.result.get(timeout=max(0.0, call.deadline - time.time()))
        except queue.Empty:
            self.current = None
            self.kill()
            seconds = f"{self.function.timeout:.2f}"
            return Result(
                _error(
                    "Sandbox.Timedout", f"RequestId: {call.id} Error: Task timed out after {seconds} seconds"
                ),
                error=True,
            )
        self.served += 1
        return result

    def kill(self) -> None:
        """As Lambda ends a process: at once."""
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.calls.put(None)
        self._api.shutdown()
        self._api.server_close()


def _error(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


class LambdaService:
    """The service: functions, their processes, and the API that the AWS SDK speaks to.

    Args:
        python: the interpreter of the functions.
        runtime: what Lambda brings beside the archive.
        environment: variables of every function, such as credentials.
        logs: the folder for what functions print.
    """

    def __init__(self, python: str, runtime: Path, environment: dict[str, str], logs: Path) -> None:
        self._python, self.runtime = python, runtime
        self._environment, self._logs = environment, logs
        self._functions: dict[str, Function] = {}
        self._lock = threading.Lock()
        self._idle: list[Sandbox] = []
        self.sandboxes: list[Sandbox] = []
        self.invocations: list[str] = []
        self._drops: queue.SimpleQueue[threading.Event] = queue.SimpleQueue()
        self.other: dict[str, Any] = {}
        self._server = serve(self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def deploy(self, *functions: Function) -> None:
        """Replace all functions, and end their processes."""
        self.end()
        self._functions = {function.name: function for function in functions}
        self.sandboxes, self.invocations = [], []

    def end(self) -> None:
        """End every process."""
        for sandbox in self.sandboxes:
            sandbox.kill()
        self._idle = []

    def log(self) -> str:
        """All that the present functions have printed."""
        return "".join(sandbox.log.read_text() for sandbox in self.sandboxes)

    def records(self) -> list[dict[str, Any]]:
        """What of it is JSON, one object a line."""
        found = []
        for line in self.log().splitlines():
            with suppress(ValueError):
                record = json.loads(line)
                if isinstance(record, dict):
                    found.append(record)
        return found

    def drop_next(self) -> threading.Event:
        """The connection of the next call is cut when the event that is given here is set; the call itself goes on."""
        event = threading.Event()
        self._drops.put(event)
        return event

    def time_out(self) -> None:
        """The time of all calls that are under way is over now."""
        for sandbox in self.sandboxes:
            if (call := sandbox.current) is not None:
                sandbox.process.send_signal(signal.SIGSTOP)  # it does not get to say anything more
                sandbox.current = None
                call.result.put(
                    Result(
                        _error("Sandbox.Timedout", f"RequestId: {call.id} Error: Task timed out"), error=True
                    )
                )
                sandbox.kill()

    def invoke(self, name: str, payload: bytes) -> Result:
        """One call of a function."""
        function = self._functions[name]
        with self._lock:
            self.invocations.append(name)
            free = [one for one in self._idle if one.function is function and one.process.poll() is None]
            if free:
                self._idle.remove(sandbox := free[0])
            else:
                log = self._logs / f"{name}-{uuid.uuid4()}.log"
                sandbox = Sandbox(function, self._python, self.runtime, self._environment, log)
                self.sandboxes.append(sandbox)
        result = sandbox.run(Call(payload, function.timeout))
        with self._lock:
            if sandbox.process.poll() is None:
                self._idle.append(sandbox)
        return result

    def close(self) -> None:
        """End everything."""
        self.end()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Api(_Handler):
            def do_GET(self) -> None:
                # GetFunction: the framework asks whether the function is active, after a call that failed.
                name = unquote(self.path).rpartition(":")[2]
                body = {
                    "Configuration": {
                        "FunctionName": name,
                        "State": "Active",
                        "LastUpdateStatus": "Successful",
                    }
                }
                self.answer(200, json.dumps(body).encode(), Content_Type="application/json")

            def do_POST(self) -> None:
                body = self.body()
                if (target := self.headers.get("X-Amz-Target")) is not None:
                    answer = service.other[target](json.loads(body))
                    self.answer(200, json.dumps(answer).encode(), Content_Type="application/x-amz-json-1.0")
                    return
                name = unquote(self.path).removesuffix("/invocations").rpartition(":")[2]
                try:
                    cut = service._drops.get_nowait()
                except queue.Empty:
                    result = service.invoke(name, body)
                    error = {"X_Amz_Function_Error": "Unhandled"} if result.error else {}
                    self.answer(200, result.payload, Content_Type="application/json", **error)
                    return
                threading.Thread(target=service.invoke, args=(name, body), daemon=True).start()
                cut.wait()
                self.close_connection = True

        return Api
