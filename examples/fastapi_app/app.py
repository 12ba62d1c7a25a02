"""A FastAPI application: each request uses a session of its tenant, and cannot see the rows of another.

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
    """Create one engine, with one pool of connections, for the life of the process."""
    app.state.engine = create_async_engine()
    yield
    await app.state.engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.exception_handler(RequestValidationError)
async def rejected(_request: Request, error: RequestValidationError) -> JSONResponse:
    """Report the errors without the input: FastAPI's default repeats it, also characters that JSON cannot encode."""
    details = [{name: item[name] for name in ("type", "loc", "msg")} for item in error.errors()]
    return JSONResponse({"detail": details}, status_code=422)


def current_tenant(x_tenant_id: Annotated[UUID, Header()]) -> UUID:
    """Return the tenant of the caller.

    A header can be forged: read the tenant from a token that your identity provider has signed, or from your own session.
    """
    return x_tenant_id


async def tenant_session(
    request: Request, tenant_id: Annotated[UUID, Depends(current_tenant)]
) -> AsyncIterator[AsyncTenantSession]:
    """Open the session of a request. It is closed after the response; uncommitted changes are rolled back."""
    async with async_tenant_session(request.app.state.engine, tenant_id) as session:
        yield session


Session = Annotated[AsyncTenantSession, Depends(tenant_session)]


def storable(words: str) -> str:
    """Reject NUL and lone surrogates, which JSON can encode and PostgreSQL cannot store: a client error, not a 500."""
    if re.search("[\x00\ud800-\udfff]", words):
        raise ValueError("holds a character that cannot be stored")
    return words


Words = Annotated[str, AfterValidator(storable)]


class Report(BaseModel):
    """The body of a request."""

    domain_id: Words
    title: Words


class Answer(BaseModel):
    """The body of a response."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    status: IncidentStatus


@app.post("/incidents", status_code=201)
async def report(session: Session, body: Report) -> Answer:
    incident = Incident(domain_id=body.domain_id, title=body.title)
    session.add(incident)
    # Commit here, not when the session is closed: so the client gets the error of a failed commit.
    await session.commit()
    return Answer.model_validate(incident)


@app.get("/incidents")
async def newest(session: Session) -> list[Answer]:
    incidents = await session.scalars(
        select(Incident).order_by(Incident.created_at.desc(), Incident.id).limit(50)
    )
    return [Answer.model_validate(incident) for incident in incidents]


@app.get("/incidents/{incident_id}")
async def by_id(session: Session, incident_id: UUID) -> Answer:
    incident = await session.get(Incident, incident_id)
    if incident is None:  # missing, or of another tenant
        raise HTTPException(404, "There is no such incident")
    return Answer.model_validate(incident)
