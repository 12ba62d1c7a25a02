"""The network: who can reach what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from synthesis import Assembly

NOWHERE = "127.0.0.1/32"


def subnets(assembly: Assembly) -> dict[str, list[str]]:
    """The logical ids of the subnets of each kind."""
    found: dict[str, list[str]] = {}
    for name, each in assembly.resources("Database", "AWS::EC2::Subnet").items():
        tags = {tag["Key"]: tag["Value"] for tag in each["Properties"]["Tags"]}
        found.setdefault(tags["aws-cdk:subnet-name"], []).append(name)
    return found


def routes(assembly: Assembly, subnet: str) -> list[dict[str, Any]]:
    """What the route table of a subnet leads to."""
    tables = {
        each["Properties"]["RouteTableId"]["Ref"]
        for each in assembly.resources("Database", "AWS::EC2::SubnetRouteTableAssociation").values()
        if each["Properties"]["SubnetId"] == {"Ref": subnet}
    }
    return [
        each["Properties"]
        for each in assembly.resources("Database", "AWS::EC2::Route").values()
        if each["Properties"]["RouteTableId"]["Ref"] in tables
    ]


def test_each_of_two_zones_has_a_public_a_private_and_an_isolated_subnet(assembly: Assembly) -> None:
    found = assembly.resources("Database", "AWS::EC2::Subnet")

    for kind in ("public", "private", "isolated"):
        zones = {str(found[name]["Properties"]["AvailabilityZone"]) for name in subnets(assembly)[kind]}
        assert len(zones) == 2, kind
    assert len(found) == 6
    assert not any(each["Properties"]["MapPublicIpOnLaunch"] for each in found.values())


def test_an_isolated_subnet_has_no_way_out(assembly: Assembly) -> None:
    assert [routes(assembly, name) for name in subnets(assembly)["isolated"]] == [[], []]


def test_private_subnets_get_out_by_a_gateway_of_their_own_zone(production: Assembly) -> None:
    gateways = {
        route["NatGatewayId"]["Ref"]
        for name in subnets(production)["private"]
        for route in routes(production, name)
    }

    assert gateways == set(production.resources("Database", "AWS::EC2::NatGateway"))
    assert len(gateways) == 2


def test_development_pays_for_no_gateway(development: Assembly) -> None:
    assert development.resources("Database", "AWS::EC2::NatGateway") == {}
    assert development.resources("Database", "AWS::EC2::EIP") == {}
    assert [routes(development, name) for name in subnets(development)["private"]] == [[], []]


def test_all_flows_are_logged_and_the_log_ends_some_day(assembly: Assembly) -> None:
    (flow,) = assembly.resources("Database", "AWS::EC2::FlowLog").values()
    group = assembly.resources("Database")[flow["Properties"]["LogGroupName"]["Ref"]]

    assert flow["Properties"]["TrafficType"] == "ALL"
    assert group["Properties"]["RetentionInDays"] == (365 if assembly.folder.name == "production" else 7)


@pytest.mark.parametrize(("stage", "zones"), [("development", 1), ("production", 2)])
def test_there_are_the_endpoints_that_are_needed_and_no_other(
    stage: str, zones: int, request: pytest.FixtureRequest
) -> None:
    assembly: Assembly = request.getfixturevalue(stage)

    endpoints = {
        each["Properties"]["ServiceName"]["Fn::Join"][1][-1]: each["Properties"]
        for each in assembly.resources("Database", "AWS::EC2::VPCEndpoint").values()
    }

    assert set(endpoints) == {".s3", ".secretsmanager"}
    assert endpoints[".s3"]["VpcEndpointType"] == "Gateway"
    assert len(endpoints[".s3"]["RouteTableIds"]) == 6
    assert endpoints[".secretsmanager"]["PrivateDnsEnabled"] is True
    reached = {subnet["Ref"] for subnet in endpoints[".secretsmanager"]["SubnetIds"]}
    assert reached <= set(subnets(assembly)["isolated"])
    assert len(reached) == zones


def test_no_security_group_lets_in_or_out_what_it_does_not_name(assembly: Assembly) -> None:
    """A group without an egress rule of its own lets everything out, whatever stands beside it in the template."""
    for stack in ("Database", "Migration"):
        for name, group in assembly.resources(stack, "AWS::EC2::SecurityGroup").items():
            out = group["Properties"]["SecurityGroupEgress"]
            assert [rule["CidrIp"] for rule in out] == [NOWHERE], name
            assert "SecurityGroupIngress" not in group["Properties"], name
        for kind in ("Egress", "Ingress"):
            for name, rule in assembly.resources(stack, f"AWS::EC2::SecurityGroup{kind}").items():
                assert not {"CidrIp", "CidrIpv6"} & set(rule["Properties"]), name
                assert rule["Properties"]["IpProtocol"] == "tcp", name
