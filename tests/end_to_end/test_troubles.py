"""What is in the way of a deployment: secrets that are wrong or new, databases that are not there or asleep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waking import asleep, awake, port_of

if TYPE_CHECKING:
    from stack import Stack


def test_a_paused_database_is_waited_for_until_it_wakes(stack: Stack) -> None:
    """Ten connections are refused; the log counts them, since nothing listens that could."""
    stack.migrated()
    log = stack.service.log
    with asleep() as bound:
        stack.variables = {"DB_PORT": str(port_of(bound))}
        stack.put_code()

        request = stack.begin("Create")
        stack.wait_until(lambda: "(attempt 10," in log())
        with awake(bound, stack.port):
            answer = stack.finish(request)

    assert (answer.status, answer.data.get("Outcome")) == ("SUCCESS", "current"), answer.reason
    assert "(attempt 1," in log()
    assert "Connection refused" in log()
    assert "answers after" in log()


def test_a_database_that_nobody_reaches_is_told_with_its_place(stack: Stack) -> None:
    with asleep() as bound:
        port = port_of(bound)
        stack.variables = {"DB_PORT": str(port), "DB_WAKE_SECONDS": "1"}

        answer = stack.deploy("Create")

    assert answer.status == "FAILED"
    assert f"{stack.database} at 127.0.0.1:{port}" in answer.reason


def test_a_secret_with_a_wrong_password_is_told_by_name(stack: Stack) -> None:
    stack.change_password(tell=False)

    answer = stack.deploy("Create")

    assert answer.status == "FAILED"
    assert "DB_SECRET_ARN" in answer.reason
    assert not [one for one in stack.passwords if one in answer.reason]
    assert stack.versions() == []


def test_a_secret_that_is_not_there_is_told_by_name(stack: Stack) -> None:
    stack.variables = {"DB_SECRET_ARN": "arn:aws:secretsmanager:eu-central-2:111122223333:secret:gone-AbCdEf"}

    answer = stack.deploy("Create")

    assert answer.status == "FAILED"
    assert "secret:gone-AbCdEf" in answer.reason
    assert "ResourceNotFoundException" in answer.reason


def test_a_secret_that_was_rotated_serves_the_same_process(stack: Stack) -> None:
    stack.migrated()
    stack.deploy("Create")
    stack.change_password(tell=True)

    answer = stack.finish(stack.begin("Update"))

    assert (answer.status, answer.data.get("Outcome")) == ("SUCCESS", "current"), answer.reason
    assert [one.served for one in stack.service.sandboxes] == [2, 2]


def test_a_secret_whose_new_password_the_database_has_not_got_yet_serves(stack: Stack) -> None:
    """In the middle of a rotation: the secret's present version is ahead of the database."""
    stack.migrated()
    stack.write_secret("s3cr3t-of-tomorrow")

    answer = stack.deploy("Create")

    assert (answer.status, answer.data.get("Outcome")) == ("SUCCESS", "current"), answer.reason
