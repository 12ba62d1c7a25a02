"""Declare a trigger on a table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from dbschema.ddl.base import OnTable, Phase, commented, qualified, quote
from dbschema.sql import sql_string

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self


@dataclass(frozen=True)
class Trigger(OnTable):
    """A trigger on a table.

    Args:
        name, table: the triggers of a table fire in the order of their names.
        function: the function that the trigger calls, without schema and arguments.
        timing: 'BEFORE' or 'AFTER'.
        events: 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'.
        level: 'ROW' or 'STATEMENT'.
        when: condition of WHEN, as SQL.
        columns: fire only if SET names one of these columns (UPDATE).
        arguments: constant strings, passed to the function.
        function_schema: schema of the function; None for the default schema.
    """

    kind: ClassVar[str] = "trigger"
    phase: ClassVar[Phase] = Phase.TRIGGER

    function: str
    timing: str = "BEFORE"
    events: tuple[str, ...] = ("UPDATE",)
    level: str = "ROW"
    when: str | None = None
    columns: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    function_schema: str | None = None
    comment: str | None = None

    def create(self) -> tuple[str, ...]:
        """Return the statements that create the object."""
        events = " OR ".join(
            f"{event} OF {', '.join(map(quote, self.columns))}"
            if event == "UPDATE" and self.columns
            else event
            for event in self.events
        )
        when = "" if self.when is None else f" WHEN ({self.when})"
        arguments = ", ".join(map(sql_string, self.arguments))
        function = qualified(self.function_schema, self.function)
        name = quote(self.name)
        return (
            (
                f"CREATE TRIGGER {name} {self.timing} {events} ON {self.on}"
                f" FOR EACH {self.level}{when} EXECUTE FUNCTION {function}({arguments})"
            ),
            *commented("TRIGGER", f"{name} ON {self.on}", self.comment),
        )

    def drop(self) -> tuple[str, ...]:
        """Return the statements that drop the object."""
        return (f"DROP TRIGGER {quote(self.name)} ON {self.on}",)

    def in_schemas(self, schemas: Mapping[str | None, str]) -> Self:
        """Return a copy with the schemas replaced."""
        function_schema = self.function_schema
        if function_schema is not None:
            function_schema = schemas.get(function_schema, function_schema)
        return replace(super().in_schemas(schemas), function_schema=function_schema)
