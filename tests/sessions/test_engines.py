"""Engines for applications: pooled, by the rules of `dbschema.connect`, and fit for what stands between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import sqlalchemy
from sqlalchemy import make_url, text
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool, QueuePool

import dbschema
from dbschema.connect.errors import NoAddress
from dbschema.errors import BadAddress
from dbschema.sessions import create_async_engine, create_engine, tenant_session

if TYPE_CHECKING:
    from sqlalchemy import Engine

NAME = text("SELECT current_setting('application_name')")


def threshold(engine: Engine) -> int | None:
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        return driver.prepare_threshold  # type: ignore[no-any-return]  # psycopg's


def test_connections_are_pooled_and_named(place: Any) -> None:
    engine = create_engine(place.url())

    assert isinstance(engine.pool, QueuePool)
    with engine.connect() as connection:
        assert connection.scalar(NAME) == "dbschema-app"
    engine.dispose()


@pytest.mark.parametrize(
    ("address", "given", "name"),
    [
        ("", "orders", "orders"),
        ("?application_name=fromaddress", None, "fromaddress"),
        ("?application_name=fromaddress", "orders", "orders"),
    ],
)
def test_the_name_is_the_callers_then_that_of_the_address(
    place: Any, address: str, given: str | None, name: str
) -> None:
    engine = create_engine(place.url() + address, application_name=given)

    with engine.connect() as connection:
        assert connection.scalar(NAME) == name
    engine.dispose()


def test_options_are_handed_on(place: Any) -> None:
    engine = create_engine(
        place.url(), poolclass=NullPool, echo=False, connect_args={"options": "-c statement_timeout=7s"}
    )

    assert isinstance(engine.pool, NullPool)
    with engine.connect() as connection:
        assert connection.scalar(text("SHOW statement_timeout")) == "7s"
        assert connection.scalar(NAME) == "dbschema-app"


def test_the_address_may_come_from_the_environment(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", place.url())

    engine = dbschema.create_engine()

    with engine.connect() as connection:
        assert connection.scalar(text("SELECT current_user")) == place.user()
    engine.dispose()


def test_without_an_address_there_is_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoAddress):
        create_engine()
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "orders")
    with pytest.raises(NoAddress, match="Lambda function"):
        create_async_engine()


def test_an_address_that_cannot_be_read_is_told_by_the_same_errors() -> None:
    with pytest.raises(BadAddress, match="create_engine"):
        create_engine("mysql://nowhere")


def test_statements_are_prepared_but_not_through_a_pooler(place: Any) -> None:
    """A pooler in transaction mode gives each transaction another server connection, which knows no such statement."""
    direct, pooled = create_engine(place.url()), create_engine(place.url(), proxy=True)

    assert (threshold(direct), threshold(pooled)) == (5, None)
    direct.dispose()
    pooled.dispose()


def test_rds_proxy_is_seen_by_its_name() -> None:
    engine = create_engine("postgresql://app@shop.proxy-c0ffee.eu-central-2.rds.amazonaws.com/shop")
    noted: dict[str, Any] = {}

    from sqlalchemy import event  # noqa: PLC0415  beside its only use

    @event.listens_for(engine, "do_connect")
    def note(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        noted.update(parameters)
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        engine.connect()

    assert noted["prepare_threshold"] is None
    assert noted["options"] == ""


def test_sessions_work_with_the_failover_driver_of_aws(place: Any, request: pytest.FixtureRequest) -> None:
    """The extra `dbschema[failover]`; the two settings are then two statements."""
    from aws_advanced_python_wrapper import release_resources  # noqa: PLC0415  takes a second; registers the dialect

    request.addfinalizer(release_resources)  # threads that go on looking at the server
    url = make_url(place.url()).set(drivername="postgresql+aws_wrapper_psycopg")
    engine = sqlalchemy.create_engine(
        url.update_query_dict({"plugins": "", "wrapper_dialect": "pg"}), use_native_hstore=False
    )
    tenant_id = uuid4()

    with tenant_session(engine, tenant_id) as session:
        standing = session.execute(text("SELECT current_user::text, current_setting('app.tenant_id')")).one()
        assert tuple(standing) == ("dbschema_app", str(tenant_id))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT current_setting('app.tenant_id')")) == ""
    engine.dispose()


@pytest.mark.asyncio
async def test_the_same_under_asyncio(place: Any) -> None:
    direct, pooled = create_async_engine(place.url()), create_async_engine(place.url(), proxy=True)

    assert isinstance(direct.pool, AsyncAdaptedQueuePool)
    found = []
    for engine in (direct, pooled):
        async with engine.connect() as connection:
            assert await connection.scalar(NAME) == "dbschema-app"
            raw: Any = await connection.get_raw_connection()
            found.append(raw.driver_connection.prepare_threshold)
        await engine.dispose()
    assert found == [5, None]
