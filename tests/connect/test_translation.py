"""Each refusal of a real server, or of the way to it, becomes one error on one line that says what to do."""

from __future__ import annotations

import socket
import threading
import traceback
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import make_url, text

from dbschema.connect import create_engine, errors, resolve, translate, translating

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dbschema.connect import Settings

PASSWORD = "s3cr3t-and-long"


def connect(settings: Settings) -> None:
    with translating(settings), create_engine(settings).connect():
        pass


def execute(settings: Settings, statements: Sequence[str]) -> None:
    with translating(settings), create_engine(settings).begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def refusal(settings: Settings, *statements: str) -> errors.Rejection:
    """What the execution of `statements` on `settings` is refused with."""
    with pytest.raises(errors.Rejection) as caught:
        execute(settings, statements)
    return caught.value


def with_role(url: str, attributes: str) -> Iterator[str]:
    name = make_url(url).database
    role = f"{name}_role"
    admin = create_engine(resolve(url))
    with admin.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} {attributes} PASSWORD '{PASSWORD}'"))
    yield make_url(url).set(username=role, password=PASSWORD).render_as_string(hide_password=False)
    with admin.begin() as connection:
        connection.execute(text(f"DROP OWNED BY {role}"))
        connection.execute(text(f"DROP ROLE {role}"))


@pytest.fixture
def plain_role(fresh_database: str) -> Iterator[str]:
    """The address of an empty database for a role that may only log in."""
    yield from with_role(fresh_database, "LOGIN")


@pytest.fixture
def full_role(fresh_database: str) -> Iterator[str]:
    """The address of an empty database for a role that may have no connection."""
    yield from with_role(fresh_database, "LOGIN CONNECTION LIMIT 0")


@contextmanager
def listener(answer: bytes | None) -> Iterator[int]:
    """A port behind which something answers every packet with `answer`, or is silent for None."""
    stop = threading.Event()
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.settimeout(0.1)

        def serve() -> None:
            open_ones: list[socket.socket] = []
            while not stop.is_set():
                try:
                    client, _ = server.accept()
                except TimeoutError:
                    continue
                open_ones.append(client)
                if answer is not None:
                    client.recv(1024)
                    client.sendall(answer)
                    client.close()
            for client in open_ones:
                client.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stop.set()
            thread.join()


def changed(url: str, **parts: str | int) -> Settings:
    return resolve(make_url(url).set(**parts))  # type: ignore[arg-type]  # each test gives what its part takes


def test_a_wrong_password(fresh_database: str) -> None:
    settings = changed(fresh_database, password=PASSWORD)

    with pytest.raises(errors.WrongPassword, match=r"rejects the password .* in --url") as caught:
        connect(settings)

    assert caught.value.user == settings.user
    assert isinstance(caught.value.__cause__, Exception)


def test_no_password(fresh_database: str) -> None:
    url = make_url(fresh_database)
    settings = resolve(f"postgresql://{url.username}@{url.host}:{url.port}/{url.database}")

    with pytest.raises(errors.WrongPassword, match="no password supplied"):
        connect(settings)


def test_an_unknown_user_is_told_as_the_server_tells_it(fresh_database: str) -> None:
    """The server does not say that there is no such user, so that nobody can try names."""
    with pytest.raises(errors.WrongPassword, match="'nobody_of_this_name'"):
        connect(changed(fresh_database, username="nobody_of_this_name"))


def test_a_user_that_may_not_log_in(database: str) -> None:
    with pytest.raises(errors.Rejection, match="dbschema_app"):
        connect(changed(database, username="dbschema_app"))


def test_an_unknown_database(fresh_database: str) -> None:
    with pytest.raises(errors.UnknownDatabase, match=r"no database 'nowhere' at .*CREATE DATABASE"):
        connect(changed(fresh_database, database="nowhere"))


def test_an_unknown_host() -> None:
    with pytest.raises(errors.WrongHost, match=r"db\.invalid:5432"):
        connect(resolve("postgresql://ada:s3cr3t@db.invalid/shop"))


def test_a_port_where_nothing_listens(dead_port: Callable[[], int]) -> None:
    port = dead_port()

    with pytest.raises(errors.Unreachable, match=f"127.0.0.1:{port}: Connection refused"):
        connect(resolve(f"postgresql://ada:s3cr3t@127.0.0.1:{port}/shop"))


def test_a_socket_that_is_not_there() -> None:
    with pytest.raises(errors.Unreachable, match="shop at /nonexistent"):
        connect(resolve("postgresql:///shop?host=/nonexistent"))


def test_all_of_several_hosts_without_a_server(dead_port: Callable[[], int]) -> None:
    one, two = dead_port(), dead_port()

    with pytest.raises(errors.Unreachable, match=f"127.0.0.1:{one},127.0.0.1:{two}") as caught:
        connect(resolve(f"postgresql://127.0.0.1:{one},127.0.0.1:{two}/shop"))

    assert "\n" not in str(caught.value)


def test_a_server_that_does_not_answer() -> None:
    with listener(None) as port, pytest.raises(errors.Unreachable, match="did not answer in time"):
        connect(resolve(f"postgresql://ada@127.0.0.1:{port}/shop?connect_timeout=1"))


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"])
def test_something_else_that_answers(answer: bytes) -> None:
    with (
        listener(answer) as port,
        pytest.raises(errors.WrongHost, match=f"127.0.0.1:{port} is not a PostgreSQL server"),
    ):
        connect(resolve(f"postgresql://ada@127.0.0.1:{port}/shop"))


