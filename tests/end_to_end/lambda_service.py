"""Stand-in for the API of AWS Lambda: what the SDK calls, in front of the processes of `lambda_runtime`.

One process serves one call at a time and is kept for the next; two calls at once get two processes.
"""

from __future__ import annotations

import json
import queue
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lambda_runtime import Answer, Function, Pending

if TYPE_CHECKING:
    from pathlib import Path

REGION = "eu-central-2"
ACCOUNT = "111122223333"


def arn_of(name: str) -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


@dataclass(frozen=True)
class Definition:
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
class Sandbox:
    """One process, and how many calls it has answered."""

    definition: Definition
    function: Function
    served: int = 0
    call: Pending | None = None


@dataclass
class LambdaService:
    """The service: functions, their processes, and the API that the AWS SDK speaks to.

    Args:
        python: the interpreter of the functions.
        runtime: what Lambda brings beside the archive.
        environment: variables of every function, such as credentials.

    Attributes:
        sandboxes: the processes since the last `deploy`, also those that are gone.
        invocations: the calls since then, by name.
        payloads: what all calls were answered; to be emptied by whoever reads it.
        printed: all that processes have printed that are gone; to be emptied by whoever reads it.
        other: what serves the actions of other services, by the header X-Amz-Target.
        url: where the API is.
    """

    python: str
    runtime: Path
    environment: dict[str, str]
    sandboxes: list[Sandbox] = field(default_factory=list)
    invocations: list[str] = field(default_factory=list)
    payloads: list[Any] = field(default_factory=list)
    other: dict[str, Any] = field(default_factory=dict)
    printed: str = ""

    def __post_init__(self) -> None:
        self._definitions: dict[str, Definition] = {}
        self._lock = threading.Lock()
        self._drops: queue.SimpleQueue[threading.Event] = queue.SimpleQueue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def deploy(self, *definitions: Definition) -> None:
        """Replace all functions, and end their processes."""
        self.end()
        self._definitions = {definition.name: definition for definition in definitions}
        self.invocations = []

    def end(self) -> None:
        """End every process; what it has printed is kept in `printed`."""
        self.printed += self.log()
        for sandbox in self.sandboxes:
            sandbox.function.stop()
        self.sandboxes = []

    def log(self) -> str:
        """All that the present functions have printed."""
        return "".join(sandbox.function.everything for sandbox in self.sandboxes)

    def drop_next(self) -> threading.Event:
        """The connection of the next call is cut when the event that is given here is set; the call itself goes on."""
        event = threading.Event()
        self._drops.put(event)
        return event

    def time_out(self) -> None:
        """The time of all calls that are under way is over now."""
        for sandbox in self.sandboxes:
            if sandbox.call is not None:
                sandbox.call.invocation.seconds = sandbox.call.invocation.late = 0

    def invoke(self, name: str, payload: bytes) -> Answer:
        """One call of a function."""
        definition = self._definitions[name]
        with self._lock:
            self.invocations.append(name)
            idle = [one for one in self.sandboxes if one.definition is definition and one.call is None]
            sandbox = idle[0] if idle else self._new(definition)
            call = sandbox.call = sandbox.function.begin(payload.decode(), seconds=definition.timeout)
        answer = call.result()
        with self._lock:
            sandbox.served += 1
            self.payloads.append(answer.payload)
            sandbox.call = None
        return answer

    def close(self) -> None:
        """End everything."""
        self.end()
        self._server.shutdown()
        self._server.server_close()

    def _new(self, definition: Definition) -> Sandbox:
        function = Function(
            definition.task_root,
            {"AWS_LAMBDA_FUNCTION_NAME": definition.name, **self.environment, **definition.environment},
            handler=definition.handler,
            python=self.python,
            path=(self.runtime,),
            options=("-S",),  # a function has its archive and Lambda's runtime, and nothing else
        )
        self.sandboxes.append(Sandbox(definition, function))
        return self.sandboxes[-1]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Api(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # an answer goes out as one

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

            def reply(self, value: object, kind: str = "application/json", *, failed: bool = False) -> None:
                body = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                if failed:
                    self.send_header("X-Amz-Function-Error", "Unhandled")
                self.end_headers()
                self.wfile.write(body)
                self.wfile.flush()

            def do_GET(self) -> None:
                # GetFunction: the framework asks whether the function is active, after a call that failed.
                name = unquote(self.path).rpartition(":")[2]
                state = {"State": "Active", "LastUpdateStatus": "Successful"}
                self.reply({"Configuration": {"FunctionName": name, **state}})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if (target := self.headers.get("X-Amz-Target")) is not None:
                    self.reply(service.other[target](json.loads(body)), "application/x-amz-json-1.0")
                    return
                name = unquote(self.path).removesuffix("/invocations").rpartition(":")[2]
                try:
                    cut = service._drops.get_nowait()
                except queue.Empty:
                    answer = service.invoke(name, body)
                    # Whoever called may be gone meanwhile.
                    with suppress(ConnectionError):
                        self.reply(answer.payload, failed=answer.failed)
                    return
                threading.Thread(target=service.invoke, args=(name, body), daemon=True).start()
                cut.wait()
                self.close_connection = True

        return Api
