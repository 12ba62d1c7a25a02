"""What somebody tries who may run any SQL as a login of the application; see docs/security.md for what that can never stop.

Such a session may set another tenant: that is how the application works. What is shown here is that nothing else leads to
another tenant's rows, neither their values nor whether they are there, and that nothing takes row-level security away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from tests.attacks.conftest import SECRET

from dbschema.ddl import Role, declared
from dbschema.ddl.tenancy import APP_ROLE
from dbschema.models import Base

if TYPE_CHECKING:
    from tests.attacks.conftest import Attack

ROLES = sorted(item.name for item in declared(Base.metadata) if isinstance(item, Role) and item != APP_ROLE)
TABLES = sorted(table.name for table in Base.metadata.sorted_tables)
DENIED = psycopg.errors.InsufficientPrivilege


class TestOtherRoles:
    @pytest.mark.parametrize("role", [*ROLES, "dbschema", "pg_read_all_data", "pg_write_all_data"])
    def test_no_other_role_can_be_taken(self, attack: Attack, role: str) -> None:
        assert isinstance(attack.refused(f"SET ROLE {role}"), DENIED)
        assert isinstance(attack.refused(f"SET SESSION AUTHORIZATION {role}"), DENIED)
        assert isinstance(attack.refused(f"GRANT {role} TO {APP_ROLE.name}"), psycopg.Error)

    @pytest.mark.parametrize("statement", ["RESET ROLE", "SET ROLE NONE", "RESET SESSION AUTHORIZATION"])
    def test_going_back_to_the_login_shows_nothing_more(self, attack: Attack, statement: str) -> None:
        attack.run(f"SET ROLE {APP_ROLE.name}", statement)

        assert attack.ask("SELECT title FROM incidents") == [("my own value",)]

    def test_leaving_the_tenant_shows_nothing_at_all(self, attack: Attack) -> None:
        for statement in ("RESET app.tenant_id", "SET app.tenant_id = ''", "RESET ALL", "DISCARD ALL"):
            attack.run(statement)

            assert attack.ask("SELECT count(*) FROM incidents") == [(0,)]


class TestRowSecurity:
    @pytest.mark.parametrize("table", TABLES)
    def test_switching_it_off_gives_an_error_and_no_rows(self, attack: Attack, table: str) -> None:
        attack.run("SET row_security = off")

        assert isinstance(attack.refused(f"SELECT * FROM {table}"), DENIED)

    @pytest.mark.parametrize(
        "statement",
        [
            "ALTER TABLE incidents DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE incidents NO FORCE ROW LEVEL SECURITY",
            "ALTER TABLE incidents OWNER TO CURRENT_USER",
            "CREATE POLICY mine ON incidents USING (true)",
            "ALTER POLICY tenant_isolation ON incidents USING (true)",
            "DROP POLICY tenant_isolation ON incidents",
            "CREATE TRIGGER mine BEFORE UPDATE ON incidents FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            "ALTER TABLE incidents DISABLE TRIGGER ALL",
            "CREATE RULE mine AS ON UPDATE TO incidents DO INSTEAD NOTHING",
            "CREATE INDEX ON incidents (title)",
            "DROP TABLE incidents CASCADE",
            "CREATE TABLE public.mine (id int)",
            "CREATE SCHEMA mine",
            "ALTER ROLE CURRENT_USER BYPASSRLS",
            "ALTER SYSTEM SET row_security = off",
            "SET session_replication_role = replica",
            "SET SESSION AUTHORIZATION DEFAULT; ALTER FUNCTION refuse_change() OWNER TO CURRENT_USER",
        ],
    )
    def test_nothing_of_the_schema_can_be_changed(self, attack: Attack, statement: str) -> None:
        assert isinstance(attack.refused(statement), DENIED)

    def test_truncate_is_denied(self, attack: Attack) -> None:
        for table in TABLES:
            assert isinstance(attack.refused(f"TRUNCATE {table} CASCADE"), DENIED)

    def test_a_plan_that_was_prepared_for_another_tenant_is_not_kept(self, attack: Attack) -> None:
        attack.run("SET plan_cache_mode = force_generic_plan", "PREPARE mine AS SELECT title FROM incidents")
        first = attack.ask("EXECUTE mine")
        attack.run(f"SET app.tenant_id = '{uuid4()}'")

        assert (first, attack.ask("EXECUTE mine")) == ([("my own value",)], [])


class TestFunctionsOfOnesOwn:
    """A condition that tells what it sees must not see a row before the policy has."""

    LEAK = """
        CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS
        $$ BEGIN RAISE NOTICE 'seen: %', $1; RETURN true; END $$
    """

    @pytest.mark.parametrize(
        "query",
        [
            "SELECT title FROM incidents WHERE pg_temp.leak(title)",
            "SELECT i.title FROM incidents AS i JOIN users AS u ON pg_temp.leak(i.title) AND pg_temp.leak(u.display_name)",
            "SELECT title FROM incidents ORDER BY pg_temp.leak(title)",
            "SELECT count(*) FILTER (WHERE pg_temp.leak(title)) FROM incidents",
            "SELECT title FROM (SELECT title FROM incidents OFFSET 0) AS i WHERE pg_temp.leak(title)",
            "WITH i AS MATERIALIZED (SELECT title FROM incidents) SELECT * FROM i WHERE pg_temp.leak(title)",
            "UPDATE incidents SET severity = 1 WHERE pg_temp.leak(title) RETURNING title",
            "SELECT title FROM incidents WHERE pg_temp.leak(structured_data ->> 'note')",
            "SELECT slug FROM tenants WHERE pg_temp.leak(tenant_name)",
        ],
    )
    def test_a_cheap_function_sees_only_own_rows(self, attack: Attack, query: str) -> None:
        attack.run(self.LEAK, "SET enable_indexscan = off", "SET enable_bitmapscan = off")

        attack.ask(query)

        assert attack.notices, "the function was never asked: the test shows nothing"
        assert not [notice for notice in attack.notices if SECRET in notice]

    def test_an_operator_sees_only_own_rows(self, attack: Attack) -> None:
        attack.run(
            self.LEAK.replace("leak(text)", "leaks(text, text)"),
            "CREATE OPERATOR pg_temp.<<< (FUNCTION = pg_temp.leaks, LEFTARG = text, RIGHTARG = text, RESTRICT = eqsel)",
        )

        attack.ask("SELECT title FROM incidents WHERE title OPERATOR(pg_temp.<<<) 'x'")

        assert [notice for notice in attack.notices if "my own value" in notice]
        assert not [notice for notice in attack.notices if SECRET in notice]

    def test_nobody_can_call_a_function_leakproof(self, attack: Attack) -> None:
        attack.run(self.LEAK)

        assert isinstance(
            attack.refused("ALTER FUNCTION pg_temp.leak(text) LEAKPROOF"),
            psycopg.errors.InsufficientPrivilege,
        )
        assert isinstance(
            attack.refused(self.LEAK.replace("COST", "LEAKPROOF COST").replace("leak(", "more(")), DENIED
        )

    def test_an_error_in_a_condition_tells_of_own_rows_only(self, attack: Attack) -> None:
        guess = "SELECT 1 / (CASE WHEN title = %s THEN 0 ELSE 1 END) FROM incidents"

        assert attack.ask(guess, SECRET) == [(1,)]
        assert isinstance(attack.refused(guess, "my own value"), psycopg.errors.DivisionByZero)
        assert "my own value" in str(attack.refused("SELECT title::int FROM incidents"))

    def test_a_view_of_ones_own_shows_own_rows(self, attack: Attack) -> None:
        attack.run("CREATE TEMP VIEW mine WITH (security_barrier = false) AS SELECT title FROM incidents")

        assert attack.ask("SELECT * FROM mine") == [("my own value",)]


class TestOracles:
    """Whether something is there in another tenant must make no difference that can be seen."""

    def test_a_foreign_key_says_the_same_of_another_tenants_row_and_of_none(self, attack: Attack) -> None:
        insert = "INSERT INTO incidents (tenant_id, domain_id, created_by) VALUES (%s, 'roads', %s)"

        theirs = attack.refused(insert, attack.mine, attack.theirs)
        nobody = uuid4()
        none = attack.refused(insert, attack.mine, nobody)

        assert isinstance(theirs, psycopg.errors.ForeignKeyViolation)
        assert str(theirs).replace(str(attack.theirs), "") == str(none).replace(str(nobody), "")

    def test_a_foreign_key_of_a_row_in_another_tenant_is_never_asked(self, attack: Attack) -> None:
        insert = "INSERT INTO incidents (tenant_id, domain_id, created_by) VALUES (%s, 'roads', %s)"

        there = attack.refused(insert, attack.theirs, attack.theirs)
        nowhere = attack.refused(insert, uuid4(), uuid4())

        assert isinstance(there, DENIED)
        assert str(there) == str(nowhere)

    @pytest.mark.parametrize(
        ("table", "column", "other"),
        [
            ("users", "username", "email"),
            ("users", "email", "username"),
            ("orders", "order_number", "customer_email"),
        ],
    )
    def test_a_unique_key_is_free_where_another_tenant_has_it(
        self, attack: Attack, table: str, column: str, other: str
    ) -> None:
        (value,) = attack.admin.execute(
            f"SELECT {column} FROM {table} WHERE tenant_id = %s", (attack.theirs,)
        ).fetchone() or (None,)
        extra = ", total_amount" if table == "orders" else ""
        insert = f"INSERT INTO {table} (tenant_id, {column}, {other}{extra}) VALUES (%s, %s, %s{', 1' if extra else ''})"

        attack.connection.execute(insert, (attack.mine, value, uuid4().hex))

        assert value is not None

    @pytest.mark.parametrize("table", TABLES)
    def test_the_key_of_another_tenants_row_is_refused_by_the_policy_before_it_is_looked_up(
        self, attack: Attack, table: str
    ) -> None:
        row = {"id": attack.theirs} | ({} if table == "tenants" else {"tenant_id": attack.theirs})
        names, marks = ", ".join(row), ", ".join(["%s"] * len(row))

        there = attack.refused(f"INSERT INTO {table} ({names}) VALUES ({marks})", *row.values())

        assert isinstance(there, DENIED)

    def test_the_slug_of_a_tenant_is_the_one_thing_that_must_be_unique_everywhere(
        self, attack: Attack
    ) -> None:
        """Slugs stand in addresses and are no secret; what has one is not told."""
        taken = f"t-{attack.theirs.hex}"

        refused = attack.refused("UPDATE tenants SET slug = %s", taken)

        assert isinstance(refused, psycopg.errors.UniqueViolation)
        assert refused.diag.message_detail is None
        assert (
            attack.ask(
                "INSERT INTO tenants (id, tenant_name, slug) VALUES (%s, 'x', %s) ON CONFLICT DO NOTHING RETURNING tenant_name",
                attack.mine,
                taken,
            )
            == []
        )

    def test_an_upsert_cannot_reach_into_another_tenant(self, attack: Attack) -> None:
        taken = f"t-{attack.theirs.hex}"
        attack.run(f"SET app.tenant_id = '{uuid4()}'")

        refused = attack.refused(
            "INSERT INTO tenants (id, tenant_name, slug) VALUES (current_setting('app.tenant_id')::uuid, 'x', %s)"
            " ON CONFLICT (slug) DO UPDATE SET tenant_name = 'mine' RETURNING tenants.tenant_name",
            taken,
        )

        assert isinstance(refused, DENIED)

    def test_merge_update_from_delete_using_and_locks_reach_nothing(self, attack: Attack) -> None:
        theirs = attack.theirs

        assert attack.ask("SELECT title FROM incidents WHERE id = %s FOR UPDATE", theirs) == []
        assert (
            attack.ask(
                "UPDATE incidents SET title = 'x' FROM users WHERE incidents.id = %s RETURNING users.id",
                theirs,
            )
            == []
        )
        assert (
            attack.ask("DELETE FROM incidents USING users WHERE incidents.id = %s RETURNING 1", theirs) == []
        )
        merged = attack.connection.execute(
            "MERGE INTO incidents AS i USING (VALUES (%s::uuid)) AS v (id) ON i.id = v.id"
            " WHEN MATCHED THEN UPDATE SET title = 'x' WHEN NOT MATCHED THEN DO NOTHING",
            (theirs,),
        )
        assert merged.rowcount == 0

    def test_a_constraint_that_fails_does_not_quote_a_row_of_somebody_else(self, attack: Attack) -> None:
        attack.refused("UPDATE incidents SET severity = 9")
        attack.refused("UPDATE orders SET total_amount = -1")
        attack.refused("DELETE FROM users")


class TestThePlanner:
    def test_explain_tells_no_value_of_another_tenant(self, attack: Attack) -> None:
        plans = attack.ask(
            "EXPLAIN (ANALYZE, VERBOSE, BUFFERS) SELECT * FROM incidents WHERE title LIKE 'the%%'"
        )

        assert not [line for (line,) in plans if SECRET in line]

    @pytest.mark.parametrize("view", ["pg_stats", "pg_stats_ext", "pg_stats_ext_exprs"])
    def test_statistics_of_our_tables_are_hidden(self, attack: Attack, view: str) -> None:
        attack.admin.execute("ANALYZE incidents, users")

        assert attack.ask(f"SELECT * FROM {view} WHERE tablename = ANY (%s)", TABLES) == []

    def test_statistics_themselves_are_denied(self, attack: Attack) -> None:
        assert isinstance(attack.refused("SELECT * FROM pg_statistic"), DENIED)
        assert isinstance(attack.refused("SELECT * FROM pg_statistic_ext_data"), DENIED)

    @pytest.mark.parametrize(
        ("condition", "told"),
        [
            ('structured_data @> \'{"note": "common"}\'', False),
            ("title LIKE 'comm%'", False),
            ("title = 'common'", True),
            ("title ^@ 'comm'", True),
            ("severity = 5", True),
        ],
    )
    def test_estimates_tell_what_is_common_elsewhere_only_by_operators_that_are_leakproof(
        self, attack: Attack, condition: str, told: bool
    ) -> None:
        """The planner knows the common values of all tenants. docs/security.md says whom that concerns."""
        attack.admin.execute(
            "INSERT INTO incidents (tenant_id, domain_id, title, severity, structured_data)"
            " SELECT %s, 'passing', 'common', 5, '{\"note\": \"common\"}' FROM generate_series(1, 3000)",
            (attack.theirs,),
        )
        attack.admin.execute("ANALYZE incidents")
        miss = condition.replace("comm", "none").replace("5", "2")

        plans = [
            attack.ask(f"EXPLAIN (FORMAT JSON) SELECT * FROM incidents WHERE {one}")
            for one in (condition, miss)
        ]
        attack.admin.execute(
            "DELETE FROM incidents WHERE tenant_id = %s AND domain_id = 'passing'", (attack.theirs,)
        )

        hit, missed = (plan["Plan"]["Plan Rows"] for (((plan,),),) in plans)
        assert (hit > missed) is told

    def test_queries_of_other_logins_are_hidden(self, attack: Attack) -> None:
        attack.admin.execute("SELECT %s::text", (SECRET,))

        seen = attack.ask("SELECT query FROM pg_stat_activity WHERE usename <> current_user")

        assert seen
        assert {query for (query,) in seen} <= {"<insufficient privilege>", None, ""}


class TestCopies:
    def test_copy_gives_own_rows_only(self, attack: Attack) -> None:
        with attack.connection.cursor().copy("COPY incidents (title) TO STDOUT") as copy:
            data = b"".join(bytes(part) for part in copy)

        assert data == b"my own value\n"

    def test_copy_into_a_table_is_refused(self, attack: Attack) -> None:
        with (
            pytest.raises(psycopg.errors.FeatureNotSupported),
            attack.connection.cursor().copy("COPY incidents (tenant_id, domain_id) FROM STDIN") as copy,
        ):
            copy.write_row((attack.theirs, "roads"))

    @pytest.mark.parametrize(
        "statement",
        [
            "COPY incidents TO '/tmp/incidents'",
            "COPY incidents TO PROGRAM 'cat'",
            "SELECT pg_read_file('PG_VERSION')",
            "SELECT lo_import('/etc/passwd')",
            "SELECT pg_ls_dir('.')",
            "SELECT * FROM pg_authid",
            "CREATE EXTENSION dblink",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'dbschema'",
        ],
    )
    def test_the_server_itself_is_out_of_reach(self, attack: Attack, statement: str) -> None:
        assert isinstance(attack.refused(statement), DENIED)


class TestShadows:
    """Names of one's own before those that triggers and functions of the schema mean."""

    SHADOWS = (
        "CREATE TEMP TABLE incidents (tenant_id uuid, id uuid, title text, updated_at timestamptz)",
        "CREATE FUNCTION pg_temp.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT '2001-01-01'::timestamptz $$",
        "CREATE FUNCTION pg_temp.nullif(text, text) RETURNS text LANGUAGE sql AS $$ SELECT NULL::text $$",
        "CREATE FUNCTION pg_temp.current_setting(text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT $1 $$",
        "SET search_path = pg_temp, public",
    )

    def test_the_policy_asks_what_it_was_made_to_ask(self, attack: Attack) -> None:
        attack.run(*self.SHADOWS)

        assert attack.ask("SELECT title FROM public.incidents") == [("my own value",)]

    def test_the_time_of_a_change_is_the_servers(self, attack: Attack) -> None:
        attack.run(*self.SHADOWS)

        changed = attack.ask("UPDATE public.incidents SET title = 'x' RETURNING updated_at > '2020-01-01'")

        assert changed == [(True,)]

    def test_what_is_appended_stays(self, attack: Attack) -> None:
        attack.run(*self.SHADOWS)

        assert isinstance(attack.refused("UPDATE public.audit_logs SET action = 'x'"), DENIED)
        assert isinstance(attack.refused("DELETE FROM public.audit_logs"), DENIED)

    def test_functions_with_the_rights_of_their_owner_have_a_search_path_of_their_own(
        self, attack: Attack
    ) -> None:
        open_ones = attack.ask(
            "SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
            " LEFT JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e'"
            " WHERE p.prosecdef AND n.nspname !~ '^pg_' AND d.objid IS NULL"
            " AND NOT EXISTS (SELECT FROM unnest(p.proconfig) AS c WHERE c LIKE 'search_path=%%pg_temp')"
        )

        assert open_ones == []
