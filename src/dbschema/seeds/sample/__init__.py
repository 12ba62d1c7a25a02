"""Sample data: three small shops with rows in all 21 tables, the same in every database."""

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
    """Write the sample tenants with their reference data, all or nothing; existing rows do not change.

    If the caller has begun a transaction, the seed is a savepoint of it, and the caller commits.

    Args:
        connection: see `reference.apply`.

    Returns:
        The number of written rows by table; 0 for a table without missing rows.

    Raises:
        TenantExists: another tenant has the slug of a sample tenant.
        NoTransaction, NotMigrated, MissingPrivilege: see `reference.apply`.
        SeedError: existing rows conflict with the sample.
    """
    with all_or_nothing(connection):
        return totals(*[_write(connection, Company.read(slug)) for slug in SAMPLE_SLUGS])


def rows_for(company: Company) -> dict[str, Sequence[Row]]:
    """Return all rows of a sample tenant by table."""
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
