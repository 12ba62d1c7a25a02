"""What Alembic runs for every command that touches a database; the work is done by `dbschema.migrations.alembic_env`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import context

from dbschema.migrations import alembic_env

if TYPE_CHECKING:
    from sqlalchemy import MetaData


def metadata() -> MetaData:
    """The models; imported only when a command compares them, as they cost more time than an upgrade's SQL."""
    from dbschema.models import metadata as models  # noqa: PLC0415  see above

    return models


alembic_env.run(context, metadata)
