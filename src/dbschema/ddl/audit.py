"""What `Audited` promises: each change of a row leaves a row in `audit_logs`, written by the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.ddl.objects import Function, Trigger
from dbschema.ddl.registry import declare_for
from dbschema.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Table

AUDIT_TABLE = "audit_logs"
USER_SETTING = "app.user_id"
"""Who acts: the id of a row in `users`, set for a transaction. Unset, malformed or of another tenant: nobody."""

ADDRESS_SETTING = "app.ip_address"
"""Where the request came from: an address of IPv4 or IPv6, set for a transaction. Unset or malformed: nowhere."""

SILENCE_SETTING = "app.unaudited_tenant"
"""A tenant whose changes leave no rows: one that is being imported or removed. It counts for the tables' owner only."""

LARGEST_VALUE = 65_536
"""Bytes of a value, as JSON, that a row of `audit_logs` keeps whole; of a larger one, length and SHA-256."""

# Called per row, because that is what applications do most: a trigger per statement, with transition tables, was 0.5
# to 0.8 of the time for 20,000 rows at once, and twice as slow for one.
# The tables are looked up beside this function, whatever the caller's search_path offers in their place; what
# set_config changes ends with the function, because the function itself sets search_path.
# Who owns a table may switch its triggers off anyway, so that heeding the setting for him gives nothing away.
# session_user is asked too: a SECURITY DEFINER function of the owner must not silence the log for its callers.
# A tenant that is not seen is gone, unless row security hides it: then the INSERT is tried, and refused.
_BODY = """
DECLARE
    hidden text[] := TG_ARGV[0];
    unremarkable text[] := TG_ARGV[1];
    generated text[] := TG_ARGV[2];
    tenant uuid;
    subject text;
    before jsonb;
    after jsonb;
    unseen jsonb;
    actor uuid;
    address inet;
BEGIN
    PERFORM set_config('search_path', format('pg_catalog, %s, pg_temp', p.pronamespace::regnamespace), true)
        FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE t.tgrelid = TG_RELID AND t.tgname = TG_NAME;
    IF TG_OP = 'DELETE' THEN
        tenant := OLD.tenant_id;
        subject := OLD.id;
    ELSE
        tenant := NEW.tenant_id;
        subject := NEW.id;
    END IF;
    IF current_setting('app.unaudited_tenant', true) = tenant::text AND EXISTS (
        SELECT FROM pg_class c WHERE c.oid = TG_RELID
            AND pg_has_role(session_user, c.relowner, 'MEMBER')
            AND pg_has_role(current_user, c.relowner, 'MEMBER')
    ) THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'DELETE' AND NOT EXISTS (SELECT FROM tenants t WHERE t.id = tenant) AND (
        NOT row_security_active('tenants') OR current_setting('app.tenant_id', true) = tenant::text
    ) THEN
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        before := to_jsonb(OLD) - generated;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        after := to_jsonb(NEW) - generated;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        SELECT coalesce(jsonb_object_agg(c.key, before -> c.key) FILTER (WHERE c.key <> ALL (hidden)), '{}'),
               coalesce(jsonb_object_agg(c.key, c.value) FILTER (WHERE c.key <> ALL (hidden)), '{}'),
               jsonb_agg(c.key ORDER BY c.key) FILTER (WHERE c.key = ANY (hidden))
            INTO before, after, unseen
            FROM jsonb_each(after) c
            WHERE c.value IS DISTINCT FROM before -> c.key AND c.key <> ALL (unremarkable);
        IF after = '{}' AND unseen IS NULL THEN
            RETURN NULL;
        END IF;
    ELSE
        before := before - hidden;
        after := after - hidden;
        unseen := nullif(to_jsonb(hidden), '[]');
    END IF;
    IF pg_column_size(before) > 65536 THEN
        SELECT jsonb_object_agg(c.key, CASE WHEN octet_length(c.value::text) <= 65536 THEN c.value
                ELSE jsonb_build_object('omitted', jsonb_build_object(
                    'bytes', octet_length(c.value #>> '{}'),
                    'sha256', encode(sha256(convert_to(c.value #>> '{}', 'UTF8')), 'hex'))) END)
            INTO before FROM jsonb_each(before) c;
    END IF;
    IF pg_column_size(after) > 65536 THEN
        SELECT jsonb_object_agg(c.key, CASE WHEN octet_length(c.value::text) <= 65536 THEN c.value
                ELSE jsonb_build_object('omitted', jsonb_build_object(
                    'bytes', octet_length(c.value #>> '{}'),
                    'sha256', encode(sha256(convert_to(c.value #>> '{}', 'UTF8')), 'hex'))) END)
            INTO after FROM jsonb_each(after) c;
    END IF;
    IF current_setting('app.user_id', true) ~* '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' THEN
        SELECT u.id INTO actor FROM users u
            WHERE u.tenant_id = tenant AND u.id = current_setting('app.user_id')::uuid;
    END IF;
    IF current_setting('app.ip_address', true) <> '' THEN
        BEGIN
            address := current_setting('app.ip_address');
        EXCEPTION WHEN invalid_text_representation THEN
            address := NULL; -- a header that somebody made up is no reason to refuse the change
        END;
    END IF;
    INSERT INTO audit_logs (tenant_id, user_id, action, resource_type, resource_id, details, ip_address)
        VALUES (tenant, actor, lower(TG_OP), TG_TABLE_NAME, subject,
                CASE WHEN before IS NULL THEN '{}' ELSE jsonb_build_object('old', before) END
                || CASE WHEN after IS NULL THEN '{}' ELSE jsonb_build_object('new', after) END
                || CASE WHEN unseen IS NULL THEN '{}' ELSE jsonb_build_object('hidden', unseen) END,
                address);
    RETURN NULL;
END
"""

