"""The parameters by which applications and DB_SSM_PREFIX find the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthesis import Assembly


def test_they_name_the_writer_its_port_the_database_and_the_secret(assembly: Assembly) -> None:
    (cluster,) = assembly.resources("Database", "AWS::RDS::DBCluster")
    (secret,) = assembly.resources("Database", "AWS::SecretsManager::Secret")
    expected: dict[str, Any] = {
        "/app/database/endpoint": {"Fn::GetAtt": [cluster, "Endpoint.Address"]},
        "/app/database/port": {"Fn::GetAtt": [cluster, "Endpoint.Port"]},
        "/app/database/name": "dbschema",
        "/app/database/credentials-arn": {"Ref": secret},
    }
    for proxy in assembly.resources("Database", "AWS::RDS::DBProxy"):
        expected["/app/database/proxy-endpoint"] = {"Fn::GetAtt": [proxy, "Endpoint"]}

    found = {
        each["Properties"]["Name"]: each["Properties"]["Value"]
        for each in assembly.resources("Database", "AWS::SSM::Parameter").values()
    }

    assert found == expected
