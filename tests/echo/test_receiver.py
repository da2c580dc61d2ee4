"""What a receiver takes, what it refuses, and what it shows of either."""

from __future__ import annotations

import socket
import threading
from datetime import datetime, timedelta, timezone
from types import FrameType
from urllib.parse import urlsplit

import psutil
import pytest

from runqy_notebook.deliver.signing import Secret
from runqy_notebook.echo.receipts import Receipt, Verdict
from runqy_notebook.echo.webhooks import Webhooks
from runqy_notebook.errors import UsageError
from tests.echo.senders import connected, head, post, said, signed
from tests.waiting import wait_until


def only_receipt(webhooks: Webhooks) -> Receipt:
    (receipt,) = webhooks.receipts.newest()
    return receipt


def test_a_webhook_becomes_a_receipt(webhooks: Webhooks, url: str) -> None:
    answer = post(url, {"task_id": "t1", "result": [1, 2]})

    receipt = only_receipt(webhooks)
    assert (answer.status, answer.text) == (204, "")
    assert receipt.value == {"task_id": "t1", "result": [1, 2]}
    assert (receipt.id, receipt.task_id, receipt.method, receipt.path) == ("w1", "t1", "POST", "/")
    assert (receipt.verdict, receipt.source) == (Verdict.UNSIGNED, "127.0.0.1")
    assert receipt.headers["Content-Type"] == "application/json"
    assert abs(datetime.now(timezone.utc) - receipt.received_at) < timedelta(seconds=30)
    assert 0 < receipt.latency_ms < 30_000


def test_listeners_hear_of_each_webhook_in_order(webhooks: Webhooks, url: str) -> None:
    heard: list[object] = []
    forget = webhooks.listen(lambda receipt: heard.append(receipt.value))

    for n in range(5):
        post(url, n)
    wait_until(lambda: len(heard) == 5, "the listener was not told")
    forget()
    post(url, "unheard")

    assert heard == [0, 1, 2, 3, 4]
    assert len(webhooks.receipts.newest()) == 6


def test_what_follows_the_url_is_the_path_that_is_shown(webhooks: Webhooks, url: str) -> None:
    post(f"{url}/orders/7?n=1&api_key=geheim&x=2", {})
    post(f"{url}?n=1", {})

    later, first = webhooks.receipts.newest()
    assert first.path == "/orders/7?n=1&api_key=***&x=2"
    assert later.path == "/?n=1"


def test_secrets_and_control_characters_are_not_shown(webhooks: Webhooks, url: str) -> None:
    said = {"Authorization": "Bearer geheim", "X-Api-Key": "geheim", "Cookie": "a=geheim"}
    post(url, {"x": "\x1b[31mred\u202e"}, {**said, "X-Note": "a\x9bb\xad"})

    receipt = only_receipt(webhooks)
    assert "geheim" not in repr(receipt)
    assert receipt.headers["X-Note"] == "ab"
    assert "\x1b" not in receipt.text()
    assert "\u202e" not in receipt.text()
    assert urlsplit(webhooks.url or "").path not in repr(receipt)


def test_a_rightly_signed_webhook_is_verified_and_its_repetition_told_apart(
    webhooks: Webhooks,
) -> None:
    """A sender whose answer was lost sends again: it must get its 204, and nobody be misled."""
    secret = Secret.new()
    url = webhooks.start(secret=secret.reveal())
    body = b'{"a": 1}'

    first = post(url, body, signed(secret, body))
    again = post(url, body, signed(secret, body, age=2))
    other = post(url, body, signed(secret, body, "m2"))

    verdicts = [receipt.verdict for receipt in webhooks.receipts.newest()[::-1]]
    assert [first.status, again.status, other.status] == [204, 204, 204]
    assert verdicts == [Verdict.VERIFIED, Verdict.DUPLICATE, Verdict.VERIFIED]


def test_either_of_two_secrets_will_do_while_one_replaces_the_other(webhooks: Webhooks) -> None:
    old, new = Secret.new(), Secret.new()
    url = webhooks.start(secret=[new.reveal(), old])

    answers = [post(url, b"1", signed(key, b"1", key.reveal())) for key in (old, new)]

    assert [answer.status for answer in answers] == [204, 204]
    assert webhooks.secret == new


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"webhook-signature": "v1,AAAA"}, "wrong signature"),
        ({"webhook-id": "m2"}, "wrong signature"),
        ({"webhook-timestamp": "soon"}, "malformed signature"),
        ({"webhook-id": ""}, "malformed signature"),
        ({"webhook-signature": "x"}, "malformed signature"),
    ],
)
def test_a_wrongly_signed_webhook_is_refused_unread(
    webhooks: Webhooks, url: str, change: dict[str, str], said: str
) -> None:
    assert webhooks.secret
    body = b'{"a": '  # which would be refused as no JSON, were it read

    answer = post(url, body, {**signed(webhooks.secret, body), **change})

    assert (answer.status, answer.text) == (401, said)
    assert webhooks.receipts.newest() == []
    assert webhooks.status
    assert webhooks.status.refused == {said: 1}


def test_an_old_signature_is_refused(webhooks: Webhooks, url: str) -> None:
    assert webhooks.secret

    answer = post(url, b"1", signed(webhooks.secret, b"1", age=301))

    assert (answer.status, answer.text) == (401, "stale signature")


