"""One deployed stack, as its operator sees it: deployments that succeed or fail, a database, a secret, releases of code."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any

import psycopg
from archives import VERSIONS, with_revisions
from framework import FUNCTION, HANDLERS
from lambda_service import Definition
from sqlalchemy import make_url

from leaks import AWKWARD

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from custom_resource import Answer, CloudFormation, Request
    from framework import Framework
    from lambda_service import LambdaService
    from synthesis import Assembly

REVISION = '''"""{slug}"""

from alembic import op

revision = "{slug}"
down_revision = "{down}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""{up}""")


def downgrade() -> None:
    op.execute("""{down_sql}""")
'''

GATE = """
INSERT INTO tests.done VALUES ('once');
DO $$ BEGIN
    WHILE to_regclass('tests.gate') IS NOT NULL LOOP
        PERFORM pg_sleep(0.05);
    END LOOP;
END $$
"""
"""A revision that runs until the test opens the gate."""

AT_THE_GATE = "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%tests.gate%' AND pid <> pg_backend_pid()"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class Stack:
    """A custom resource, its functions, its secret and its database.

    The functions have the variables and the time limit that synthesis gave them, with this machine's database.
    """

    def __init__(
        self,
        *,
        assembly: Assembly,
        framework: Framework,
        service: LambdaService,
        cloudformation: CloudFormation,
        secrets: Any,
        parameters: Any,
        new_database: Callable[..., str],
        folder: Path,
        task_root: Path,
    ) -> None:
        self._assembly, self._framework, self._cloudformation = assembly, framework, cloudformation
        self.service, self._folder = service, folder
        self._secrets, self._parameters = secrets, parameters
        self._new_database = new_database
        self.base = task_root
        self.task_root = task_root
        self.timeout = 60.0
        self.physical_id: str | None = None
        self.passwords: list[str] = []
        self.traces: list[str] = []
        self.variables: dict[str, str] = {}
        self._login = f"owner_{uuid.uuid4().hex[:12]}"
        self.admin = ""
        self.use_database(new_database(driver=""))
        (resource,) = assembly.resources("Migration", "Custom::DbSchemaMigration").values()
        self.head = str(resource["Properties"]["HeadRevision"])
        self._hash = str(resource["Properties"]["CodeHash"])
        self._properties: dict[str, str] = {}

    # --- database and secret -----------------------------------------------------------------

    def use_database(self, address: str) -> None:
        """Let the stack own another database: a login and a secret for it."""
        url = make_url(address)
        first = not self.admin
        self.admin = address
        self.host, self.port, self.database = str(url.host), int(url.port or 0), str(url.database)
        if first:
            self.password = self._new_password()
            self.execute(f"CREATE ROLE {self._login} LOGIN SUPERUSER PASSWORD {_literal(self.password)}")
            arn = self._secrets.create_secret(Name=self._login, SecretString=self._secret_text())["ARN"]
            self.secret = str(arn)

    def migrated(self) -> None:
        """Let the stack own a database that is migrated already."""
        self.use_database(self._new_database(migrated=True, driver=""))

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Something in its database, as superuser; the rows."""
        with psycopg.connect(self.admin, autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[arg-type]  # the tests' own text
            return cursor.fetchall() if cursor.description else []

    def versions(self) -> list[str]:
        """At which revisions the database stands; [] where it was never migrated."""
        if self.execute("SELECT to_regclass('alembic_version')") == [(None,)]:
            return []
        return [str(row[0]) for row in self.execute("SELECT version_num FROM alembic_version")]

    def close_gate(self) -> None:
        """Let revisions that have `GATE` run until `open_gate`."""
        self.execute("CREATE SCHEMA IF NOT EXISTS tests; CREATE TABLE tests.gate ()")
        self.execute("CREATE TABLE tests.done (what text)")

    def open_gate(self) -> None:
        """Let revisions that have `GATE` end."""
        self.execute("DROP TABLE tests.gate")

    def done(self) -> list[str]:
        """What revisions with `GATE` have written down."""
        return [str(row[0]) for row in self.execute("SELECT what FROM tests.done")]

    def tables(self) -> set[str]:
        return {
            str(row[0]) for row in self.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        }

    def change_password(self, *, tell: bool) -> None:
        """A new password in the database; with `tell`, in the secret, too."""
        self.password = self._new_password()
        self.execute(f"ALTER ROLE {self._login} PASSWORD {_literal(self.password)}")
        if tell:
            self.write_secret(self.password)

    def write_parameters(self, *left_out: str) -> None:
        """Let the functions find the database by parameters and the secret that one of them names; some may be left out."""
        prefix = f"/{self._login}/database"
        values = {
            "endpoint": self.host,
            "port": str(self.port),
            "name": self.database,
            "credentials-arn": self.secret,
        }
        for name, value in values.items():
            if name not in left_out:
                self._parameters.put_parameter(
                    Name=f"{prefix}/{name}", Value=value, Type="String", Overwrite=True
                )
        others = dict.fromkeys(("DB_SECRET_ARN", "DB_HOST", "DB_PORT", "DB_NAME"), "")
        self.variables |= {**others, "DB_SSM_PREFIX": prefix}

    def write_secret(self, password: str) -> None:
        """A new version of the secret."""
        self.passwords.append(password)
        self._secrets.put_secret_value(SecretId=self.secret, SecretString=self._secret_text(password))

    def forget(self) -> None:
        """Remove the login."""
        maintenance = make_url(self.admin).set(database="postgres").render_as_string(hide_password=False)
        with psycopg.connect(maintenance, autocommit=True) as connection:
            for (name,) in connection.execute(
                "SELECT datname FROM pg_database WHERE datallowconn"
            ).fetchall():
                address = make_url(self.admin).set(database=name).render_as_string(hide_password=False)
                if name == self.database:
                    with psycopg.connect(address, autocommit=True) as inside:
                        inside.execute(f"REASSIGN OWNED BY {self._login} TO CURRENT_USER")
                        inside.execute(f"DROP OWNED BY {self._login}")
            connection.execute(f"DROP ROLE {self._login}")

    def _new_password(self) -> str:
        self.passwords.append(f"{uuid.uuid4().hex}-{AWKWARD}")
        return self.passwords[-1]

    def _secret_text(self, password: str | None = None) -> str:
        return json.dumps({"username": self._login, "password": password or self.password})

    # --- code --------------------------------------------------------------------------------

    def release(self, task_root: Path, head: str) -> None:
        """Another release of the code: an unpacked archive and its last revision."""
        self.task_root, self.head, self._hash = task_root, head, uuid.uuid4().hex

    def release_revision(self, slug: str, up: str, *, down_sql: str = "SELECT 1") -> None:
        """The next release has one more revision."""
        text = REVISION.format(slug=slug, down=self.head, up=up, down_sql=down_sql)
        folder = with_revisions(self.task_root, self._folder / slug, **{slug: text})
        assert (folder / VERSIONS / f"{slug}.py").exists()
        self.release(folder, slug)

    # --- deployments -------------------------------------------------------------------------

    def deploy(self, kind: str, **properties: str) -> Answer:
        """A deployment from CloudFormation's view: one request, and its one answer."""
        self.put_code()
        return self.finish(self.begin(kind, **properties))

    def put_code(self) -> None:
        """The functions get the present release, and new processes, as with each deployment."""
        variables = {
            "DB_SECRET_ARN": self.secret,
            "DB_HOST": self.host,
            "DB_PORT": str(self.port),
            "DB_NAME": self.database,
        }
        functions = []
        for name, handler in HANDLERS.items():
            (found,) = (
                each["Properties"]
                for each in self._assembly.resources("Migration", "AWS::Lambda::Function").values()
                if each["Properties"]["Handler"] == handler
            )
            given = found["Environment"]["Variables"]
            assert set(variables) <= set(given)
            environment = {**given, **variables, **self.variables}
            functions.append(Definition(name, handler, self.task_root, environment, self.timeout))
        self.service.deploy(*functions)

    def begin(self, kind: str, **properties: str) -> Request:
        """Send a request to the framework; other threads go on with it."""
        given = {
            "HeadRevision": self.head,
            "CodeHash": self._hash,
            "Database": f"{self.host}/{self.database}",
        }
        wanted = {**given, **properties}
        request = self._cloudformation.request(kind, wanted, self._properties, self.physical_id)
        self._properties = wanted
        self._framework.start(self._framework.call, "onEvent", dict(request.event))
        return request

    def finish(self, request: Request) -> Answer:
        """The answer to a request, when all that was begun has ended: nobody answers twice."""
        self._framework.wait()
        assert request.count == 1, self.service.log()[-3000:]
        answer = request.answers.get_nowait()
        assert answer.size <= 4096
        assert answer.body["RequestId"] == request.event["RequestId"]
        if answer.status == "SUCCESS":
            self.physical_id = answer.physical_id
        return answer

    def invoke(self, event: dict[str, Any]) -> Any:
        """A plain call of the first function."""
        return self.service.invoke(FUNCTION, json.dumps(event).encode()).payload

    def wait_until(self, what: str | Callable[[], object]) -> None:
        """Return when a query of its database has a row, or a function says yes."""
        deadline = time.monotonic() + 60
        while not (self.execute(what) if isinstance(what, str) else what()):
            if time.monotonic() > deadline:
                raise AssertionError(f"never came true: {what}\n{self.service.log()[-3000:]}")
            time.sleep(0.05)
