"""The Alembic plugin: functions, triggers, row security, policies, grants, extensions, roles and conditions in autogenerate.

Alembic loads this module by its entry point while it is itself being imported, in every program that imports Alembic.
It therefore imports nothing here: a comparator's module is imported when the comparator is first called.

Every kind is a plugin of its own, which `autogenerate_plugins` can leave out: `["alembic.autogenerate.*", "dbschema.*",
"~dbschema.grants"]`. The plugin `dbschema`, without a dot, is all of them together, so that naming it compares
everything instead of silently nothing.
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
"""The kinds that are compared, each the plugin `dbschema.<kind>`, in the order they run."""


class _Kind:
    """Stands for a comparator module until it is needed: the argument of `Plugin.setup_plugin_from_module`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def prepare(self, autogen_context: AutogenContext, upgrade_ops: UpgradeOps) -> PriorityDispatchResult:
        """Before Alembic compares tables."""
        import_module("dbschema.autogenerate.context").prepare(autogen_context, upgrade_ops)
        return _go_on()

    def compare(self, autogen_context: AutogenContext, upgrade_ops: UpgradeOps) -> PriorityDispatchResult:
        """After Alembic has compared tables."""
        import_module("dbschema.autogenerate.compare").run(self.name, autogen_context, upgrade_ops)
        return _go_on()

    def setup(self, plugin: Plugin) -> None:
        from alembic.util import DispatchPriority  # noqa: PLC0415  see the module's docstring

        for function, priority in (
            (self.prepare, DispatchPriority.FIRST),
            (self.compare, DispatchPriority.LAST),
        ):
            # The top-level target: what hangs on "schema" or "table" runs only if Alembic's own plugins do.
            plugin.add_autogenerate_comparator(
                function, "autogenerate", f"dbschema.{self.name}", qualifier="postgresql", priority=priority
            )


def _go_on() -> PriorityDispatchResult:
    from alembic.util import PriorityDispatchResult as Result  # noqa: PLC0415  see the module's docstring

    return Result.CONTINUE


def setup(plugin: Plugin) -> None:
    """Register the plugins; called by Alembic with the one that is named after the entry point."""
    from alembic.runtime.plugins import Plugin as Registered  # noqa: PLC0415  see the module's docstring

    for name in KINDS:
        kind = _Kind(name)
        Registered.setup_plugin_from_module(kind, f"dbschema.{name}")  # type: ignore[arg-type]  # anything with setup()
        kind.setup(plugin)
