"""Security groups that let nothing out unless it is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_ec2 as ec2

if TYPE_CHECKING:
    from constructs import Construct


class ClosedSecurityGroup(ec2.SecurityGroup):
    """Lets nothing in and nothing out.

    EC2 gives a group without a rule of its own one that lets everything out, and a rule that stands in the template as a
    resource beside the group does not count. So each group has one that leads nowhere.
    """

    def __init__(self, scope: Construct, construct_id: str, *, vpc: ec2.IVpc, description: str) -> None:
        super().__init__(scope, construct_id, vpc=vpc, description=description, allow_all_outbound=False)
        self.add_egress_rule(ec2.Peer.ipv4("127.0.0.1/32"), ec2.Port.all_traffic(), "Nowhere")
