"""The logs of the migration functions, in the stack of the database: they outlive a deployment that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_logs as logs
from constructs import Construct

from dbschema_infra.retention import kept, log_retention

if TYPE_CHECKING:
    from dbschema_infra.settings import Settings


class MigrationLogs(Construct):
    """A group for each function, named as the framework's error message names it.

    Attributes:
        names: of the two functions.
        groups: their log groups, in the same order.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        first = f"{settings.name}-migration"
        self.names = (first, f"{first}-is-complete")
        self.groups = tuple(
            logs.LogGroup(
                self,
                child,
                log_group_name=f"/aws/lambda/{name}",
                retention=log_retention(settings.log_days),
                removal_policy=kept(keep=settings.keep),
            )
            for child, name in zip(("Function", "IsCompleteFunction"), self.names, strict=True)
        )