def test_unsigned_webhooks_are_refused_where_signatures_are_required(webhooks: Webhooks) -> None:
    url = webhooks.start(require_signature=True)
    assert webhooks.secret

    answers = [post(url, b"1"), post(url, b"1", signed(webhooks.secret, b"1"))]

    assert [answer.status for answer in answers] == [401, 204]


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "BREW"])
def test_only_post_is_taken(webhooks: Webhooks, url: str, method: str) -> None:
    answer = post(url, {}, method=method)

    assert answer.status == 405
    assert answer.headers["Allow"] == "POST"
    assert webhooks.receipts.newest() == []


@pytest.mark.parametrize(
    ("headers", "body", "status", "said"),
    [
        ({"Host": "evil.example"}, b"{}", 403, "wrong Host"),
        ({"Host": "127.0.0.1"}, b"{}", 403, "wrong Host"),
        ({"Origin": "http://evil.example"}, b"{}", 403, "sent by a web page"),
        ({"Origin": "null"}, b"{}", 403, "sent by a web page"),
        ({"Content-Type": "text/plain"}, b"{}", 415, "not application/json"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"a=1", 415, ""),
        ({"Content-Type": "application/jsonp"}, b"{}", 415, ""),
        ({}, b"{", 400, "body is not JSON"),
        ({}, b"", 400, "body is not JSON"),
        ({}, b"[" * 100_000, 400, "body is not JSON"),
        ({}, b"\xff\xfe", 400, "body is not JSON"),
    ],
)
def test_what_no_sender_of_webhooks_sends_is_refused(
    webhooks: Webhooks, url: str, headers: dict[str, str], body: bytes, status: int, said: str
) -> None:
    answer = post(url, body, headers)

    assert answer.status == status
    assert said in answer.text
    assert webhooks.receipts.newest() == []


@pytest.mark.parametrize("kind", ["application/cloudevents+json", "Application/JSON; charset=utf8"])
def test_json_of_every_name_is_taken(webhooks: Webhooks, url: str, kind: str) -> None:
    assert post(url, {}, {"Content-Type": kind}).status == 204


def test_a_wrong_path_is_refused_before_the_body_is_kept(webhooks: Webhooks, url: str) -> None:
    answers = [post(wrong, {}) for wrong in (f"{url}x", url[:-1], url.rpartition("/")[0] + "/")]

    assert [(a.status, a.text) for a in answers] == [(404, "wrong path")] * 3


def test_no_answer_says_which_server_it_is(url: str) -> None:
    assert not {"Server", "Access-Control-Allow-Origin"} & post(url, {}).headers.keys()


def test_it_listens_on_loopback_only(webhooks: Webhooks, url: str) -> None:
    port = urlsplit(url).port
    ours = [
        connection.laddr.ip
        for connection in psutil.Process().net_connections("inet")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    ]
    others = {
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family == socket.AF_INET and address.address != "127.0.0.1"
    }

    assert ours == ["127.0.0.1"]
    for address in others:
        with socket.socket() as outside:
            outside.settimeout(2)
            assert outside.connect_ex((address, port or 0)) != 0


def test_a_url_is_never_guessed_nor_used_twice(webhooks: Webhooks) -> None:
    first = webhooks.start()
    webhooks.stop()
    second = webhooks.start()

    paths = {urlsplit(url).path for url in (first, second)}
    assert len(paths) == 2
    assert all(len(path) >= 43 for path in paths)


def test_its_threads_are_over_once_it_is_stopped(webhooks: Webhooks) -> None:
    """However long they take for their last instructions."""

    def linger(frame: FrameType, event: str, _: object) -> None:
        if event == "return" and frame.f_code.co_name in ("_run", "_announce"):
            threading.Event().wait(0.05)

    threading.setprofile(linger)
    webhooks.start()
    threading.setprofile(None)
    webhooks.stop()

    assert [each.name for each in threading.enumerate() if "echo" in each.name] == []


def test_after_a_stop_nothing_is_left(webhooks: Webhooks) -> None:
    process = psutil.Process()
    threads, files = set(threading.enumerate()), process.num_fds()

    for _ in range(3):
        url = webhooks.start()
        webhooks.listen(lambda receipt: None)
        half_open = connected(url)
        half_open.sendall(head(url, "Content-Length: 10")[:-2])
        post(url, {})
        assert webhooks.stop()
        assert said(half_open) == b""
        half_open.close()
        with pytest.raises(ConnectionRefusedError):
            post(url, {})

    # Those of tests before this one may go meanwhile.
    wait_until(
        lambda: set(threading.enumerate()) <= threads and process.num_fds() <= files,
        "threads or descriptors were left",
    )
    assert not webhooks.stop()
    assert (webhooks.url, webhooks.status) == (None, None)
    assert len(webhooks.receipts.newest()) == 3


def test_starting_again_keeps_the_receiver_unless_something_else_is_asked(
    webhooks: Webhooks, url: str
) -> None:
    assert webhooks.start() == url
    with pytest.raises(UsageError, match="stop it first"):
        webhooks.start(require_signature=True)
    with pytest.raises(UsageError, match="stop it first"):
        webhooks.start(secret=Secret.new())
    assert webhooks.start(secret=webhooks.secret) == url


def test_a_secret_that_is_none_is_not_quoted(webhooks: Webhooks) -> None:
    with pytest.raises(UsageError) as refused:
        webhooks.start(secret="hunter2!")

    assert "hunter2" not in str(refused.value)
    assert webhooks.url is None


def test_whoever_delivers_is_told_where_the_receiver_is() -> None:
    told: list[tuple[str | None, Secret | None]] = []
    webhooks = Webhooks(on_move=lambda url, secret: told.append((url, secret)))

    url = webhooks.start()
    secret = webhooks.secret
    webhooks.start()
    webhooks.stop()
    webhooks.stop()

    assert told == [(url, secret), (None, None)]
