"""How connections are opened: rotated passwords, tokens, servers that wake."""

from __future__ import annotations

import logging
import socket
import struct
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
import sqlalchemy

from clock import Clock
from dbschema import _retry
from dbschema.connect import attach, create_engine, errors, password, resolve, translating
from dbschema.connect import connection as opening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine
    from tests.connect.conftest import Aws, Role

    from dbschema.connect import Settings

LOGGER = "dbschema.connect"


def connect(settings: Settings, engine: Engine | None = None) -> str:
    """Connect once; the user that the server sees."""
    with translating(settings), (engine or create_engine(settings)).connect() as connection:
        return str(connection.exec_driver_sql("SELECT current_user").scalar_one())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of whoever waits for a server: it passes by its pauses alone, however long its attempts take."""
    clock = Clock()
    for module in (opening, _retry):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def arn(aws: Aws, role: Role) -> str:
    return aws.secret(**role.secret())


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stages in which secrets are read from now on."""
    from dbschema.connect import aws  # noqa: PLC0415  the name is that of a fixture, too

    stages: list[str] = []
    plain = aws.read_secret

    def counted(name: str, source: str, stage: aws.Stage = "AWSCURRENT") -> aws.Secret:
        stages.append(stage)
        return plain(name, source, stage)

    monkeypatch.setattr(aws, "read_secret", counted)
    return stages


def test_a_password_that_was_rotated_is_read_again(
    aws: Aws, role: Role, arn: str, reads: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    settings = resolve(environ={"DB_SECRET_ARN": arn})
    engine = create_engine(settings)
    connect(settings, engine)
    role.change("second-s3cr3t-of-the-role")
    aws.rotate(arn, **role.secret())
    reads.clear()

    with caplog.at_level(logging.INFO, LOGGER):
        user = connect(settings, engine)
        connect(settings, engine)

    assert user == role.name
    assert reads == ["AWSCURRENT"]  # once: what the server accepted is kept
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "The secret that DB_SECRET_ARN names was rotated"
    ]


def test_the_user_may_change_with_the_password(aws: Aws, role: Role, arn: str) -> None:
    """Rotation with alternating users."""
    settings = resolve(environ={"DB_SECRET_ARN": arn})
    role.execute(f"CREATE ROLE {role.name}_clone LOGIN PASSWORD 'third-s3cr3t'")
    aws.rotate(arn, **{**role.secret(), "username": f"{role.name}_clone", "password": "third-s3cr3t"})
    role.execute(f"ALTER ROLE {role.name} PASSWORD 'nobody knows'")

    try:
        user = connect(settings)
    finally:
        role.execute(f"DROP ROLE {role.name}_clone")

    assert user == f"{role.name}_clone"


def test_a_server_that_has_not_the_new_password_yet_gets_the_previous_one(
    aws: Aws, role: Role, arn: str, reads: list[str]
) -> None:
    aws.rotate(arn, **{**role.secret(), "password": "not-yet-known"})
    settings = resolve(environ={"DB_SECRET_ARN": arn})
    reads.clear()

    user = connect(settings)

    assert (user, reads) == (role.name, ["AWSCURRENT", "AWSPREVIOUS"])


def test_the_previous_password_is_not_asked_for_while_the_present_one_serves(
    role: Role, arn: str, reads: list[str]
) -> None:
    connect(resolve(environ={"DB_SECRET_ARN": arn}))

    assert reads == ["AWSCURRENT"]


@pytest.mark.parametrize("rotated", [False, True])
def test_a_secret_that_is_wrong_in_all_versions_is_the_servers_refusal(
    aws: Aws, role: Role, arn: str, reads: list[str], rotated: bool
) -> None:
    if rotated:
        aws.rotate(arn, **{**role.secret(), "password": "wrong"})
    settings = resolve(environ={"DB_SECRET_ARN": arn})
    role.change("nobody-told")
    reads.clear()

    with pytest.raises(errors.WrongPassword, match="DB_SECRET_ARN"):
        connect(settings)

    assert reads == ["AWSCURRENT", "AWSPREVIOUS"]


def test_another_refusal_reads_no_secret_again(role: Role, arn: str, reads: list[str]) -> None:
    settings = resolve(environ={"DB_SECRET_ARN": arn, "DB_NAME": "of_no_server"})
    reads.clear()

    with pytest.raises(errors.UnknownDatabase):
        connect(settings)

    assert reads == []


