"""Wrap each private name of Alembic in a typed function.

No other module uses a private name of Alembic. For each wrapper, tests/test_alembic_private.py tests the behaviour that
this package relies on: a release of Alembic that changes it fails there first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alembic.autogenerate.render import render_op

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from alembic.autogenerate.api import AutogenContext
    from alembic.operations.ops import MigrateOperation

    NameFilter = Callable[[str | None, Any, MutableMapping[Any, Any]], bool]


def add_name_filter(context: AutogenContext, include: NameFilter) -> None:
    """Make a comparison skip the objects of the database for which `include` returns False.

    Alembic calls the filter before it reflects an object. A filter of the result is too late: by then, Alembic has
    reflected tables whose types SQLAlchemy does not know.

    Private: `_name_filters` (since Alembic 1.4), the list that Alembic makes from `include_name`. The public
    `include_name` is an option of env.py, which a plugin cannot extend.

    Args:
        context: the context of the comparison.
        include: receives name, kind and the names of the parents, as Alembic's `include_name` does.
    """
    context._name_filters.append(include)


def render_operation(context: AutogenContext, operation: MigrateOperation) -> list[str]:
    """Return the Python source of an operation as a list of statements.

    Private: `alembic.autogenerate.render.render_op` (since Alembic 0.7), an undocumented module. The public
    `render_op_text` joins the statements, so that a statement of several lines looks like two statements.
    """
    return render_op(context, operation)
