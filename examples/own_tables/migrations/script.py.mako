<% body = f"{upgrades or ''}{downgrades or ''}" %>\
"""${message}

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
Create Date: ${create_date}

The law of revisions. This text says why the change is made, and the revision makes one change. It works with the
release that runs before it as well as with the one that needs it: add first, take away in a later release. It imports
no models, which go on changing. One that cannot run in a transaction holds that step alone, and can be run again.
"""

from __future__ import annotations

% if "sa." in body:
import sqlalchemy as sa
% endif
from alembic import op
% if imports:
${imports}
% endif

revision: str = ${repr(up_revision)}
down_revision: str | tuple[str, ...] | None = ${repr(down_revision)}
branch_labels: str | tuple[str, ...] | None = ${repr(branch_labels)}
depends_on: str | tuple[str, ...] | None = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