def test_tls_that_the_server_does_not_have(fresh_database: str) -> None:
    with pytest.raises(errors.TlsFailed, match="sslmode=prefer"):
        connect(resolve(f"{fresh_database}?sslmode=require"))


def test_a_role_without_a_connection_left(full_role: str) -> None:
    with pytest.raises(errors.TooManyConnections):
        connect(resolve(full_role))


def test_a_privilege_on_the_schema_is_told_with_the_statement_that_grants_it(plain_role: str) -> None:
    settings = resolve(plain_role)

    error = refusal(settings, "CREATE TABLE t ()")

    assert isinstance(error, errors.NotPrivileged)
    assert error.sqlstate == "42501"
    assert f"GRANT CREATE ON SCHEMA public TO {settings.user}" in error.next_step


def test_an_extension_that_only_an_administrator_installs(plain_role: str) -> None:
    error = refusal(resolve(plain_role), "CREATE EXTENSION postgis")

    assert isinstance(error, errors.NotPrivileged)
    assert "CREATE EXTENSION postgis" in error.next_step


def test_an_extension_that_is_not_installed_on_the_machine(fresh_database: str) -> None:
    error = refusal(resolve(fresh_database), "CREATE EXTENSION of_no_machine")

    assert "cannot create the extension" in error.what
    assert "postgresql-VERSION-postgis-3" in error.next_step
    assert "of_no_machine" in error.reason


def test_the_hint_of_the_server_is_kept_as_the_next_step(fresh_database: str) -> None:
    error = refusal(
        resolve(fresh_database),
        "DO $$BEGIN RAISE insufficient_privilege USING MESSAGE = 'no', HINT = 'Have it run'; END$$",
    )

    assert isinstance(error, errors.NotPrivileged)
    assert (error.reason, error.next_step) == ("no", "Have it run")


@pytest.mark.parametrize(
    ("kind", "statements"),
    [
        (errors.ReadOnly, ["SET TRANSACTION READ ONLY", "CREATE TABLE t ()"]),
        (errors.Cancelled, ["SET LOCAL statement_timeout = 1", "SELECT pg_sleep(5)"]),
        (errors.ConnectionLost, ["SELECT pg_terminate_backend(pg_backend_pid())"]),
        (errors.Incomplete, ["SELECT * FROM nothing_of_this_name"]),
        (errors.Incomplete, ["SELECT nothing_of_this_name()"]),
        (errors.Rejection, ["SELECT 1 / 0"]),
    ],
)
def test_what_goes_wrong_while_connected(
    fresh_database: str, kind: type[errors.Rejection], statements: list[str]
) -> None:
    error = refusal(resolve(fresh_database), *statements)

    assert type(error) is kind
    assert "\n" not in str(error)


def test_a_lock_that_is_not_free_in_time(new_database: Callable[..., str]) -> None:
    settings = resolve(new_database())
    with create_engine(settings).connect() as other:
        other.execute(text("CREATE TABLE t ()"))
        other.commit()
        other.execute(text("LOCK TABLE t"))

        error = refusal(settings, "SET LOCAL lock_timeout = 10", "LOCK TABLE t")

    assert isinstance(error, errors.LockNotFree)


@pytest.mark.parametrize(
    ("words", "kind", "says"),
    [
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "a", database "b", no encryption', errors.TlsFailed, "requires TLS"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "a", database "b", SSL encryption', errors.NotAdmitted, "does not admit"),
        ("FATAL:  the database system is starting up", errors.NotReady, "is not ready"),
        ("FATAL:  the database system is shutting down", errors.NotReady, "is not ready"),
        ("FATAL:  sorry, too many clients already", errors.TooManyConnections, "no connection left"),
        ("FATAL:  remaining connection slots are reserved for superusers", errors.TooManyConnections, "no connection left"),
        ('FATAL:  role "a" is not permitted to log in', errors.NotAdmitted, "does not let 'ada' log in"),
        ("SSL error: certificate verify failed", errors.TlsFailed, "fails"),
        ('server certificate for "x" does not match host name "y"', errors.TlsFailed, "fails"),
        ("could not translate host name \"x\" to address: Name or service not known", errors.WrongHost, "cannot be found"),
        ("FATAL:  la base de données est fermée", errors.Rejection, "reports an error"),
    ],
)  # fmt: skip
def test_the_words_of_libpq_and_of_the_server_while_connecting(
    words: str, kind: type[errors.Rejection], says: str
) -> None:
    """These cannot be had from the server of the tests: they are the sentences of PostgreSQL's resolve."""
    settings = resolve("postgresql://ada:s3cr3t@db.example/shop")
    error = psycopg.OperationalError(
        f'connection failed: connection to server at "192.0.2.1", port 5432 failed: {words}\nagain'
    )

    told = translate(error, settings)

    assert type(told) is kind
    assert says in told.what
    assert "FATAL" not in str(told)
    assert "connection to server" not in str(told)


def test_errors_of_our_own_and_of_others_pass() -> None:
    settings = resolve("postgresql://db.example/shop")

    with pytest.raises(ZeroDivisionError), translating(settings):
        raise ZeroDivisionError


def test_no_error_shows_a_password(fresh_database: str) -> None:
    settings = changed(fresh_database, password=PASSWORD)

    with pytest.raises(errors.WrongPassword) as caught:
        connect(settings)

    shown = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    assert "The above exception was the direct cause" in shown
    assert PASSWORD not in shown
