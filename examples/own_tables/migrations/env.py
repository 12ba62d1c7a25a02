"""What Alembic runs for every command that touches a database; dbschema does the work, with the tables of the shop."""

from alembic import context
from sqlalchemy import MetaData

from dbschema.migrations import environment


def metadata() -> MetaData:
    """All models, dbschema's and the shop's; imported only when a command compares them."""
    from shop.models import metadata as models  # noqa: PLC0415  an upgrade does not need them

    return models


environment.run(context, metadata)
