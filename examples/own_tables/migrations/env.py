"""The environment that Alembic loads for commands on a database: dbschema's, with the tables of the shop."""

from alembic import context
from sqlalchemy import MetaData

from dbschema.migrations import alembic_env


def metadata() -> MetaData:
    """Return all models, dbschema's and the shop's; imported only when a command compares them."""
    from shop.models import metadata as models  # noqa: PLC0415  an upgrade does not need them

    return models


alembic_env.run(context, metadata)
