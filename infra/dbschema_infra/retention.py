"""How long things are kept: logs by a number of days, and resources beyond the stack that made them."""

from __future__ import annotations

from aws_cdk import RemovalPolicy
from aws_cdk import aws_logs as logs

from dbschema_infra.settings import LOG_DAYS


def log_retention(days: int) -> logs.RetentionDays:
    """CDK's word for a number of days, one of `LOG_DAYS`."""
    return logs.RetentionDays[LOG_DAYS[days]]


def kept(*, keep: bool) -> RemovalPolicy:
    """What is kept outlives its stack, but not a first deployment that failed: that could never be repeated."""
    return RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if keep else RemovalPolicy.DESTROY