def test_an_address_with_a_wrong_password_asks_nobody(role: Role, reads: list[str]) -> None:
    settings = resolve(f"postgresql://{role.name}:wrong@{role.host}:{role.port}/{role.dbname}", environ={})

    with pytest.raises(errors.WrongPassword):
        connect(settings)

    assert reads == []


def test_an_engine_of_the_applications_own_takes_part(aws: Aws, role: Role, arn: str) -> None:
    settings = resolve(environ={"DB_SECRET_ARN": arn})
    engine = sqlalchemy.create_engine(settings.url)
    attach(engine, settings)
    role.change("second-s3cr3t-of-the-role")
    aws.rotate(arn, **role.secret())

    user = connect(settings, engine)
    engine.dispose()

    assert user == role.name


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


@contextmanager
def asking_for_passwords() -> Iterator[tuple[int, list[str]]]:
    """A stand-in that asks for the password in clear text, notes it and refuses it: its port, and what it noted."""
    noted: list[str] = []
    refusal = message(b"E", b'SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user "ada"\0\0')

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                while packet := client.recv(65536):
                    if packet[:1] == b"p":
                        noted.append(packet[5:-1].decode())
                        client.sendall(refusal)
                        break
                    code = struct.unpack("!i", packet[4:8])[0]
                    # Requests for TLS and GSS encryption are declined; the next packet starts the session.
                    client.sendall(
                        b"N" if code in {80877103, 80877104} else message(b"R", struct.pack("!i", 3))
                    )

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1], noted
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_each_connection_has_a_token_of_its_own(
    credentials: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dbschema.connect import aws  # noqa: PLC0415  as above

    made: list[str] = []
    plain = aws.auth_token

    def counted(*arguments: str | int) -> str:
        made.append(plain(*arguments))  # type: ignore[arg-type]  # handed on as it comes
        return made[-1]

    monkeypatch.setattr(aws, "auth_token", counted)
    host = "db.c0ffee.us-west-2.rds.amazonaws.com"
    with asking_for_passwords() as (port, noted):
        settings = resolve(
            f"postgresql://ada@{host}:{port}/shop?hostaddr=127.0.0.1&sslmode=disable",
            environ={"DB_IAM_AUTH": "1"},
        )
        engine = create_engine(settings)
        for _ in range(2):
            with pytest.raises(errors.WrongPassword):
                connect(settings, engine)

    assert noted == made
    assert len(made) == 2
    for token in made:
        parts = urlsplit(f"//{token}")
        asked = parse_qs(parts.query)
        assert (parts.hostname, parts.port) == (host, port)
        assert (asked["Action"], asked["DBUser"], asked["X-Amz-Expires"]) == (["connect"], ["ada"], ["900"])
        assert "/us-west-2/rds-db/" in asked["X-Amz-Credential"][0]  # of the host, not of the environment
        assert asked["X-Amz-Signature"][0] not in f"{settings!r} {engine!r} {settings.libpq_url()}"


def test_credentials_are_those_of_the_moment(
    credentials: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session is kept, because it renews credentials; other variables make another one."""
    settings = resolve("postgresql://ada@db.example/shop", environ={"DB_IAM_AUTH": "1"})
    first = str(password(settings))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOTHEROTHEROTHER1")

    second = str(password(settings))

    assert credentials["AWS_ACCESS_KEY_ID"] in first
    assert "AKIAOTHEROTHEROTHER1" in second


def test_another_program_gets_a_token_too(credentials: dict[str, str]) -> None:
    plain = resolve("postgresql://ada:s3cr3t@db.example/shop", environ={})
    with_token = resolve("postgresql://ada@db.example/shop", environ={"DB_IAM_AUTH": "1"})

    assert password(plain) == "s3cr3t"
    assert "X-Amz-Signature=" in str(password(with_token))


def test_without_credentials_no_token_is_made(
    credentials: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    settings = resolve("postgresql://ada@127.0.0.1:1/shop", environ={"DB_IAM_AUTH": "1"})

    with pytest.raises(errors.AwsDenied, match="a token for 'ada'"):
        connect(settings)


@contextmanager
def waking(target: tuple[str, int], listener: socket.socket, refusals: int) -> Iterator[None]:
    """A socket's port hands on to `target` after it has refused connections.

    Each refusal is counted by the engine's own log, so the port opens as soon as that many lines are written.
    """
    counted: list[int] = []
    stop = threading.Event()
    threads: list[threading.Thread] = []

    class Counter(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            counted.append(record.levelno)
            if len(counted) == refusals:
                listener.settimeout(0.1)
                listener.listen()
                thread = threading.Thread(target=serve, daemon=True)
                threads.append(thread)
                thread.start()

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve() -> None:
        while not stop.is_set():
            try:
                client, _ = listener.accept()
            except TimeoutError:
                continue
            with client, socket.create_connection(target) as server:
                back = threading.Thread(target=pump, args=(server, client), daemon=True)
                back.start()
                pump(client, server)
                back.join(5)

    handler = Counter()
    logger = logging.getLogger(LOGGER)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        stop.set()
        for thread in threads:
            thread.join(5)


def test_a_server_that_refuses_ten_times_and_then_answers(
    role: Role,
    sleeping: Callable[[], socket.socket],
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bound = sleeping()
    settings = resolve(
        f"postgresql://{role.name}:{role.password}@127.0.0.1:{bound.getsockname()[1]}/{role.dbname}",
        environ={"DB_WAKE_SECONDS": "60"},
    )

    with caplog.at_level(logging.INFO, LOGGER), waking((role.host, role.port), bound, 10):
        user = connect(settings)

    lines = [(record.levelno, record.getMessage()) for record in caplog.records]
    assert user == role.name
    assert len(lines) == 11
    assert lines[0][0] == logging.WARNING  # seen without any configuration; the others are for who looks
    assert {level for level, _ in lines[1:]} == {logging.INFO}
    assert f"{settings.place} does not answer yet (attempt 1" in lines[0][1]
    assert f"{settings.place} answers after" in lines[-1][1]
    assert "(attempt 11)" in lines[-1][1]
    assert len(clock.pauses) == 10


def test_waiting_has_an_end(
    dead_port: Callable[[], int], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    settings = resolve(f"postgresql://ada@127.0.0.1:{dead_port()}/shop", environ={"DB_WAKE_SECONDS": "1.5"})

    with caplog.at_level(logging.INFO, LOGGER), pytest.raises(errors.Unreachable):
        connect(settings)

    assert sum(clock.pauses) == pytest.approx(1.5)
    assert len(clock.pauses) == len(caplog.records) >= 2


def test_a_silent_server_is_not_waited_for_beyond_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds are the limit of one attempt, where nobody waits for a server to wake."""
    limits = []
    plain = psycopg.connect

    def noted(*arguments: Any, **parameters: Any) -> Any:
        limits.append(parameters["connect_timeout"])
        return plain(*arguments, **parameters)

    monkeypatch.setattr(psycopg, "connect", noted)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        settings = resolve(
            f"postgresql://ada@127.0.0.1:{listener.getsockname()[1]}/shop",
            environ={"DB_WAKE_SECONDS": "1"},
        )

        with pytest.raises(errors.Unreachable, match="did not answer in time"):
            connect(settings)

    assert limits == [2]  # libpq knows no shorter one


def test_nobody_waits_who_was_not_told_to(
    dead_port: Callable[[], int], caplog: pytest.LogCaptureFixture
) -> None:
    settings = resolve(f"postgresql://ada@127.0.0.1:{dead_port()}/shop", environ={})

    with pytest.raises(errors.Unreachable):
        connect(settings)

    assert caplog.records == []


def test_a_wrong_password_is_no_server_that_sleeps(
    role: Role, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    settings = resolve(
        f"postgresql://{role.name}:wrong@{role.host}:{role.port}/{role.dbname}",
        environ={"DB_WAKE_SECONDS": "60"},
    )

    with pytest.raises(errors.WrongPassword):
        connect(settings)

    assert clock.pauses == []
    assert caplog.records == []


def test_through_a_proxy_no_setting_of_a_session_is_sent(
    role: Role, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RDS Proxy refuses such a connection, and keeps one on which a statement was prepared for us alone."""
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=99MB")
    environ = {"RDS_SECRET_ARN": aws.secret(**role.secret())}
    plain = resolve(environ=environ)
    proxied = resolve(environ={**environ, "RDS_PROXY_ENDPOINT": role.host})

    shown = []
    for settings in (plain, proxied):
        with create_engine(settings).connect() as connection:
            shown.append(connection.exec_driver_sql("SHOW work_mem").scalar_one())
            driver = connection.connection.driver_connection

    assert shown[0] == "99MB"
    assert shown[1] != "99MB"
    assert driver is not None
    assert driver.prepare_threshold is None
