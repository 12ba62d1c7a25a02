"""What `Audited` promises: each change of a row leaves a row in the audit log, written by the database.

What `AppendOnly` promises: rows are added and never changed, and go only with the tenant that they belong to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbschema.ddl.base import qualified, quote
from dbschema.ddl.functions import Function
from dbschema.ddl.registry import declare_for
from dbschema.ddl.triggers import Trigger
from dbschema.errors import DeclarationError
from dbschema.sql import sql_string

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Table


@dataclass(frozen=True)
class AuditTables:
    """The tables that the audit function reads and writes, all in its schema.

    Args:
        log: gets a row for each change; with the columns `tenant_id`, `user_id`, `action`, `resource_type`, `resource_id`,
            `details` (jsonb) and `ip_address` (inet).
        tenants: the tenants, by `id`.
        users: the users who act, by `tenant_id` and `id`.
    """

    log: str = "audit_logs"
    tenants: str = "tenants"
    users: str = "users"


_DEFAULT_TABLES = AuditTables()

USER_SETTING = "app.user_id"
"""Who acts: the id of a user, set for a transaction. Unset, malformed or of another tenant: nobody."""

ADDRESS_SETTING = "app.ip_address"
"""Where the request came from: an address of IPv4 or IPv6, set for a transaction. Unset or malformed: nowhere."""

SILENCE_SETTING = "app.unaudited_tenant"
"""A tenant whose changes leave no rows: one that is being imported or removed. It counts for the tables' owner only."""

LARGEST_VALUE = 65_536
"""Bytes of a value, as JSON, that a row of the log keeps whole; of a larger one, length and SHA-256."""