AUDIT_FUNCTION = Function(
    name="record_change",
    returns="trigger",
    body=_BODY,
    settings=(("search_path", "pg_catalog"), ("TimeZone", "'UTC'")),
    comment="Writes who changed what, with the old and the new values, into audit_logs",
)


def audit_trigger(table: Table, hidden: Iterable[str] = (), unremarkable: Iterable[str] = ()) -> Trigger:
    """The trigger `audit_<table>_change`; see `keep_audited`."""
    generated = [column.name for column in table.columns if column.computed is not None]
    return Trigger(
        f"audit_{table.name}_change",
        table.name,
        AUDIT_FUNCTION.name,
        timing="AFTER",
        events=("INSERT", "UPDATE", "DELETE"),
        arguments=(_array(hidden), _array(unremarkable), _array(generated)),
        schema=table.schema,
    )


def keep_audited(table: Table, *, hidden: Iterable[str] = (), unremarkable: Iterable[str] = ()) -> None:
    """Declare function and trigger for a table of tenants' rows, in a database that has `tenants`, `users` and `audit_logs`.

    Args:
        table: with the columns `tenant_id` and `id`.
        hidden: columns whose values are never recorded; that they changed is.
        unremarkable: columns that change by themselves; a change of them alone is not recorded.

    Raises:
        DeclarationError: the table is `audit_logs` itself, has no tenant, or has not these columns.
    """
    hidden = tuple(hidden)
    if table.name == AUDIT_TABLE:
        raise DeclarationError(
            f"The table {table.name!r} cannot be audited: each of its rows would make another one",
            "Take the mixin Audited away from it",
        )
    missing = [name for name in ("tenant_id", "id", *hidden) if name not in table.columns]
    if missing:
        raise DeclarationError(
            f"The table {table.name!r} is declared Audited and has no column {', '.join(map(repr, missing))}",
            "Derive it from TenantScoped, and name in __audit_exclude__ columns that the table has",
        )
    declare_for(table, AUDIT_FUNCTION, audit_trigger(table, hidden, unremarkable))


def _array(names: Iterable[str]) -> str:
    """Names as the text of a PostgreSQL array."""
    escaped = (name.replace("\\", "\\\\").replace('"', '\\"') for name in names)
    return "{" + ",".join(f'"{name}"' for name in escaped) + "}"
