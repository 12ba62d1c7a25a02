"""Declare a group role that receives privileges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dbschema.ddl.base import DatabaseObject, Phase, guarded, quote
from dbschema.sql import Identity, sql_string


@dataclass(frozen=True)
class Role(DatabaseObject):
    """A group role: it cannot log in and does not bypass row-level security.

    Roles belong to the cluster, not to the database. Another database or an administrator may have created the role
    already, and other databases may still need it: CREATE accepts an existing role, DROP keeps a role in use.

    Args:
        name: name of the role.
        settings: configuration parameters of the role, as (parameter, value).
    """

    kind: ClassVar[str] = "role"
    phase: ClassVar[Phase] = Phase.ROLE

    name: str
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def identity(self) -> Identity:
        """Kind and name: a role is unique within the cluster."""
        return Identity(self.kind, None, "", self.name)

    def create(self) -> tuple[str, ...]:
        """Return the statements that create the object."""
        name = quote(self.name)
        statements = [f"CREATE ROLE {name} NOLOGIN"]
        statements += [
            f"ALTER ROLE {name} SET {quote(key)} = {sql_string(value)}" for key, value in self.settings
        ]
        manual = "; ".join(statements)
        lines = [
            "DO $$",
            "BEGIN",
            f"    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {sql_string(self.name)}) THEN",
            "        BEGIN",
            f"            {statements[0]};",
            "        EXCEPTION",
            "            WHEN duplicate_object OR unique_violation THEN NULL; -- made by another session meanwhile",
            "        END;",
            "    END IF;",
        ]
        for (key, value), statement in zip(self.settings, statements[1:], strict=True):
            setting = sql_string(f"{key}={value}")
            lines += [
                f"    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {sql_string(self.name)}",
                f"                   AND {setting} = ANY (rolconfig)) THEN",
                f"        {statement};",
                "    END IF;",
            ]
        message = sql_string(
            f"the role {self.name} is missing or incomplete, and {{}} may not create or alter roles"
        )
        lines += [
            "EXCEPTION",
            "    WHEN insufficient_privilege THEN",
            "        RAISE insufficient_privilege USING",
            f"            MESSAGE = replace({message}, '{{}}', current_user),",
            f"            HINT = {sql_string(f'Have an administrator run: {manual}')};",
            "END",
            "$$",
        ]
        return ("\n".join(lines),)

    def drop(self) -> tuple[str, ...]:
        """Return the statements that drop the object."""
        name = sql_string(self.name)
        kept = f"role {self.name} stays: it has members, or something still depends on it"
        return (
            guarded(
                f"IF NOT EXISTS (SELECT FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid = m.roleid\n"
                f"                   JOIN pg_catalog.pg_roles u ON u.oid = m.member\n"
                f"                   WHERE r.rolname = {name} AND u.rolname <> current_user) THEN\n"
                f"        DROP ROLE IF EXISTS {quote(self.name)};\n"
                f"    END IF",
                kept,
            ),
        )