# Called per row, because single rows are what applications change most: a trigger per statement, with transition tables,
# took 0.5 to 0.9 of the time for 20,000 rows at once, and 1.4 to 2.5 times as long for one.
# What costs most is the INSERT with its keys and indexes. Beside it, to be cheap means here: conditions without queries in
# them (plpgsql evaluates those without the executor), a loop over the columns instead of an aggregate, casts in blocks
# instead of regular expressions, and of the settings only those are changed that are not what they should be.
# The tables are those beside this function, whatever the caller's search_path offers in their place. Functions that take
# any type are named with their schema, or one beside the tables that takes just this type would be preferred.
# The five settings decide what a value looks like as JSON. It should not depend on who writes; and floats that are rounded
# enough do not differ, so that a change of them could be hidden.
# Who owns a table may switch its triggers off anyway, so that heeding the setting for him gives nothing away.
# session_user is asked too: a SECURITY DEFINER function of the owner must not silence the log for its callers.
# A tenant that is not seen is gone, unless row-level security hides it: then the INSERT is tried, and rejected.
_BODY = """
DECLARE
    hidden text[] := TG_ARGV[0];
    tenant uuid;
    subject text;
    before jsonb;
    after jsonb;
    details jsonb;
    seen_before jsonb := '{}';
    seen_after jsonb := '{}';
    unseen jsonb := '[]';
    field text;
    actor uuid;
    address inet;
    given text;
    present text[] := ARRAY[current_setting('TimeZone'), current_setting('extra_float_digits'),
        current_setting('DateStyle'), current_setting('IntervalStyle'), current_setting('bytea_output')];
    wanted CONSTANT text[] := '{UTC,1,"ISO, MDY",postgres,hex}'::text[];
    names CONSTANT text[] := '{TimeZone,extra_float_digits,DateStyle,IntervalStyle,bytea_output}'::text[];
BEGIN
    IF TG_OP = 'DELETE' THEN
        tenant := OLD.tenant_id;
        subject := OLD.id;
    ELSE
        tenant := NEW.tenant_id;
        subject := NEW.id;
    END IF;
    IF current_setting('app.unaudited_tenant', true) = tenant::text THEN
        IF EXISTS (
            SELECT FROM pg_class c WHERE c.oid = TG_RELID
                AND pg_has_role(session_user, c.relowner, 'MEMBER')
                AND pg_has_role(current_user, c.relowner, 'MEMBER')
        ) THEN
            RETURN NULL;
        END IF;
    END IF;
    IF TG_OP = 'DELETE' THEN
        IF NOT EXISTS (SELECT FROM {tenants} t WHERE t.id = tenant) THEN
            IF NOT row_security_active({tenants_text}) OR current_setting('app.tenant_id', true) = tenant::text THEN
                RETURN NULL;
            END IF;
        END IF;
    END IF;

    IF present OPERATOR(pg_catalog.<>) wanted THEN
        FOR i IN 1..5 LOOP
            IF present[i] <> wanted[i] THEN
                PERFORM set_config(names[i], wanted[i], true);
            END IF;
        END LOOP;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        before := pg_catalog.to_jsonb(OLD) - TG_ARGV[2]::text[];
    END IF;
    IF TG_OP <> 'DELETE' THEN
        after := pg_catalog.to_jsonb(NEW) - TG_ARGV[2]::text[];
    END IF;
    IF present OPERATOR(pg_catalog.<>) wanted THEN
        FOR i IN 1..5 LOOP
            IF present[i] <> wanted[i] THEN
                PERFORM set_config(names[i], present[i], true);
            END IF;
        END LOOP;
    END IF;

    IF TG_OP = 'UPDATE' THEN
        before := before - TG_ARGV[1]::text[];
        after := after - TG_ARGV[1]::text[];
        FOREACH field IN ARRAY ARRAY(SELECT jsonb_object_keys(after)) LOOP
            IF before -> field <> after -> field THEN
                IF field = ANY (hidden) THEN
                    unseen := unseen || pg_catalog.to_jsonb(field);
                ELSE
                    seen_before := seen_before || pg_catalog.jsonb_build_object(field, before -> field);
                    seen_after := seen_after || pg_catalog.jsonb_build_object(field, after -> field);
                END IF;
            END IF;
        END LOOP;
        IF seen_after = '{}' AND unseen = '[]' THEN
            RETURN NULL;
        END IF;
        before := seen_before;
        after := seen_after;
    ELSE
        before := before - hidden;
        after := after - hidden;
        unseen := pg_catalog.to_jsonb(hidden);
    END IF;
    IF pg_catalog.pg_column_size(before) > 65536 THEN
        SELECT jsonb_object_agg(c.key, CASE WHEN octet_length(c.value::text) <= 65536 THEN c.value
                ELSE pg_catalog.jsonb_build_object('omitted', pg_catalog.jsonb_build_object(
                    'bytes', octet_length(c.value #>> '{}'),
                    'sha256', encode(sha256(convert_to(c.value #>> '{}', 'UTF8')), 'hex'))) END)
            INTO before FROM jsonb_each(before) c;
    END IF;
    IF pg_catalog.pg_column_size(after) > 65536 THEN
        SELECT jsonb_object_agg(c.key, CASE WHEN octet_length(c.value::text) <= 65536 THEN c.value
                ELSE pg_catalog.jsonb_build_object('omitted', pg_catalog.jsonb_build_object(
                    'bytes', octet_length(c.value #>> '{}'),
                    'sha256', encode(sha256(convert_to(c.value #>> '{}', 'UTF8')), 'hex'))) END)
            INTO after FROM jsonb_each(after) c;
    END IF;
    details := CASE TG_OP
        WHEN 'INSERT' THEN pg_catalog.jsonb_build_object('new', after)
        WHEN 'DELETE' THEN pg_catalog.jsonb_build_object('old', before)
        ELSE pg_catalog.jsonb_build_object('old', before, 'new', after) END;
    IF unseen <> '[]' THEN
        details := details || pg_catalog.jsonb_build_object('hidden', unseen);
    END IF;

    -- A value that is no id or no address, such as an invented header, does not prevent the change.
    given := current_setting('app.user_id', true);
    IF given <> '' THEN
        BEGIN
            actor := given;
        EXCEPTION WHEN invalid_text_representation THEN
            NULL;
        END;
    END IF;
    given := current_setting('app.ip_address', true);
    IF given <> '' THEN
        BEGIN
            address := given;
        EXCEPTION WHEN invalid_text_representation THEN
            NULL;
        END;
    END IF;
    IF actor IS NOT NULL THEN
        actor := (SELECT u.id FROM {users} u WHERE u.tenant_id = tenant AND u.id = actor);
    END IF;
    INSERT INTO {log} (tenant_id, user_id, action, resource_type, resource_id, details, ip_address)
        VALUES (tenant, actor, lower(TG_OP), TG_TABLE_NAME, subject, details, address);
    RETURN NULL;
END
"""

AUDIT_FUNCTION_NAME = "record_change"


def audit_function(tables: AuditTables) -> Function:
    """The function that each audit trigger calls."""
    body = _BODY
    names = {
        "{tenants_text}": sql_string(quote(tables.tenants)),
        "{tenants}": quote(tables.tenants),
        "{users}": quote(tables.users),
        "{log}": quote(tables.log),
    }
    for placeholder, name in names.items():
        body = body.replace(placeholder, name)
    return Function(
        name=AUDIT_FUNCTION_NAME,
        returns="trigger",
        body=body,
        pinned_to=(),
        comment=f"Writes who changed what, with the old and the new values, into {tables.log}",
    )


def audit_trigger(table: Table, hidden: Iterable[str] = (), unremarkable: Iterable[str] = ()) -> Trigger:
    """The trigger `audit_<table>_change`; see `keep_audited`."""
    generated = [column.name for column in table.columns if column.computed is not None]
    return Trigger(
        f"audit_{table.name}_change",
        table.name,
        AUDIT_FUNCTION_NAME,
        timing="AFTER",
        events=("INSERT", "UPDATE", "DELETE"),
        arguments=(_array(hidden), _array(unremarkable), _array(generated)),
        schema=table.schema,
    )


