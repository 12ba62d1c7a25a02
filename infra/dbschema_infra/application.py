"""The app: both stacks of one stage, their tags, and the check of what they contain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aws_cdk import App, Tags, Validations
from cdk_nag import AwsSolutionsChecks

from dbschema_infra.archive import Archive
from dbschema_infra.database_stack import DatabaseStack
from dbschema_infra.migration_stack import MigrationStack
from dbschema_infra.settings import read

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FLAGS: Final[Mapping[str, Any]] = {
    "@aws-cdk/aws-iam:minimizePolicies": True,
    "@aws-cdk/aws-kms:aliasNameRef": True,
    "@aws-cdk/aws-rds:databaseProxyUniqueResourceName": True,
    "@aws-cdk/aws-rds:preventRenderingDeprecatedCredentials": True,
    "@aws-cdk/aws-secretsmanager:useAttachedSecretResourcePolicyForSecretTargetAttachments": True,
    "@aws-cdk/core:checkSecretUsage": True,
    # The database cannot be deleted under the migration that names it.
    "@aws-cdk/core:defaultCrossStackReferences": "strong",
    "@aws-cdk/core:enablePartitionLiterals": True,
    "@aws-cdk/core:target-partitions": ["aws", "aws-cn"],
    "@aws-cdk/core:validateAgainstDefaultRules": True,
    "@aws-cdk/core:validateSnapshotRemovalPolicy": True,
    "@aws-cdk/customresources:installLatestAwsSdkDefault": False,
}
"""CDK's switches for its own newer behaviour; here and not in cdk.json, so that every way to start the app has them."""


def build(root: Path, context: Mapping[str, Any] | None = None, folder: Path | None = None) -> App:
    """The app, not yet synthesised.

    Args:
        root: the checkout, with `dist/` and `alembic/versions/`.
        context: settings beside those of the command line. `archive` names another archive than
            `dist/lambda-<architecture>.zip`; one that is named is taken as it is.
        folder: where to write to; None: where CDK's command line says.

    Raises:
        InfraError: a setting, the archive or the revisions are wrong.
    """
    app = App(context={**FLAGS, **(context or {})}, outdir=None if folder is None else str(folder))
    known = app.node.get_all_context()
    settings = read(known)
    if "archive" in known:
        archive = root / str(known["archive"])
    else:
        archive = root / "dist" / f"lambda-{settings.architecture}.zip"
        Archive.open(archive).check_against(root / "alembic" / "versions")
    database = DatabaseStack(app, "Database", settings=settings)
    MigrationStack(app, "Migration", settings=settings, database=database, archive=archive)
    for name, value in {
        "Project": settings.project,
        "Environment": settings.stage,
        "ManagedBy": "cdk",
        **settings.tags,
    }.items():
        # The proxy's target group is no resource that can be tagged.
        Tags.of(app).add(name, value, exclude_resource_types=["AWS::RDS::DBProxyTargetGroup"])
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    return app
