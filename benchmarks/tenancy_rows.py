"""The rows of 200 tenants, for `benchmarks/tenancy.py`: two tenants of known size among many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

TENANTS = 200
START = "timestamptz '2026-01-01 00:00+00'"


def tenant(number: object) -> str:
    """Return the id of a tenant, as SQL."""
    return f"('00000000-0000-7000-8000-' || lpad(to_hex({number}), 12, '0'))::uuid"


def load(connection: psycopg.Connection[Any], rows: int) -> tuple[int, int]:
    """Fill the database; return the numbers of incidents of the large and the small tenant."""
    large, small = (max(1000, share * min(rows, 2_000_000) // 2_000_000) for share in (70_000, 10_000))

    def spread(count: int) -> str:
        # Rows of the tenants are interleaved, as in production.
        scale = count / rows
        of_large, of_small = int(large * scale), int((large + small) * scale)
        return f"""(SELECT n, {
            tenant(f'''CASE WHEN r < {of_large} THEN 1 WHEN r < {of_small} THEN 2
            ELSE 3 + (r % {TENANTS - 2}) END''')
        } AS tenant_id
            FROM (SELECT n, (n::bigint * 7919) % {count} AS r FROM generate_series(1, {
            count
        }) n) numbers) spread"""

    names = ("incidents", "documents", "messages", "audit_logs")
    indexes = connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY (%s) AND indexname LIKE 'idx%%'",
        [list(names)],
    ).fetchall()
    statements = [
        "SET session_replication_role = replica",
        "SELECT setseed(0.5)",
        *(f"DROP INDEX {name}" for name, _ in indexes),
        f"""INSERT INTO tenants (id, tenant_name, slug)
            SELECT {tenant("n")}, 'Tenant ' || n, 'tenant-' || n FROM generate_series(1, {TENANTS}) n""",
        f"""INSERT INTO users (tenant_id, id, username, email)
            SELECT {tenant("n")}, {tenant("n")}, 'user', 'user@example.com' FROM generate_series(1, {TENANTS}) n""",
        f"""INSERT INTO incidents (tenant_id, id, domain_id, title, raw_text, status, severity, location,
                                   structured_data, created_at)
            SELECT tenant_id, gen_random_uuid(), 'domain-' || n % 7, 'Report ' || n, repeat('words of a report ', 15),
                   (ARRAY['open', 'in_progress', 'resolved', 'closed'])[1 + n % 4], 1 + n % 5,
                   ST_SetSRID(ST_MakePoint(5.9 + random() * 4.6, 45.8 + random() * 2), 4326)::geography,
                   jsonb_build_object('category', 'c' || floor(power(random(), 3) * 40)::int,
                                      'code', floor(random() * 5000)::int, 'place', floor(random() * 300)::int),
                   {START} + n * interval '1 second'
            FROM {spread(rows)}""",
        f"""INSERT INTO documents (tenant_id, id, user_id, title, content, created_at)
            SELECT tenant_id, gen_random_uuid(), tenant_id, 'Document ' || n,
                   (SELECT string_agg('w' || floor(power(random(), 2) * 3000)::int, ' ') FROM generate_series(1, 40 + n % 2)),
                   {START} + n * interval '1 second'
            FROM {spread(rows // 10)}""",
        f"""INSERT INTO conversations (tenant_id, id, user_id)
            SELECT {tenant("t")}, {tenant("c")}, {tenant("t")}
            FROM generate_series(1, {TENANTS}) t, generate_series(1, 100) c""",
        f"""INSERT INTO messages (tenant_id, id, conversation_id, role, content, created_at)
            SELECT tenant_id, gen_random_uuid(), {tenant("1 + floor(random() * 100)::int")}, 'user',
                   repeat('what is said ', 10), {START} + n * interval '1 second'
            FROM {spread(rows // 2)}""",
        f"""INSERT INTO audit_logs (tenant_id, id, action, resource_type, resource_id, created_at)
            SELECT tenant_id, gen_random_uuid(), 'incident.update', 'incident', floor(random() * 500)::int::text,
                   {START} + n * interval '1 second'
            FROM {spread(rows // 2)}""",
        *(definition for _, definition in indexes),
    ]
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.autocommit = True
    connection.execute("VACUUM (ANALYZE)")
    connection.autocommit = False
    return large, small