def keep_audited(
    table: Table,
    *,
    hidden: Iterable[str] = (),
    unremarkable: Iterable[str] = (),
    tables: AuditTables = _DEFAULT_TABLES,
) -> None:
    """Declare function and trigger for a table of tenants' rows.

    Args:
        table: with the columns `tenant_id` and `id`.
        hidden: columns whose values are never recorded; that they changed is.
        unremarkable: columns that change by themselves; a change of them alone is not recorded.
        tables: where changes are recorded.

    Raises:
        DeclarationError: the table is the log itself, has no tenant, or has not these columns.
    """
    hidden = tuple(hidden)
    if table.name == tables.log:
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
    declare_for(table, audit_function(tables), audit_trigger(table, hidden, unremarkable))


def _array(names: Iterable[str]) -> str:
    """Names as the text of a PostgreSQL array."""
    escaped = (name.replace("\\", "\\\\").replace('"', '\\"') for name in names)
    return "{" + ",".join(f'"{name}"' for name in escaped) + "}"


TENANT_REFERENCE = "tenants.id"
"""The column that names tenants, where nobody says otherwise."""

APPEND_ONLY_FUNCTION = Function(
    name="refuse_change",
    returns="trigger",
    # A row may go when the foreign key to its tenant removes it: then this trigger runs inside that key's own trigger
    # (depth 2) and the tenant is no longer there. The look-up must not be filtered: who changes app.tenant_id in the
    # middle of a DELETE would make the tenant invisible; with row_security off that is an error instead. Within the
    # key's own trigger PostgreSQL spares the owner FORCE, and the look-up sees all.
    # The table of tenants is the one beside this function, whatever the caller's search_path offers in its place, or the
    # one that the trigger names.
    body=(
        "\nDECLARE\n"
        "    tenant_stands boolean;\n"
        "BEGIN\n"
        "    IF TG_OP = 'DELETE' AND pg_trigger_depth() > 1 THEN\n"
        "        IF TG_NARGS = 0 THEN\n"
        "            tenant_stands := EXISTS (SELECT FROM {tenants} t WHERE t.id = OLD.tenant_id);\n"
        "        ELSE\n"
        "            EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE %s = $1)', TG_ARGV[0], TG_ARGV[1])\n"
        "                INTO tenant_stands USING OLD.tenant_id;\n"
        "        END IF;\n"
        "        IF NOT tenant_stands THEN\n"
        "            RETURN OLD;\n"
        "        END IF;\n"
        "    END IF;\n"
        "    RAISE EXCEPTION '% on % is refused: the table is append-only', TG_OP, TG_TABLE_NAME\n"
        "        USING ERRCODE = 'insufficient_privilege',\n"  # words: stored in databases
        "              HINT = 'Rows go only with the tenant they belong to. Add a row that corrects the earlier one.';\n"
        "END\n"
    ).replace("{tenants}", TENANT_REFERENCE.partition(".")[0]),
    settings=(("row_security", "off"),),
    pinned_to=(),
    comment="Refuses UPDATE, DELETE and TRUNCATE, but for the removal of the tenant itself",  # words: stored in databases
)


def append_only_triggers(
    table: Table, tenant_reference: str | None = TENANT_REFERENCE
) -> tuple[Trigger, Trigger]:
    """The triggers `refuse_<table>_change` (per row) and `refuse_<table>_truncate` (per statement)."""
    function = APPEND_ONLY_FUNCTION.name
    return (
        Trigger(
            f"refuse_{table.name}_change",
            table.name,
            function,
            events=("UPDATE", "DELETE"),
            arguments=_place(tenant_reference or TENANT_REFERENCE),
            schema=table.schema,
        ),
        Trigger(
            f"refuse_{table.name}_truncate",
            table.name,
            function,
            events=("TRUNCATE",),
            level="STATEMENT",
            schema=table.schema,
        ),
    )


def keep_append_only(table: Table, tenant_reference: str | None = TENANT_REFERENCE) -> None:
    """Declare function and triggers for a table with a column `tenant_id`.

    Args:
        table: the table.
        tenant_reference: the column that names tenants, as a foreign key would say it.
    """
    declare_for(table, APPEND_ONLY_FUNCTION, *append_only_triggers(table, tenant_reference))


def _place(reference: str) -> tuple[str, ...]:
    """Table and column as SQL; nothing for the table that stands beside the function."""
    if reference == TENANT_REFERENCE:
        return ()
    *schema, table, column = reference.split(".")
    return qualified(".".join(schema) or None, table), quote(column)
