"""Stand-in for CloudFormation: it sends what happens to the custom resource, and takes the one answer by HTTPS."""

from __future__ import annotations

import datetime
import ipaddress
import json
import queue
import ssl
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 4096
"""Bytes: a longer answer is refused, and the stack then waits until it times out."""

SIGNATURE = "X-Amz-Signature=0123456789abcdef-of-the-tests"


@dataclass
class Answer:
    """What came in."""

    body: dict[str, Any]
    size: int

    @property
    def status(self) -> str:
        return str(self.body["Status"])

    @property
    def reason(self) -> str:
        return str(self.body["Reason"])

    @property
    def data(self) -> dict[str, Any]:
        return dict(self.body.get("Data") or {})

    @property
    def physical_id(self) -> str:
        return str(self.body["PhysicalResourceId"])


@dataclass
class Request:
    """One request, and the answers to it."""

    event: dict[str, Any]
    answers: queue.SimpleQueue[Answer] = field(default_factory=queue.SimpleQueue)
    count: int = 0


class CloudFormation:
    """The side that waits for answers.

    Args:
        folder: for the certificates.

    Attributes:
        port: where answers are taken.
        bodies: all answers as they came; to be emptied by whoever reads it.
        authority: the certificate that a client has to trust.
    """

    def __init__(self, folder: Path) -> None:
        self.authority = folder / "authority.pem"
        self._requests: dict[str, Request] = {}
        self.bodies: list[str] = []
        key = folder / "key.pem"
        _certify(self.authority, key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.authority, key)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def request(
        self, kind: str, properties: dict[str, str], before: dict[str, str], physical_id: str | None
    ) -> Request:
        """A request of the kind "Create", "Update" or "Delete", to be sent to the framework; `before`: the last properties."""
        number = str(uuid.uuid4())
        event = {
            "RequestType": kind,
            "ServiceToken": "arn:aws:lambda:eu-central-2:111122223333:function:framework-onEvent",
            "ResponseURL": f"https://localhost/arn%3Aaws%3Acloudformation/{number}?{SIGNATURE}",
            "StackId": "arn:aws:cloudformation:eu-central-2:111122223333:stack/dbschema-migration/5c7a",
            "RequestId": number,
            "LogicalResourceId": "MigrationC13A4580",
            "ResourceType": "Custom::DbSchemaMigration",
            "ResourceProperties": {"ServiceToken": "arn:aws:lambda:…:framework-onEvent", **properties},
        }
        if physical_id is not None:
            event["PhysicalResourceId"] = physical_id
        if kind == "Update":
            event["OldResourceProperties"] = {**event["ResourceProperties"], **before}
        self._requests[number] = Request(event)
        return self._requests[number]

    def close(self) -> None:
        """Take no more answers."""
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        requests, bodies = self._requests, self.bodies

        class Take(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                """Print nothing."""

            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                path, _, query = self.path.partition("?")
                assert query == SIGNATURE
                request = requests[path.rpartition("/")[2]]
                request.count += 1
                bodies.append(body.decode())
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()
                request.answers.put(Answer(json.loads(body), len(body)))

        return Take


def _certify(certificate: Path, key: Path) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
