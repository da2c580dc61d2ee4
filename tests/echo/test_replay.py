"""Sending a received webhook once more."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from runqy_notebook.echo.receipts import Verdict
from runqy_notebook.echo.webhooks import Webhooks
from runqy_notebook.errors import UsageError
from tests.echo.senders import post, signed


@pytest.fixture
def elsewhere() -> Iterator[Webhooks]:
    """Another receiver."""
    webhooks = Webhooks()
    yield webhooks
    webhooks.stop()


def test_an_unsigned_webhook_is_sent_as_it_came(
    webhooks: Webhooks, url: str, elsewhere: Webhooks
) -> None:
    post(url, b'{"n":  1}')

    answer = webhooks.replay("w1", f"{elsewhere.start()}/again?n=1")

    (received,) = elsewhere.receipts.newest()
    assert (answer.status, answer.text) == (204, "")
    assert (received.body, received.path) == (b'{"n":  1}', "/again?n=1")
    assert received.verdict is Verdict.UNSIGNED


def test_a_verified_webhook_is_signed_anew_under_its_own_id(
    webhooks: Webhooks, url: str, elsewhere: Webhooks
) -> None:
    assert webhooks.secret
    post(url, b"1", signed(webhooks.secret, b"1", "m7", age=100))

    webhooks.replay("w1", elsewhere.start(secret=webhooks.secret, require_signature=True))
    webhooks.replay("w1")

    (there,) = elsewhere.receipts.newest()
    here = webhooks.receipts.newest(1)[0]
    assert (there.verdict, there.headers["Webhook-Id"]) == (Verdict.VERIFIED, "m7")
    assert here.verdict is Verdict.DUPLICATE


def test_what_the_other_side_refuses_is_told(webhooks: Webhooks, url: str) -> None:
    post(url, {})

    answer = webhooks.replay("w1", f"{url}x")

    assert (answer.status, answer.text) == (404, "wrong path")


def test_what_cannot_be_replayed_is_said_in_one_line(webhooks: Webhooks, url: str) -> None:
    post(url, {})
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        for receipt_id, to, said in [
            ("w2", None, "There is no receipt 'w2'"),
            ("w1", "ftp://example.org", "http:// or https://"),
            ("w1", "http://", "http:// or https://"),
            ("w1", "http://127.0.0.1:x/", "http:// or https://"),
            ("w1", "http://127.0.0.1/\r\nX: 1", "took no webhook"),
            ("w1", "http://[::1", "http:// or https://"),
            ("w1", nobody, "127.0.0.1 took no webhook: .*refused"),
        ]:
            with pytest.raises(UsageError, match=said):
                webhooks.replay(receipt_id, to)

    webhooks.stop()
    with pytest.raises(UsageError, match="No receiver is running"):
        webhooks.replay("w1")
