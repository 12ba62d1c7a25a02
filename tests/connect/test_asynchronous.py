"""Engines for asyncio open their connections by the same rules, and stop no other task while they wait."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import NullPool, text
from sqlalchemy.exc import OperationalError

from dbschema._retry import Pauses
from dbschema.connect import connection as opening
from dbschema.connect import errors, resolve, translate
from dbschema.connect.asynchronous import create_async_engine

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

LOGGER = "dbschema.connect"


async def connect(engine: Any) -> str:
    async with engine.connect() as connection:
        return str(await connection.scalar(text("SELECT current_user")))


@pytest.mark.asyncio
async def test_a_password_that_was_rotated_is_read_again_in_another_thread(
    aws: Any, role: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dbschema.connect import aws as module  # noqa: PLC0415  the name is that of a fixture, too

    arn = aws.secret(**role.secret())
    engine = create_async_engine(resolve(environ={"DB_SECRET_ARN": arn}), poolclass=NullPool)
    assert await connect(engine) == role.name
    role.change("second-s3cr3t-of-the-role")
    aws.rotate(arn, **role.secret())
    threads: list[Any] = []
    plain = module.read_secret

    def noted(*arguments: Any) -> Any:
        threads.append(threading.current_thread())
        return plain(*arguments)

    monkeypatch.setattr(module, "read_secret", noted)

    assert await connect(engine) == role.name
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()
    await engine.dispose()


@pytest.mark.asyncio
async def test_others_go_on_while_a_server_is_waited_for(
    role: Any,
    sleeping: Callable[[], socket.socket],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The server is opened by a task that could not run if the waiting stopped the loop."""
    monkeypatch.setattr(opening, "_PAUSES", Pauses(0.02, 0.1))
    bound = sleeping()
    settings = resolve(
        f"postgresql://{role.name}:{role.password}@127.0.0.1:{bound.getsockname()[1]}/{role.dbname}",
        environ={"DB_WAKE_SECONDS": "30"},
    )
    engine = create_async_engine(settings, poolclass=NullPool)
    refused = asyncio.Event()
    logging.getLogger(LOGGER).addHandler(handler := Noting(refused))

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(role.host, role.port)
        await asyncio.gather(pump(reader, back), pump(there, writer))

    async def open_later() -> asyncio.Server:
        await refused.wait()
        return await asyncio.start_server(serve, sock=bound)

    try:
        with caplog.at_level(logging.INFO, LOGGER):
            user, server = await asyncio.gather(connect(engine), open_later())
    finally:
        logging.getLogger(LOGGER).removeHandler(handler)
    server.close()
    await engine.dispose()

    assert user == role.name
    assert "answers after" in caplog.records[-1].getMessage()


class Noting(logging.Handler):
    """Tells a task that a line was written."""

    def __init__(self, noted: asyncio.Event) -> None:
        super().__init__()
        self.noted = noted

    def emit(self, record: logging.LogRecord) -> None:
        self.noted.set()


@pytest.mark.asyncio
async def test_a_refusal_is_translated_as_that_of_the_other_driver(role: Any) -> None:
    settings = resolve(f"postgresql://{role.name}:wrong@{role.host}:{role.port}/{role.dbname}", environ={})
    engine = create_async_engine(settings)

    with pytest.raises(OperationalError) as caught:
        await connect(engine)

    assert isinstance(translate(caught.value, settings), errors.WrongPassword)


@pytest.mark.asyncio
async def test_an_old_server_is_refused(role: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "OLDEST_SERVER", 99)
    engine = create_async_engine(
        resolve(f"postgresql://{role.name}:{role.password}@{role.host}:{role.port}/{role.dbname}", environ={})
    )

    with pytest.raises(errors.ServerTooOld):
        await connect(engine)
