"""Giving a function to another role, and taking it back, with no more rights than a migrator has.

PostgreSQL lets a role that is no superuser give a function away only to a role that it may become, and that may create
objects in the schema. Who may create roles may lend itself both, so they are lent for the one statement: a migrator that
stayed a member would be let through by the policies that are meant for the other role, and see the rows of all tenants.
"""

from __future__ import annotations

from dbschema.ddl.base import qualified, quote
from dbschema.identity import sql_string

# From PostgreSQL 16 on, who creates a role is a member of it that may hand it on, and not yet become it.
_MAY_BECOME = "pg_has_role({owner}, CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END)"


def give(signature: str, schema: str | None, owner: str) -> str:
    """The statement that makes `owner` the owner of the function `signature`, which may be in the default schema."""
    name = quote(owner)
    place = f"{sql_string(qualified(None, schema))}::text" if schema else "quote_ident(current_schema())"
    room = f"has_schema_privilege({sql_string(owner)}, to_regnamespace(place)::oid, 'CREATE')"
    return _block(
        owner,
        [f"    place text := {place};", f"    room boolean := {room};"],
        [
            "    IF NOT room THEN",
            f"        EXECUTE 'GRANT CREATE ON SCHEMA ' || place || ' TO {_inside(name)}';",
            "    END IF;",
            f"    ALTER FUNCTION {signature} OWNER TO {name};",
            "    IF NOT room THEN",
            f"        EXECUTE 'REVOKE CREATE ON SCHEMA ' || place || ' FROM {_inside(name)}';",
            "    END IF;",
        ],
        f"give the function {signature} to {owner}",
    )


def take(signature: str, owner: str) -> str:
    """The statement that takes the function `signature` back from `owner`; where it is not his, it does nothing."""
    return _block(
        owner,
        [],
        [f"    ALTER FUNCTION {signature} OWNER TO CURRENT_USER;"],
        f"take the function {signature} from {owner}",
        unless=(
            f"NOT EXISTS (SELECT FROM pg_catalog.pg_proc WHERE oid = to_regprocedure({sql_string(signature)})"
            f" AND proowner = to_regrole({sql_string(quote(owner))}))"
        ),
    )


def _block(owner: str, declarations: list[str], work: list[str], task: str, unless: str | None = None) -> str:
    name = quote(owner)
    message = sql_string(f"{{}} may not {task}")
    return "\n".join(
        [
            "DO $$",
            "DECLARE",
            f"    member boolean := {_MAY_BECOME.format(owner=sql_string(owner))};",
            *declarations,
            "BEGIN",
            *([f"    IF {unless} THEN", "        RETURN;", "    END IF;"] if unless else []),
            "    IF NOT member THEN",
            f"        GRANT {name} TO CURRENT_USER;",
            "    END IF;",
            *work,
            "    IF NOT member THEN",
            f"        REVOKE {name} FROM CURRENT_USER;",
            "    END IF;",
            "EXCEPTION",
            "    WHEN insufficient_privilege THEN",
            "        RAISE insufficient_privilege USING",
            f"            MESSAGE = replace({message}, '{{}}', current_user),",
            "            DETAIL = SQLERRM,",
            f"            HINT = format({sql_string(f'Have an administrator run: GRANT {name} TO %I')}, current_user);",
            "END",
            "$$",
        ]
    )


def _inside(name: str) -> str:
    """A quoted identifier inside a string literal."""
    return name.replace("'", "''")
