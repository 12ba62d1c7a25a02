"""One answer to CloudFormation, however the network behaves and whoever comes first."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from dbschema.tools.deploy.delivery import Responder
from dbschema.tools.deploy.errors import NotDelivered

if TYPE_CHECKING:
    from cloudformation import Waiting

BODY = '{"Status":"SUCCESS","Reason":"Größe"}'.encode()


def test_an_answer_is_put_as_the_signature_wants_it(waiting: Waiting) -> None:
    Responder(waiting.url).send(BODY)

    ((headers, body),) = waiting.puts
    assert body == BODY
    assert headers["content-type"] == ""
    assert headers["content-length"] == str(len(BODY))
    assert waiting.paths == ["/answer/to?X-Amz-Signature=s1gned-s3cr3t"]


@pytest.mark.parametrize("status", [0, 500, 503])
def test_a_network_that_fails_is_tried_again(waiting: Waiting, status: int) -> None:
    waiting.statuses = [status, status]

    assert Responder(waiting.url, pause=0.001).send(BODY)

    assert (len(waiting.puts), waiting.refused) == (1, 2)


def test_what_nobody_takes_is_tried_for_a_while_and_told_without_the_address(waiting: Waiting) -> None:
    waiting.statuses = [0, 500, 0, 500]

    with pytest.raises(NotDelivered, match=r"not taken by 127\.0\.0\.1 in 4 attempts: HTTP 500") as caught:
        Responder(waiting.url, attempts=4, pause=0.001).send(BODY)

    assert waiting.refused == 4
    assert "s1gned" not in str(caught.value)


def test_a_signature_that_is_over_is_not_tried_again(waiting: Waiting) -> None:
    waiting.statuses = [403]

    with pytest.raises(NotDelivered, match="in 1 attempts: HTTP 403"):
        Responder(waiting.url).send(BODY)

    assert waiting.refused == 1


def test_a_redirection_is_not_followed(waiting: Waiting) -> None:
    waiting.statuses = [307]

    with pytest.raises(NotDelivered, match="HTTP 307"):
        Responder(waiting.url).send(BODY)


def test_many_who_answer_at_once_send_one(waiting: Waiting) -> None:
    responder = Responder(waiting.url)
    begin = threading.Barrier(12)
    sent = []

    def answer() -> None:
        begin.wait()
        sent.append(responder.send(BODY))

    threads = [threading.Thread(target=answer) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sent.count(True) == 1
    assert len(waiting.puts) == 1


def test_the_clock_answers_for_work_that_does_not_end(waiting: Waiting) -> None:
    told = threading.Event()
    responder = Responder(waiting.url)
    responder.send_at(time.monotonic(), lambda: b"late", told.set)
    assert told.wait(30)

    sent = responder.send(BODY)

    assert not sent
    assert [body for _, body in waiting.puts] == [b"late"]


def test_the_clock_is_silent_once_it_is_closed(waiting: Waiting) -> None:
    responder = Responder(waiting.url)
    responder.send_at(time.monotonic() + 3600, lambda: b"late", lambda: None)
    responder.send(BODY)

    responder.close()

    assert [body for _, body in waiting.puts] == [BODY]
    assert responder._timer is not None
    assert responder._timer.finished.is_set()


def test_work_that_ends_after_the_clock_failed_answers_itself(waiting: Waiting) -> None:
    waiting.statuses = [403]
    responder = Responder(waiting.url)
    responder.send_at(time.monotonic(), lambda: b"late", lambda: None)
    assert waiting.denied.wait(30)

    assert responder.send(BODY)

    assert [body for _, body in waiting.puts] == [BODY]
