"""Findings of cdk-nag that are meant: each is accepted for one construct, with the reason beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Acknowledgment, Validations

if TYPE_CHECKING:
    from constructs import IConstruct


def acknowledge(construct: IConstruct, rule: str, reason: str) -> None:
    """Accept a finding on a construct and what it contains.

    Args:
        construct: where it is reported.
        rule: its whole name, such as "AwsSolutions-IAM5[Resource::*]": each finding of a rule is named by itself.
        reason: why it is right here.
    """
    Validations.of(construct).acknowledge(Acknowledgment(id=rule, reason=reason))
