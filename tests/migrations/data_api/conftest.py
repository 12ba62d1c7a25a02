"""The RDS Data API as a stand-in over HTTP, driven by the real boto3, and databases behind it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import make_url

sys.path[:0] = [str(Path(__file__).parent)]

from stand_in import DataApiStandIn  # noqa: E402  found by the line above

from dbschema import connect  # noqa: E402  as above
from dbschema.migrations import compilation  # noqa: E402  as above

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLUSTER = "arn:aws:rds:eu-central-2:111122223333:cluster:shop"
SECRET = "arn:aws:secretsmanager:eu-central-2:111122223333:secret:shop-AbCdEf"

REVISION = '''
"""Do {id}"""

from alembic import op

revision = "{id}"
down_revision = {below!r}


def upgrade() -> None:
    {up}


def downgrade() -> None:
    pass
'''
ENVIRONMENT = """
from alembic import context
from sqlalchemy import MetaData

from dbschema.migrations import alembic_env

alembic_env.run(context, MetaData(), compare=False)
"""


@pytest.fixture
def service(fresh_database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[DataApiStandIn]:
    """The service, in front of the server of this test run."""
    url = make_url(fresh_database).set(drivername="postgresql").render_as_string(hide_password=False)
    with DataApiStandIn(url, CLUSTER, SECRET) as service:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "AWS_CONFIG_FILE": str(tmp_path / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_RDS_DATA": service.endpoint,
            "AURORA_CLUSTER_ARN": CLUSTER,
            "AURORA_SECRET_ARN": SECRET,
            "DATABASE_NAME": str(make_url(fresh_database).database),
            "DB_WAKE_SECONDS": "20",
        }.items():
            monkeypatch.setenv(name, value)
        yield service


@pytest.fixture
def api(service: DataApiStandIn) -> connect.DataApi:
    """An empty database behind the service, as the environment names it."""
    found = connect.behind_data_api()
    assert found is not None
    return found


@pytest.fixture
def compiled_history(tmp_path: Path) -> Callable[..., Path]:
    """Writes `id=code of upgrade` into a folder of scripts, one revision after the other, and compiles them."""

    def write(**revisions: str) -> Path:
        scripts = tmp_path / f"history{len(revisions)}"
        (scripts / "versions").mkdir(parents=True)
        (scripts / "env.py").write_text(ENVIRONMENT)
        below = None
        for name, up in revisions.items():
            code = "\n    ".join(up.strip().splitlines())
            (scripts / "versions" / f"{name}.py").write_text(REVISION.format(id=name, below=below, up=code))
            below = name
        compilation.write(scripts)
        return scripts

    return write
