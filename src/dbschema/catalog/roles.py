"""Roles belong to the cluster: which of the declared ones belong to this database already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.catalog.asking import ask
from dbschema.catalog.transaction import entered
from dbschema.ddl.grants import Grant
from dbschema.ddl.registry import declared
from dbschema.ddl.roles import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, MetaData

STANDING = """
SELECT r.rolname::text,
       EXISTS (SELECT FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid
               WHERE d.datname = current_database() AND s.refclassid = 'pg_authid'::regclass AND s.refobjid = r.oid)
FROM pg_roles r
"""


def belonging(connection: Connection, metadata: MetaData) -> Mapping[str, bool]:
    """For each role that `metadata` declares: whether it is there, and this database already knows of it.

    A role may have been made for another database of the cluster. It belongs to this one when something in it depends
    on the role, or when the metadata grants nothing to it, so that nothing ever would.

    Args:
        connection: in any transaction state; left as it was.
        metadata: the models, with what is declared for them.
    """
    objects = declared(metadata)
    granted = {item.role for item in objects if isinstance(item, Grant)}
    with entered(connection) as cursor:
        known = dict(ask(cursor, STANDING))
    return {
        item.name: item.name in known and (known[item.name] or item.name not in granted)
        for item in objects
        if isinstance(item, Role)
    }
