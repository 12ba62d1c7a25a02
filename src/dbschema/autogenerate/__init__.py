"""Register the Alembic plugins that compare functions, triggers, policies, grants, extensions, roles and conditions.

They also compare row-level security (RLS). Alembic loads this module through its entry point in each program that imports
Alembic. Therefore the module imports nothing at load time; the first call of a comparator imports its module.

Each kind is a separate plugin, which `autogenerate_plugins` can exclude: `["alembic.autogenerate.*", "dbschema.*",
"~dbschema.grants"]`. The plugin `dbschema`, without a dot, includes all kinds, so that this name does not silently
compare nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext
    from alembic.operations.ops import UpgradeOps
    from alembic.runtime.plugins import Plugin
    from alembic.util import PriorityDispatchResult

KINDS = ("checks", "extensions", "roles", "functions", "row_security", "policies", "triggers", "grants")
"""The compared kinds in the order of execution; each is the plugin `dbschema.<kind>`."""


class _Kind:
    """Represents a comparator without its import: the argument of `Plugin.setup_plugin_from_module`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def prepare(self, autogen_context: AutogenContext, upgrade_ops: UpgradeOps) -> PriorityDispatchResult:
        """Prepare the run, before Alembic compares tables."""
        import_module("dbschema.autogenerate.context").prepare(autogen_context, upgrade_ops)
        return _go_on()

    def compare(self, autogen_context: AutogenContext, upgrade_ops: UpgradeOps) -> PriorityDispatchResult:
        """Compare the kind, after Alembic has compared tables."""
        import_module("dbschema.autogenerate.compare").run(self.name, autogen_context, upgrade_ops)
        return _go_on()

    def setup(self, plugin: Plugin) -> None:
        from alembic.util import DispatchPriority  # noqa: PLC0415  see the module's docstring

        for function, priority in (
            (self.prepare, DispatchPriority.FIRST),
            (self.compare, DispatchPriority.LAST),
        ):
            # The top-level target: comparators of "schema" or "table" run only if Alembic's own plugins run.
            plugin.add_autogenerate_comparator(
                function, "autogenerate", f"dbschema.{self.name}", qualifier="postgresql", priority=priority
            )


def _go_on() -> PriorityDispatchResult:
    from alembic.util import PriorityDispatchResult as Result  # noqa: PLC0415  see the module's docstring

    return Result.CONTINUE


def setup(plugin: Plugin) -> None:
    """Register one plugin a kind. Alembic calls this with the plugin of the entry point, which it does not use."""
    from alembic.runtime.plugins import Plugin as Registered  # noqa: PLC0415  see the module's docstring

    for name in KINDS:
        kind = _Kind(name)
        Registered.setup_plugin_from_module(kind, f"dbschema.{name}")  # type: ignore[arg-type]  # anything with setup()
        kind.setup(plugin)
