"""A function in AWS Lambda behind API Gateway: each invocation works in a session of its tenant.

The environment names the database: DB_SECRET_ARN and DB_HOST, RDS_SECRET_ARN and RDS_PROXY_ENDPOINT, or DATABASE_URL.
"""

import json
import re
from functools import cache
from typing import Any

from sqlalchemy import Engine, func, select

from dbschema import create_engine, tenant_session
from dbschema.models import Incident


@cache
def engine() -> Engine:
    """One connection for the life of the execution environment: it serves one invocation at a time."""
    return create_engine(pool_size=1, max_overflow=0)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Store an incident, and tell how many of each status the tenant has."""
    # API Gateway has checked the token's signature; what the client itself sends is no proof of who it is.
    claims = event["requestContext"]["authorizer"]["jwt"]["claims"]
    given = json.loads(event["body"])
    if any(re.search("[\x00\ud800-\udfff]", given[name]) for name in ("domain_id", "title")):
        # JSON can write what PostgreSQL has no text for, NUL and half a character: the client's error, and no 500.
        return {"statusCode": 422, "body": json.dumps("A text holds a character that cannot be stored")}
    with tenant_session(engine(), claims["custom:tenant_id"]) as session, session.begin():
        session.add(Incident(domain_id=given["domain_id"], title=given["title"]))
        session.flush()
        counts = session.execute(select(Incident.status, func.count()).group_by(Incident.status)).all()
        body = {status.value: count for status, count in counts}
    return {"statusCode": 201, "body": json.dumps(body)}
