"""Render operations and types in a revision: plain SQL and plain types, without an import of this package."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any, Literal

from alembic.autogenerate import renderers
from alembic.operations import ops
from geoalchemy2 import Geography, Geometry, Raster
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator, TypeEngine

from dbschema._alembic import render_operation
from dbschema.autogenerate.online_ddl import AutocommitOp, NoteOp, StatementsOp, add_constraint
from dbschema.autogenerate.operations import ObjectOp
from dbschema.autogenerate.text import execute_lines

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext


@renderers.dispatch_for(ObjectOp)
@renderers.dispatch_for(StatementsOp)
def _render_statements(autogen_context: AutogenContext, op: ObjectOp | StatementsOp) -> list[str]:
    return execute_lines(autogen_context.opts["alembic_module_prefix"] or "", op.statements)


@renderers.dispatch_for(AutocommitOp)
def _render_outside(autogen_context: AutogenContext, op: AutocommitOp) -> list[str]:
    lines = [line for each in op.ops for line in render_operation(autogen_context, each)]
    if not lines:
        return []
    prefix = autogen_context.opts["alembic_module_prefix"] or ""
    # Alembic's printer ends the block at the empty line.
    return [f"with {prefix}get_context().autocommit_block():", *lines, ""]


@renderers.dispatch_for(ops.CreateCheckConstraintOp, replace=True)
def _render_check(autogen_context: AutogenContext, op: ops.CreateCheckConstraintOp) -> list[str]:
    """Render SQL: Alembic's own rendering doubles percent signs, and reads a word after a colon as a parameter."""
    return execute_lines(
        autogen_context.opts["alembic_module_prefix"] or "", [add_constraint(op.to_constraint())]
    )


@renderers.dispatch_for(NoteOp)
def _render_note(_: AutogenContext, op: NoteOp) -> list[str]:
    return [f"# {line}" for line in wrap(op.text, 110)]


def render_item(kind: str, item: Any, autogen_context: AutogenContext) -> str | Literal[False]:
    """Render types of this package and of GeoAlchemy2: Alembic's hook `render_item`. False for other items."""
    return _render_type(item, autogen_context) if kind == "type" else False


def _render_type(kind: TypeEngine[Any], autogen_context: AutogenContext) -> str | Literal[False]:
    if isinstance(kind, TypeDecorator) and _is_ours(kind):
        kind = kind.impl_instance
        if isinstance(kind, JSONB):
            autogen_context.imports.add("from sqlalchemy.dialects import postgresql")
            return "postgresql.JSONB()"
        if type(kind).__module__.startswith("sqlalchemy.sql."):
            return f"{autogen_context.opts['sqlalchemy_module_prefix'] or ''}{kind!r}"
    if isinstance(kind, Geography | Geometry | Raster) and kind.use_typmod is not False:
        return _render_geo(kind, autogen_context)
    return False


def _is_ours(kind: TypeDecorator[Any]) -> bool:
    """Whether the type, or one of its base classes, belongs to this package."""
    return any(base.__module__.partition(".")[0] == __name__.partition(".")[0] for base in type(kind).__mro__)


def _render_geo(kind: Geography | Geometry | Raster, autogen_context: AutogenContext) -> str:
    """Render a type of GeoAlchemy2 without its index: the metadata contains the index, and Alembic renders it."""
    name = next(base.__name__ for base in (Geography, Geometry, Raster) if isinstance(kind, base))
    autogen_context.imports.add(f"from geoalchemy2 import {name}")
    arguments = []
    if name != "Raster":
        arguments.append(repr(kind.geometry_type))
        if kind.srid != -1:
            arguments.append(f"srid={kind.srid}")
    return f"{name}({', '.join([*arguments, 'spatial_index=False'])})"
