"""The topic that alarms speak to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

if TYPE_CHECKING:
    from aws_cdk import aws_kms as kms

    from dbschema_infra.settings import Settings


class Notifications(Construct):
    """An encrypted topic; `alarm_email` is subscribed to it, and has to confirm that once.

    Attributes:
        topic: the topic.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, key: kms.IKey) -> None:
        super().__init__(scope, construct_id)
        self.topic = sns.Topic(
            self, "Topic", display_name=f"Alarms of {settings.name}", master_key=key, enforce_ssl=True
        )
        # With the topic comes its key: CloudWatch drops what it cannot encrypt, and nobody would be told.
        self.topic.grant_publish(iam.ServicePrincipal("cloudwatch.amazonaws.com"))
        if settings.alarm_email is not None:
            self.topic.add_subscription(subscriptions.EmailSubscription(settings.alarm_email))
