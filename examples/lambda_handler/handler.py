"""A function in AWS Lambda behind API Gateway: each invocation uses a session of its tenant.

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
    """Create an engine with one connection for the life of the execution environment, which serves one invocation at a time."""
    return create_engine(pool_size=1, max_overflow=0)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Store an incident, and return the number of incidents of the tenant for each status."""
    # API Gateway has verified the signature of the token. Unverified input does not prove the tenant.
    claims = event["requestContext"]["authorizer"]["jwt"]["claims"]
    body = json.loads(event["body"])
    if any(re.search("[\x00\ud800-\udfff]", body[name]) for name in ("domain_id", "title")):
        # NUL and lone surrogates: JSON can encode them, PostgreSQL cannot store them. A client error, not a 500.
        return {"statusCode": 422, "body": json.dumps("A text holds a character that cannot be stored")}
    with tenant_session(engine(), claims["custom:tenant_id"]) as session, session.begin():
        session.add(Incident(domain_id=body["domain_id"], title=body["title"]))
        session.flush()
        counts = session.execute(select(Incident.status, func.count()).group_by(Incident.status)).all()
        numbers = {status.value: count for status, count in counts}
    return {"statusCode": 201, "body": json.dumps(numbers)}
