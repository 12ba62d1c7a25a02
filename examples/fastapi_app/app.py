"""A FastAPI application: each request works in a session of its tenant, and cannot see the rows of another.

DATABASE_URL=postgresql://app@localhost/app uvicorn app:app
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID

from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict
from sqlalchemy import select

from dbschema import AsyncTenantSession, async_tenant_session, create_async_engine
from dbschema.models import Incident, IncidentStatus


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One engine, and with it one pool of connections, for the life of the process."""
    app.state.engine = create_async_engine()
    yield
    await app.state.engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.exception_handler(RequestValidationError)
async def refused(_request: Request, error: RequestValidationError) -> JSONResponse:
    """What is wrong, without what was sent: there are characters that an answer cannot repeat, and FastAPI's own would try."""
    found = [{name: item[name] for name in ("type", "loc", "msg")} for item in error.errors()]
    return JSONResponse({"detail": found}, status_code=422)


def current_tenant(x_tenant_id: Annotated[UUID, Header()]) -> UUID:
    """The tenant of whoever asks.

    A header can be forged: take it out of the token that your identity provider has signed, or out of your own session.
    """
    return x_tenant_id


async def tenant_session(
    request: Request, tenant_id: Annotated[UUID, Depends(current_tenant)]
) -> AsyncIterator[AsyncTenantSession]:
    """The session of a request. It is closed after the answer; what was not committed by then is undone."""
    async with async_tenant_session(request.app.state.engine, tenant_id) as session:
        yield session


Session = Annotated[AsyncTenantSession, Depends(tenant_session)]


def storable(words: str) -> str:
    """JSON can write what PostgreSQL has no text for, NUL and half a character: the client's error, and no 500."""
    if re.search("[\x00\ud800-\udfff]", words):
        raise ValueError("holds a character that cannot be stored")
    return words


Words = Annotated[str, AfterValidator(storable)]


class Report(BaseModel):
    """What a client sends."""

    domain_id: Words
    title: Words


class Answer(BaseModel):
    """What a client gets."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    status: IncidentStatus


@app.post("/incidents", status_code=201)
async def report(session: Session, given: Report) -> Answer:
    incident = Incident(domain_id=given.domain_id, title=given.title)
    session.add(incident)
    # Here, and not when the session is closed: the client is told of a commit that failed.
    await session.commit()
    return Answer.model_validate(incident)


@app.get("/incidents")
async def newest(session: Session) -> list[Answer]:
    found = await session.scalars(
        select(Incident).order_by(Incident.created_at.desc(), Incident.id).limit(50)
    )
    return [Answer.model_validate(incident) for incident in found]


@app.get("/incidents/{incident_id}")
async def one(session: Session, incident_id: UUID) -> Answer:
    incident = await session.get(Incident, incident_id)
    if incident is None:  # or another tenant's, which is the same
        raise HTTPException(404, "There is no such incident")
    return Answer.model_validate(incident)
