"""Sample data: three small shops with everything that the 21 tables can hold, the same in every database.

Puts the sample tenants together and writes them: reference data first, then what their people did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.seeds import reference
from dbschema.seeds.errors import slug_taken
from dbschema.seeds.sample import (
    activity,
    commerce,
    companies,
    conversations,
    governance,
    incidents,
    onboarding,
)
from dbschema.seeds.sample.companies import Company
from dbschema.seeds.sample.incidents import domain_rows
from dbschema.seeds.sample.repeatable import BEGINNING
from dbschema.seeds.writing import SAMPLE_SLUGS, acting_for, all_or_nothing, exists, totals, write

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from dbschema.seeds.writing import Row


__all__ = ["apply"]

_DOMAINS = (
    companies.rows,
    domain_rows,
    incidents.rows,
    commerce.rows,
    conversations.rows,
    onboarding.rows,
    activity.rows,
)


def apply(connection: Connection) -> dict[str, int]:
    """Write the sample tenants with their reference data, all or nothing; what is there stays as it is.

    In a transaction that the caller has begun, it is a savepoint of that one, and the caller commits.

    Args:
        connection: of a superuser, the tables' owner, or a member of the application's role.

    Returns:
        How many rows were written, by table; 0 for a table where nothing was missing.

    Raises:
        TenantExists: another tenant has the slug of a sample tenant.
        NoTransaction, NotMigrated, MissingPrivilege: the tables are not there, or may not be written.
        SeedError: the tables hold rows that contradict the sample.
    """
    with all_or_nothing(connection):
        return totals(*[_write(connection, Company.read(slug)) for slug in SAMPLE_SLUGS])


def rows_for(company: Company) -> dict[str, Sequence[Row]]:
    """All rows of a sample tenant, by table."""
    rows: dict[str, list[Row]] = {}
    for part in (reference.rows_for(company.tenant_id, BEGINNING), *[make(company) for make in _DOMAINS]):
        for table, values in part.items():
            rows.setdefault(table, []).extend(values)
    return {**rows, **governance.rows(company, rows)}


def _write(connection: Connection, company: Company) -> Counter[str]:
    rows = rows_for(company)
    with acting_for(connection, company.tenant_id):
        written = write(connection, {"tenants": rows.pop("tenants")})
        if not exists(connection, company.tenant_id):
            raise slug_taken(company.slug)
        return written + write(connection, rows)
