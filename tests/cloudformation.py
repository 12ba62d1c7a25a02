"""A stand-in for CloudFormation: the events that it sends, and the place where it waits for an answer."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

STACK = "arn:aws:cloudformation:eu-central-2:111122223333:stack/shop-migration/0a1b2c3d-1111-2222-3333-444455556666"
SIGNED = "X-Amz-Signature=s1gned-s3cr3t"


def cloudformation(request: str, *, url: str | None = None, **more: Any) -> dict[str, Any]:
    """An event of CloudFormation, as the provider framework hands it on."""
    event: dict[str, Any] = {
        "RequestType": request,
        "ServiceToken": "arn:aws:lambda:eu-central-2:111122223333:function:framework",
        "ResponseURL": url or f"https://cloudformation-custom-resource-response.example/answer?{SIGNED}",
        "StackId": STACK,
        "RequestId": "9a8b7c6d-1111-2222-3333-444455556666",
        "LogicalResourceId": "MigrationResource1A2B3C",
        "ResourceType": "Custom::DbSchemaMigration",
        "ResourceProperties": {"ServiceToken": "arn:aws:lambda:eu-central-2:111122223333:function:framework"},
    }
    if request != "Create":
        event["PhysicalResourceId"] = "dbschema:an-older-host:shop"
    if request == "Update":
        event["OldResourceProperties"] = {"CodeHash": "0"}
    event["ResourceProperties"] |= more.pop("properties", {})
    return {**event, **more}


@dataclass
class Waiting:
    """A place where CloudFormation waits: how it answers the next requests, and what it was sent."""

    url: str
    statuses: list[int] = field(default_factory=list)
    puts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    refused: int = 0
    paths: list[str] = field(default_factory=list)
    answered: threading.Event = field(default_factory=threading.Event)
    denied: threading.Event = field(default_factory=threading.Event)

    @property
    def answer(self) -> dict[str, Any]:
        """The one answer that came."""
        ((_, body),) = self.puts
        found: dict[str, Any] = json.loads(body)
        return found


class _Puts(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def do_PUT(self) -> None:
        waiting: Waiting = self.server.waiting
        body = self.rfile.read(int(self.headers["Content-Length"]))
        waiting.paths.append(self.path)
        status = waiting.statuses.pop(0) if waiting.statuses else 200
        if status == 200:
            waiting.puts.append(({name.lower(): value for name, value in self.headers.items()}, body))
        else:
            waiting.refused += 1
        if status:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:  # the network fails
            self.close_connection = True
        (waiting.answered if status == 200 else waiting.denied).set()

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@contextmanager
def waiting_cloudformation() -> Iterator[Waiting]:
    """CloudFormation, waiting for an answer; `statuses` are what it says to the next requests, 0 for a line that breaks."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Puts)
    server.daemon_threads = True
    found = Waiting(f"http://127.0.0.1:{server.server_port}/answer/to?{SIGNED}")
    server.waiting = found  # type: ignore[attr-defined]  # of the stand-in
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
