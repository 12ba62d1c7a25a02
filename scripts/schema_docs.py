"""Write docs/schema.md from the models, so that the page always equals the models.

`python scripts/schema_docs.py` writes it; with `--check` nothing is written, and the exit code is 1 if it is stale.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Table, UniqueConstraint
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex

from dbschema.ddl import Extension, Function, Grant, Policy, Role, Trigger, declared
from dbschema.models import Base

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Column

PAGE = Path(__file__).parents[1] / "docs" / "schema.md"
DIALECT = postgresql.dialect()
DOMAINS = (
    "identity",
    "agents",
    "incidents",
    "commerce",
    "governance",
    "conversations",
    "onboarding",
    "activity",
)
HEAD = """# The schema

`make docs` writes this page from the models; a test fails if it is stale. The descriptions are the comments in the database.

Every table but `tenants` begins with `tenant_id` and `id`, which together are its primary key. Foreign keys between
tenant tables include the tenant, so that no row can refer to another tenant. Row-level security (RLS) is enabled and forced on all
tables by one policy; a session sets its tenant with `SET LOCAL app.tenant_id = '…'`, and sees no rows before. A second
policy is for operators only, who work across tenants ([sessions](sessions.md)).
Deleting a tenant deletes all its rows.

## Data outside this schema

Reports, sessions, messages and query jobs of the incident agents are in DynamoDB: their structure differs between
agents, and they are read by key only. The rule: data that other rows refer to, that is counted, searched
by place or joined, and data whose tenants the database must separate, is in this schema. Data that one agent writes for
itself and reads by its key is not. An incident that agents created from a report is here; the working
record of the report is in DynamoDB, and the id of the incident connects the two.
"""


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def type_name(column: Column[object]) -> str:
    name = column.type.compile(dialect=DIALECT)
    return {"TIMESTAMP WITH TIME ZONE": "timestamptz"}.get(name, name if "(" in name else name.lower())


def default_of(column: Column[object]) -> str:
    if column.server_default is None:
        return ""
    argument = getattr(column.server_default, "arg", "")
    return f"`{argument}`" if not isinstance(argument, str) else f"`'{argument}'`"


def columns(table: Table) -> Iterator[str]:
    yield "| column | type | null | default | meaning |"
    yield "| --- | --- | --- | --- | --- |"
    for column in table.columns:
        null = "yes" if column.nullable else ""
        meaning = cell(column.comment or "")
        yield f"| `{column.name}` | {cell(type_name(column))} | {null} | {cell(default_of(column))} | {meaning} |"


def keys(table: Table) -> Iterator[str]:
    yield f"- Primary key: ({', '.join(column.name for column in table.primary_key)})"
    constraints = sorted(table.constraints, key=lambda item: str(item.name))
    for item in constraints:
        if isinstance(item, UniqueConstraint):
            yield f"- Unique: ({', '.join(column.name for column in item.columns)})"
    for item in constraints:
        if isinstance(item, ForeignKeyConstraint):
            target = f"{item.referred_table.name} ({', '.join(e.column.name for e in item.elements)})"
            ending = ", goes with it" if item.ondelete == "CASCADE" else ""
            yield f"- Foreign key: ({', '.join(item.column_keys)}) → {target}{ending}"
    for item in constraints:
        if isinstance(item, CheckConstraint):
            yield f"- Check `{item.name}`: `{item.sqltext}`"
    for index in sorted(table.indexes, key=lambda item: str(item.name)):
        sql = str(CreateIndex(index).compile(dialect=DIALECT))
        yield f"- Index `{index.name}`: {sql.partition(f' ON {table.name} ')[2].removeprefix('USING ')}"


def objects(table: Table) -> Iterator[str]:
    for item in declared(table.metadata, [table]):
        if isinstance(item, Trigger):
            events = " or ".join(event.lower() for event in item.events)
            yield f"- Trigger `{item.name}`: {item.timing.lower()} {events}, calls `{item.function}()`"
        elif isinstance(item, Policy):
            yield f"- Policy `{item.name}`: `{item.using}`"
        elif isinstance(item, Grant):
            yield f"- {item.role}: {', '.join(privilege.lower() for privilege in item.privileges)}"


def diagram(tables: list[Table]) -> Iterator[str]:
    yield "```mermaid"
    yield "erDiagram"
    for table in tables:
        for key in sorted(table.foreign_key_constraints, key=lambda item: str(item.name)):
            many = "o{" if any(column.nullable for column in key.columns) else "|{"
            yield f"    {key.referred_table.name} ||--{many} {table.name} : {key.column_keys[-1]}"
    yield "```"


def page() -> str:
    domains: dict[str, list[Table]] = {name: [] for name in DOMAINS}
    modules = {mapper.local_table: mapper.class_.__module__ for mapper in Base.registry.mappers}
    for table in Base.metadata.tables.values():
        domains.setdefault(modules[table].rpartition(".")[2], []).append(table)
    lines = [HEAD, "## Overview", ""]
    for domain, tables in domains.items():
        links = ", ".join(f"[{table.name}](#{table.name})" for table in tables)
        lines.append(f"- **{domain}**: {links}")
    for domain, tables in domains.items():
        about = (sys.modules[f"dbschema.models.{domain}"].__doc__ or "").strip()
        lines += ["", f"## {domain.capitalize()}", "", about, "", *diagram(tables)]
        for table in tables:
            lines += ["", f"### {table.name}", "", f"{table.comment}.", ""]
            lines += [*columns(table), "", *keys(table), *objects(table)]
    lines += ["", "## Extensions, roles and functions", ""]
    for item in declared(Base.metadata):
        if isinstance(item, Extension):
            lines.append(f"- Extension `{item.name}`")
        elif isinstance(item, Role):
            settings = "".join(f", `{key} = {value}`" for key, value in item.settings)
            lines.append(
                f"- Role `{item.name}`: cannot log in, owns nothing, is subject to row-level security{settings}"
            )
        elif isinstance(item, Function):
            lines.append(f"- Function `{item.identity.name}`: {item.comment}")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    text = page()
    if arguments == ["--check"]:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
            return 0
        sys.stderr.write(f"{PAGE.name} differs from the models. Run `make docs` and commit it.\n")
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
